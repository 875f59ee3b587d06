import { Server, ServerCredentials } from '@grpc/grpc-js';
import { handleAppend } from '../../src/authority/append-handler.ts';
import type { AppendCall } from '../../src/authority/append-handler.ts';
import type { AppendStream } from '../../src/fleet/record-shipper.ts';
import { methodOf } from '../../src/fleet/service.ts';
import { AuthorityLink } from '../../src/state/remote/authority-link.ts';
import type { Receiver } from '../../src/ledger/received/receiver.ts';
import { sidecarId } from '../ledger/received/receivers.ts';

const method = methodOf('Append');

/** A server of `Append` on a Unix socket, for callers of one identity. */
export async function appendServer(receiver: Receiver, address: string) {
  const server = new Server();
  server.addService(
    { Append: method },
    { Append: (call: AppendCall) => handleAppend(call, receiver, { id: sidecarId, trustDomain: 'acme.test' }) },
  );
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
  const link = new AuthorityLink({ target: address, tls: null });
  return { open: () => link.append(), close: () => link.close() };
}
