import { Server, ServerCredentials } from '@grpc/grpc-js';
import { handleAppend } from '../../src/authority/feed/append-handler.ts';
import type { AppendCall } from '../../src/authority/feed/append-handler.ts';
import type { AppendStream } from '../../src/sidecar/records/record-shipper.ts';
import { methodOf } from '../../src/core/fleet/service.ts';
import { AuthorityLink } from '../../src/sidecar/state/authority-link.ts';
import type { Receiver } from '../../src/authority/records/receiver.ts';
import { sidecarId } from '../authority/records/receivers.ts';

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
