import { promisify } from 'node:util';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Metadata, ServerReadableStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import type { HostPort } from '../../src/tools/init/envoy-config.ts';
import { shopService } from '../core/action/grpc/protobuf/shop.ts';

/** The shop as a grpc-js server, and what it received. */
export interface ShopServer {
  readonly address: HostPort;
  /** Each received message, with the `x-remit-decision` of its call. */
  readonly arrived: readonly { readonly method: string; readonly request: unknown; readonly decision: unknown }[];
  readonly close: () => void;
}

type Done = (error: null, receipt: object) => void;

/** Starts it on a free loopback port. */
export async function startShopServer(): Promise<ShopServer> {
  const arrived: { method: string; request: unknown; decision: unknown }[] = [];
  const met = (method: string, call: { readonly metadata: Metadata }, request: unknown): void => {
    arrived.push({ method, request, decision: call.metadata.get('x-remit-decision')[0] });
  };
  const server = new Server();
  server.addService(shopService, {
    PlaceOrder: (call: ServerUnaryCall<object, object>, done: Done) => {
      met('PlaceOrder', call, call.request);
      done(null, { id: 'o-1' });
    },
    Watch: (call: ServerWritableStream<object, object>) => {
      met('Watch', call, call.request);
      call.write({ id: 'o-1' });
      call.write({ id: 'o-2' });
      call.end();
    },
    Upload: (call: ServerReadableStream<object, object>, done: Done) => {
      call.on('data', (one) => met('Upload', call, one));
      call.on('end', () => done(null, { id: 'all' }));
    },
  });
  const bind = promisify(server.bindAsync.bind(server));
  const port = (await bind('127.0.0.1:0', ServerCredentials.createInsecure())) ?? 0;
  return { address: { host: '127.0.0.1', port }, arrived, close: () => server.forceShutdown() };
}
