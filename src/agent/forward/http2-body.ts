import type { ClientHttp2Stream, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { MAX_KEPT_BYTES } from './request-body.ts';

/** How a body is sent: `orReset` sends trailers, or resets the stream if Node.js refuses them. */
export interface StreamBodyOptions {
  /** Whether the request has no body. */
  readonly isEnded: boolean;
  /** Trailers as they go upstream. */
  readonly trailersOf: (lines: readonly string[]) => OutgoingHttpHeaders;
  readonly orReset: (sent: ClientHttp2Stream, send: () => void) => void;
}

/**
 * The body of a stream as it arrives: sent on with back-pressure, and kept while it is small, so that the call can be sent again.
 *
 * Lifecycle: made as the stream arrives; `sendTo` for the first attempt; again if `isReplayable`.
 */
export class StreamBody {
  readonly #stream: ServerHttp2Stream;
  readonly #options: StreamBodyOptions;
  #kept: Buffer[] | null = [];
  #keptBytes = 0;
  #isWhole: boolean;
  #isSent = false;
  #trailers: OutgoingHttpHeaders = {};

  constructor(stream: ServerHttp2Stream, options: StreamBodyOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#isWhole = options.isEnded;
    // Added at once: trailers may arrive before there is a session to send on, and an event without a listener is lost.
    stream.once('trailers', (_headers: unknown, _flags: unknown, lines: readonly string[] | undefined) => {
      this.#trailers = options.trailersOf(lines ?? []);
    });
  }

  /** Whether all of it has arrived and is still here. */
  isReplayable(): boolean {
    return this.#isWhole && this.#kept !== null;
  }

  /** What has arrived, if that is all of it and it is still here. */
  kept(): Buffer | null {
    return this.isReplayable() ? Buffer.concat(this.#kept ?? []) : null;
  }

  sendTo(sent: ClientHttp2Stream): void {
    const { isEnded, orReset } = this.#options;
    if (isEnded) return;
    sent.once('wantTrailers', () => orReset(sent, () => sent.sendTrailers(this.#trailers)));
    if (this.#isSent) return void sent.end(this.kept() ?? undefined);
    this.#isSent = true;
    const stream = this.#stream;
    stream.on('data', (chunk: Buffer) => this.#keep(chunk)).once('end', () => (this.#isWhole = true));
    stream.pipe(sent);
  }

  #keep(chunk: Buffer): void {
    if (this.#kept === null) return;
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > MAX_KEPT_BYTES) this.#kept = null;
    else this.#kept.push(chunk);
  }
}
