import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { handleAppend } from '../../src/fleet/append-handler.ts';
import type { AppendCall } from '../../src/fleet/append-handler.ts';
import type { AppendStream } from '../../src/fleet/record-shipper.ts';
import { methodOf } from '../../src/fleet/service.ts';
import type { Receiver } from '../../src/ledger/received/receiver.ts';
import { sidecarId } from '../ledger/received/receivers.ts';

const method = methodOf('Append');

/** A server of `Append` on a Unix socket, for callers of one identity. */
export async function appendServer(receiver: Receiver, address: string) {
  const server = new Server();
  server.addService({ Append: method }, { Append: (call: AppendCall) => handleAppend(call, receiver, sidecarId) });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  return { stop: () => server.forceShutdown() };
}

/** Calls `Append` at an address. */
export function appendCalls(address: string): { readonly open: () => AppendStream; readonly close: () => void } {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 500,
  });
  return {
    open: () => client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize),
    close: () => client.close(),
  };
}
