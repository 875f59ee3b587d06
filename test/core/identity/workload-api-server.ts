import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  Server,
  ServerCredentials,
  status,
  type Metadata,
  type ServerWritableStream,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import type { IssuedSvid } from '../../../src/dev/authority.ts';
import { FETCH_X509_SVID_PATH, x509SvidResponseType } from '../../../src/core/identity/workload-api-stream.ts';

/** One entry of a response. */
export interface Entry {
  readonly spiffe_id: string;
  readonly x509_svid: Uint8Array;
  readonly x509_svid_key: Uint8Array;
  readonly bundle: Uint8Array;
  readonly hint?: string;
}

/** An X509SVIDResponse. */
export interface Response {
  readonly svids: readonly Entry[];
  readonly federated_bundles?: Readonly<Record<string, Uint8Array>>;
}

type Stream = ServerWritableStream<Buffer, Buffer>;

const asIs = (bytes: Buffer): Buffer => bytes;
const service: ServiceDefinition = {
  FetchX509SVID: {
    path: FETCH_X509_SVID_PATH,
    requestStream: false,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
};

/** A Workload API in this process, over real gRPC, controlled by the test. `close` once. */
export class WorkloadApiServer {
  /** The metadata of every stream. */
  readonly opened: Metadata[] = [];
  /** Sent to each stream when it opens. */
  greeting: Response | null = null;
  /** The status that ends each stream when it opens. */
  refusal: status | null = null;
  readonly #server: Server;
  readonly #streams = new Set<Stream>();

  private constructor(server: Server) {
    this.#server = server;
    server.addService(service, { FetchX509SVID: (stream: Stream) => this.#take(stream) });
  }

  /** Serves at `unix:/path` or `127.0.0.1:0`, and returns the port. */
  static async start(address: string): Promise<{ readonly server: WorkloadApiServer; readonly port: number }> {
    const grpc = new Server({ 'grpc.max_send_message_length': -1 });
    const server = new WorkloadApiServer(grpc);
    const port = await new Promise<number>((resolve, reject) => {
      grpc.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return { server, port };
  }

  /** Number of open streams. */
  get open(): number {
    return this.#streams.size;
  }

  push(response: Response): void {
    this.pushBytes(x509SvidResponseType.serialize(response));
  }

  pushBytes(bytes: Buffer): void {
    for (const stream of this.#streams) stream.write(bytes);
  }

  /** Ends every stream with a status. */
  end(code: status, details: string): void {
    for (const stream of this.#streams) stream.emit('error', { code, details });
    this.#streams.clear();
  }

  close(): void {
    this.#server.forceShutdown();
  }

  #take(stream: Stream): void {
    this.opened.push(stream.metadata);
    if (this.refusal !== null) {
      stream.emit('error', { code: this.refusal, details: 'not now' });
      return;
    }
    this.#streams.add(stream);
    stream.on('cancelled', () => this.#streams.delete(stream));
    if (this.greeting !== null) stream.write(x509SvidResponseType.serialize(this.greeting));
  }
}

/** DER of PEM certificates, concatenated. */
export const derOf = (...pems: readonly string[]): Buffer =>
  Buffer.concat(pems.map((pem) => new X509Certificate(pem).raw));

/** The entry of an SVID. */
export const entryOf = (svid: IssuedSvid, bundlePem: string, over: Partial<Entry> = {}): Entry => ({
  spiffe_id: svid.id,
  x509_svid: derOf(svid.certPem),
  x509_svid_key: createPrivateKey(svid.keyPem).export({ type: 'pkcs8', format: 'der' }),
  bundle: derOf(bundlePem),
  ...over,
});
