import type { StreamEvents } from '../http2/stream.ts';
import { SharedTimeout } from '../../core/runtime/shared-timeout.ts';
import { after } from '../../core/runtime/timers.ts';
import { readDelimited, fieldReaders } from '../../core/protobuf/reader.ts';
import { type GrpcCall, type GrpcMethod, GrpcStatus } from './grpc/grpc-call.ts';
import { GrpcMessages, type MessageProblem } from './grpc/grpc-messages.ts';
import { ownCopyOf } from './check/own-copy.ts';
import { AUTHORIZATION_SERVICE } from './proto.ts';
import { WireReader } from './wire-reader.ts';
import { fieldsBy } from '../../core/protobuf/writer.ts';

/** Services that a health check may name: the whole server, and the service that Envoy's cluster names. */
export const HEALTH_SERVICES: readonly string[] = ['', AUTHORIZATION_SERVICE];

const PATH = '/grpc.health.v1.Health';
const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

/** Most watchers; further watchers are refused. */
const MAX_WATCHERS = 256;
const MAX_MESSAGE_BYTES = 1_024;
/** Timeout for a client to complete its request. At the limit of pending requests, the oldest is refused. */
const ASK_MS = 10_000;
const MAX_ASKING = 1_024;

/**
 * The gRPC health service: `Check`, `Watch` and `List`. Not serving until `set`.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
export class Health {
  readonly #watchers = new Map<GrpcCall, string>();
  /** Calls with an incomplete request. */
  readonly #asking: SharedTimeout<GrpcCall>;
  #isServing = false;

  constructor({ monotonicMs }: { readonly monotonicMs: () => number }) {
    this.#asking = new SharedTimeout({ ms: ASK_MS, max: MAX_ASKING, onTimeout: refuseLate, monotonicMs, after });
  }

  /** Methods by path. */
  readonly methods: ReadonlyMap<string, GrpcMethod> = new Map([
    [`${PATH}/Check`, (call) => this.#withService(call, { found: (service) => this.#check(call, service) })],
    [
      `${PATH}/Watch`,
      (call) =>
        this.#withService(call, {
          found: (service) => this.#watch(call, service),
          closed: () => void this.#watchers.delete(call),
        }),
    ],
    [`${PATH}/List`, (call) => this.#withService(call, { found: () => call.end(this.#list()) })],
  ]);

  /** Sets whether the server serves and notifies watchers. */
  set(isServing: boolean): void {
    if (isServing === this.#isServing) return;
    this.#isServing = isServing;
    for (const [call, service] of this.#watchers) {
      if (HEALTH_SERVICES.includes(service)) call.sendMessage(this.#answer(service));
    }
  }

  /** Ends all watches. */
  close(): void {
    for (const call of this.#watchers.keys()) call.fail(GrpcStatus.unavailable, 'the server closes');
    this.#watchers.clear();
    this.#asking.close();
  }

  /** Passes on the requested service, once the client has half-closed. */
  #withService(
    call: GrpcCall,
    { found, closed = () => undefined }: { readonly found: (service: string) => void; readonly closed?: () => void },
  ): StreamEvents {
    const messages = new GrpcMessages(MAX_MESSAGE_BYTES);
    const isAsked = this.#asking.add(call);
    let size = 0;
    return {
      data: (bytes, part) => {
        call.took(bytes.length);
        size += bytes.length;
        // A waiting chunk must not keep a larger buffer in memory.
        if (size <= 2 * MAX_MESSAGE_BYTES) messages.add(part === 'last' ? bytes : ownCopyOf(bytes));
        else call.fail(GrpcStatus.resourceExhausted, 'the message is too large');
      },
      ended: () => {
        isAsked();
        const service = serviceFrom(messages.only());
        if (service === null) call.fail(GrpcStatus.invalidArgument, 'not a health check');
        else found(service);
      },
      closed: () => {
        isAsked();
        closed();
      },
    };
  }

  #check(call: GrpcCall, service: string): void {
    if (HEALTH_SERVICES.includes(service)) call.end(this.#answer(service));
    else call.fail(GrpcStatus.notFound, 'no such service');
  }

  #watch(call: GrpcCall, service: string): void {
    if (this.#watchers.size >= MAX_WATCHERS) {
      call.fail(GrpcStatus.resourceExhausted, 'no more watchers');
      return;
    }
    this.#watchers.set(call, service);
    call.sendMessage(this.#answer(service));
  }

  #list(): Uint8Array {
    return fieldsBy((into) => {
      for (const name of HEALTH_SERVICES) {
        const entry = into.open(1);
        into.text(1, name);
        const response = into.open(2);
        into.integer(1, this.#status(name));
        into.close(response);
        into.close(entry);
      }
    });
  }

  #answer(service: string): Uint8Array {
    return fieldsBy((into) => into.integer(1, this.#status(service)));
  }

  #status(service: string): number {
    if (!HEALTH_SERVICES.includes(service)) return SERVICE_UNKNOWN;
    return this.#isServing ? SERVING : NOT_SERVING;
  }
}

const refuseLate = (call: GrpcCall): void => call.fail(GrpcStatus.deadlineExceeded, 'the request did not come');

const healthCheckRequest = fieldReaders<{ service: string }, WireReader>({
  1: readDelimited(1, (target, reader) => void (target.service = reader.text())),
});

function serviceFrom(message: Buffer | MessageProblem): string | null {
  if (typeof message === 'string') return null;
  const reader = new WireReader(message);
  const { service } = reader.whole(healthCheckRequest, { service: '' });
  return reader.problem === null ? service : null;
}
