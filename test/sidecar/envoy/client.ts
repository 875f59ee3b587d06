import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { CHECK_PATH } from '../../../src/sidecar/envoy/proto.ts';

/** A gRPC client that sends and receives bytes, as Envoy does. */
export interface CheckClient {
  /** The answer's bytes; rejects with the gRPC error. */
  readonly check: (bytes: Uint8Array, options?: CheckOptions) => Promise<Buffer>;
  readonly close: () => void;
}

export interface CheckOptions {
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

const asTheyAre = (bytes: Buffer): Buffer => bytes;

/** @param address as returned by `AuthorizationServer.listen` */
export function checkClient(address: string): CheckClient {
  // Each has connections of its own.
  const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const check = (bytes: Uint8Array, { timeoutMs, metadata = {}, signal }: CheckOptions = {}) =>
    new Promise<Buffer>((resolve, reject) => {
      const headers = new Metadata();
      for (const [name, value] of Object.entries(metadata)) headers.set(name, value);
      const options = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
      const done = (error: ServiceError | null, answer?: Buffer) =>
        error === null && answer !== undefined ? resolve(answer) : reject(error ?? new Error('no answer'));
      const call = client.makeUnaryRequest(
        CHECK_PATH,
        asTheyAre,
        asTheyAre,
        Buffer.from(bytes),
        headers,
        options,
        done,
      );
      signal?.addEventListener('abort', () => call.cancel());
    });
  return { check, close: () => client.close() };
}
