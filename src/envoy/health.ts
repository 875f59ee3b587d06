import type { ServerHttp2Stream } from 'node:http2';
import { endAnswer, failAnswer, GrpcStatus, sendMessage } from './grpc-answer.ts';
import { GrpcMessages, type MessageProblem } from './grpc-messages.ts';
import type { GrpcMethod } from './grpc-server.ts';
import { AUTHORIZATION_SERVICE } from './proto.ts';
import { delimited as delimitedField, fieldsOf, WireReader } from './wire-reader.ts';
import { bytesOf, delimited, number, text } from './wire-writer.ts';

/** The names a health check may ask for: the whole server, and the service Envoy's cluster names. */
export const HEALTH_SERVICES: readonly string[] = ['', AUTHORIZATION_SERVICE];

const PATH = '/grpc.health.v1.Health';
const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

/** Watchers at once; one more is refused. */
const MAX_WATCHERS = 256;
const MAX_MESSAGE_BYTES = 1_024;

/**
 * The gRPC health service, not serving until told otherwise: `Check`, `Watch` and `List`.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
export class Health {
  readonly #watchers = new Map<ServerHttp2Stream, string>();
  #isServing = false;

  /** The methods by their paths. */
  readonly methods: ReadonlyMap<string, GrpcMethod> = new Map([
    [`${PATH}/Check`, (stream) => withService(stream, (service) => this.#check(stream, service))],
    [`${PATH}/Watch`, (stream) => withService(stream, (service) => this.#watch(stream, service))],
    [`${PATH}/List`, (stream) => withService(stream, () => endAnswer(stream, this.#list()))],
  ]);

  /** Says whether the server serves; watchers hear of it at once. */
  set(isServing: boolean): void {
    if (isServing === this.#isServing) return;
    this.#isServing = isServing;
    for (const [stream, service] of this.#watchers) {
      if (HEALTH_SERVICES.includes(service)) sendMessage(stream, this.#answer(service));
    }
  }

  /** Ends the watching, which does not end by itself. */
  close(): void {
    for (const stream of this.#watchers.keys()) failAnswer(stream, GrpcStatus.unavailable, 'the server closes');
    this.#watchers.clear();
  }

  #check(stream: ServerHttp2Stream, service: string): void {
    if (HEALTH_SERVICES.includes(service)) endAnswer(stream, this.#answer(service));
    else failAnswer(stream, GrpcStatus.notFound, 'no such service');
  }

  #watch(stream: ServerHttp2Stream, service: string): void {
    if (this.#watchers.size >= MAX_WATCHERS) {
      failAnswer(stream, GrpcStatus.resourceExhausted, 'no more watchers');
      return;
    }
    this.#watchers.set(stream, service);
    stream.once('close', () => this.#watchers.delete(stream));
    sendMessage(stream, this.#answer(service));
  }

  #list(): Buffer {
    const entries = HEALTH_SERVICES.map((name) =>
      delimited(1, text(1, name) + delimited(2, number(1, this.#status(name)))),
    );
    return bytesOf(entries.join(''));
  }

  #answer(service: string): Buffer {
    return bytesOf(number(1, this.#status(service)));
  }

  #status(service: string): number {
    if (!HEALTH_SERVICES.includes(service)) return SERVICE_UNKNOWN;
    return this.#isServing ? SERVING : NOT_SERVING;
  }
}

const healthCheckRequest = fieldsOf<{ service: string }, WireReader>({
  1: delimitedField(1, (target, reader) => void (target.service = reader.text())),
});

/** Hands over the service that a call asks for, once it has said all. */
function withService(stream: ServerHttp2Stream, found: (service: string) => void): void {
  const messages = new GrpcMessages(MAX_MESSAGE_BYTES);
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= 2 * MAX_MESSAGE_BYTES) messages.add(chunk);
    else failAnswer(stream, GrpcStatus.resourceExhausted, 'the message is too large');
  });
  stream.on('end', () => {
    const service = serviceFrom(messages.only());
    if (service === null) failAnswer(stream, GrpcStatus.invalidArgument, 'not a health check');
    else found(service);
  });
}

function serviceFrom(message: Buffer | MessageProblem): string | null {
  if (typeof message === 'string') return null;
  const reader = new WireReader(message);
  const { service } = reader.whole(healthCheckRequest, { service: '' });
  return reader.problem === null ? service : null;
}
