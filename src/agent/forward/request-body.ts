import type { ClientRequest, IncomingMessage } from 'node:http';
import type { LocalUrls } from './local/local-urls.ts';
import { passedRequestTrailers, valuesOf } from './passed-headers.ts';

/** A longer body is not kept, so its request is not repeated. */
export const MAX_KEPT_BYTES = 65_536;

/**
 * The body of a request as it arrives: sent on with back-pressure, and kept while it is small, so that it can be sent again.
 *
 * Lifecycle: `sendTo` for the first attempt; again if `isReplayable`.
 */
export class RequestBody {
  readonly #request: IncomingMessage;
  readonly #localUrls: Pick<LocalUrls, 'hidden'>;
  #kept: Buffer[] | null = [];
  #keptBytes = 0;
  #isWhole = false;
  #isSent = false;

  constructor(request: IncomingMessage, localUrls: Pick<LocalUrls, 'hidden'>) {
    this.#request = request;
    this.#localUrls = localUrls;
  }

  /** Whether all of it has arrived and is still here. */
  isReplayable(): boolean {
    return this.#isWhole && this.#kept !== null;
  }

  /** What has arrived, if that is all of it and it is still here. */
  kept(): Buffer | null {
    return this.isReplayable() ? Buffer.concat(this.#kept ?? []) : null;
  }

  /** All of it, for an answer of the forwarder itself; `null` if it is longer than is kept, or broke off as it was sent. */
  async whole(): Promise<Buffer | null> {
    if (this.#isSent) return this.kept();
    for await (const chunk of this.#request as AsyncIterable<Buffer>) {
      this.#keep(chunk);
      if (this.#kept === null) return null;
    }
    this.#isWhole = true;
    return this.kept();
  }

  sendTo(sent: ClientRequest): void {
    this.#isSent = true;
    if (this.#isWhole) return this.#end(sent, Buffer.concat(this.#kept ?? []));
    if (isBodyless(this.#request)) {
      this.#isWhole = true;
      this.#request.resume();
      return void sent.end();
    }
    const request = this.#request;
    const onDrain = (): void => void request.resume();
    request.on('data', (chunk: Buffer) => {
      this.#keep(chunk);
      if (sent.destroyed || sent.write(chunk)) return;
      request.pause();
      sent.once('drain', onDrain);
    });
    request.once('end', () => {
      this.#isWhole = true;
      this.#end(sent, null);
    });
    // What is left of it is read and dropped, so that the connection of the client stays usable.
    sent.once('close', onDrain);
    setImmediate(() => {
      if (!sent.destroyed && !sent.writableEnded) sent.flushHeaders();
    });
  }

  #end(sent: ClientRequest, whole: Buffer | null): void {
    if (sent.destroyed) return;
    if (whole !== null && whole.length > 0) sent.write(whole);
    const trailers = passedRequestTrailers(this.#request.rawTrailers, this.#localUrls);
    if (trailers.length > 0) {
      sent.addTrailers(trailers.flatMap((name, at) => (at % 2 === 0 ? [[name, trailers[at + 1] ?? ''] as const] : [])));
    }
    sent.end();
  }

  #keep(chunk: Buffer): void {
    if (this.#kept === null) return;
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > MAX_KEPT_BYTES) this.#kept = null;
    else this.#kept.push(chunk);
  }
}

const isBodyless = ({ rawHeaders }: IncomingMessage): boolean =>
  valuesOf(rawHeaders, 'transfer-encoding').length === 0 && (valuesOf(rawHeaders, 'content-length')[0] ?? '0') === '0';
