import { Transform, type TransformCallback } from 'node:stream';

/** A longer first event is passed on unchanged. */
const MAX_EVENT_BYTES = 8_192;

/**
 * Rewrites the URL in the first event of an event stream, where it is MCP's `endpoint` event, which tells the client where to
 * send its messages. The rest passes as it comes.
 *
 * @param localised gives the URL that the client must call
 * @see MCP 2024-11-05, Transports, HTTP with SSE
 */
export class EndpointEvent extends Transform {
  readonly #localised: (url: string) => string;
  #held: Buffer | null = Buffer.alloc(0);

  constructor(localised: (url: string) => string) {
    super();
    this.#localised = localised;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#held === null) return done(null, chunk);
    this.#held = Buffer.concat([this.#held, chunk]);
    const text = this.#held.toString('latin1');
    const end = /\r\n\r\n|\n\n|\r\r/.exec(text);
    if (end === null && this.#held.length <= MAX_EVENT_BYTES) return done();
    this.#release(end === null ? 0 : end.index);
    done();
  }

  override _flush(done: TransformCallback): void {
    if (this.#held !== null) this.#release(0);
    done();
  }

  /** @param end of the first event in what is held; 0 for none */
  #release(end: number): void {
    const held = this.#held ?? Buffer.alloc(0);
    this.#held = null;
    const event = held.toString('latin1', 0, end);
    const isEndpoint = /(?:^|[\r\n])event: ?endpoint(?:[\r\n]|$)/.test(event);
    const local = isEndpoint
      ? event.replace(
          /((?:^|[\r\n])data: ?)([^\r\n]*)/,
          (_line, field: string, url: string) => field + this.#localised(url),
        )
      : event;
    this.push(Buffer.concat([Buffer.from(local, 'latin1'), held.subarray(end)]));
  }
}
