import { status } from '@grpc/grpc-js';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { STREAM_WINDOW_BYTES, type StreamEvents } from '../../http2/stream.ts';
import type { GrpcCall, GrpcMethod } from '../grpc/grpc-call.ts';
import { framed } from '../grpc/grpc-messages.ts';

/** What a call needs besides grpc-js. */
export interface NetworkCallOptions {
  readonly method: GrpcMethod;
  /** Milliseconds until the client gives up, from now; `null` if it set no limit. */
  readonly timeoutMs: number | null;
  /** Reads the message of the call now or later, and returns a function that cancels this. `null` for a call of many messages. */
  readonly read: ((begin: () => void) => () => void) | null;
  /** Ends the connection of the call. */
  readonly hangUp: () => void;
  /** Called with what the method threw. It must not throw. */
  readonly onFault: (error: unknown) => void;
  /** The call has begun. Returns a function that is called when it is over. */
  readonly opened: () => () => void;
}

const INTERNAL = { code: status.INTERNAL, details: 'the call failed' };
const OK = { code: status.OK, details: '' };
/** The statuses of grpc-js by their numbers. */
const statuses = new Map<number, status>(
  Object.values(status).flatMap((code) => (typeof code === 'number' ? [[code, code]] : [])),
);

/** Serves a call of grpc-js by a method of ours. Its messages are bytes on both sides. */
export function serveCall(call: ServerInterceptingCallInterface, options: NetworkCallOptions): void {
  const served = new NetworkCall(call, options);
  call.start({
    onReceiveMetadata: (metadata) => served.begin(metadata.get('traceparent').join(', ')),
    onReceiveMessage: (message: Buffer) => served.receive(message),
    onReceiveHalfClose: () => served.receiveEnd(),
    onCancel: () => served.close(),
  });
}

/** A call carried by grpc-js, which reads a single message on each request. */
class NetworkCall implements GrpcCall {
  readonly #call: ServerInterceptingCallInterface;
  readonly #options: NetworkCallOptions;
  #events: StreamEvents | null = null;
  #endReading: () => void = () => undefined;
  /** Bytes passed on and not yet consumed. */
  #untaken = 0;
  /** Whether grpc-js was asked to read, or is delivering a message. */
  #isReading = false;
  #over: () => void = () => undefined;
  #state: 'open' | 'answered' | 'over' = 'open';

  constructor(call: ServerInterceptingCallInterface, options: NetworkCallOptions) {
    this.#call = call;
    this.#options = options;
  }

  begin(traceparent: string): void {
    const { method, opened, read, timeoutMs } = this.#options;
    this.#over = opened();
    this.#guarded(() => {
      this.#events = method(this, { timeoutMs, traceparent: traceparent === '' ? null : traceparent });
    });
    if (this.#state !== 'open') return;
    if (read === null) this.#read();
    else this.#endReading = read(() => this.#read());
  }

  receive(message: Buffer): void {
    const bytes = framed(message);
    this.#untaken += bytes.length;
    this.#guarded(() => this.#events?.data(bytes, 'more'));
    // Not before: grpc-js may pass on the half-close at once.
    this.#isReading = false;
    this.#read();
  }

  receiveEnd(): void {
    this.#endReading();
    this.#guarded(() => this.#events?.ended());
  }

  close(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#endReading();
    this.#over();
    this.#guarded(() => this.#events?.closed());
  }

  sendMessage(message: Uint8Array): void {
    if (this.#state !== 'open') return;
    this.#call.sendMessage(asBuffer(message), () => undefined);
  }

  end(message: Uint8Array): void {
    this.sendMessage(message);
    this.#finish(OK);
  }

  fail(code: number, details: string): void {
    this.#finish({ code: statuses.get(code) ?? status.UNKNOWN, details });
  }

  /** grpc-js cannot reset a stream. INVARIANT: a client that does not read its answers loses its connection, so that they do not pile up. */
  cut(): void {
    if (this.#state !== 'over') this.#options.hangUp();
  }

  took(length: number): void {
    this.#untaken -= length;
    this.#read();
  }

  #read(): void {
    if (this.#state !== 'open' || this.#isReading || this.#untaken > STREAM_WINDOW_BYTES) return;
    this.#isReading = true;
    this.#call.startRead();
  }

  #finish(ending: { readonly code: status; readonly details: string }): void {
    if (this.#state !== 'open') return;
    this.#state = 'answered';
    this.#endReading();
    this.#call.sendStatus(ending);
  }

  /** INVARIANT: an exception of a call's listener ends neither the process nor another call. */
  #guarded(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#options.onFault(error);
      this.#finish(INTERNAL);
    }
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
