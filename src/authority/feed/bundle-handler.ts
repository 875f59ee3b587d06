import { status } from '@grpc/grpc-js';
import type { ServerWritableStream } from '@grpc/grpc-js';
import type { AuthorityCalls } from '../../core/fleet/messages.ts';
import type { After } from '../../core/runtime/timers.ts';

/** The signed policy bundle that sidecars are sent. */
export interface ServedBundle {
  readonly serial: number;
  readonly digest: string;
  readonly text: string;
}

/** A call of `Bundle` at an authority. */
export type BundleCall = ServerWritableStream<AuthorityCalls['Bundle'][0], AuthorityCalls['Bundle'][1]>;

const PART_BYTES = 256 * 1_024;
/** Bundles that are being sent, to all clients and to the clients of an identity. */
const MAX_SENDING = 256;
const MAX_SENDING_OF_ONE = 128;
/** Longest time that a client may take to read a bundle. */
const SEND_MS = 30_000;

/** Sends the signed policy bundle to sidecars that do not have it. */
export class BundleSender {
  readonly #bundle: () => ServedBundle | null;
  readonly #after: After;
  /** Number of bundles that are being sent, by peer. */
  readonly #sending = new Map<string, number>();
  #all = 0;
  #encoded: { readonly digest: string; readonly bytes: Buffer } | null = null;

  constructor(bundle: () => ServedBundle | null, after: After) {
    this.#bundle = bundle;
    this.#after = after;
  }

  /**
   * Sends the bundle in parts of 256 KiB, or nothing if the client has it. Refuses if there is no bundle, or too many are being
   * sent.
   *
   * @param peer the caller, by its certificate
   */
  handle(call: BundleCall, peer: string): void {
    const bundle = this.#bundle();
    if (bundle === null) return refuse(call, status.FAILED_PRECONDITION, 'there is no signed bundle here');
    if (call.request.digest === bundle.digest) return void call.end();
    if (!this.#begins(call, peer)) return refuse(call, status.RESOURCE_EXHAUSTED, 'too many bundles are being sent');
    const bytes = this.#bytesOf(bundle);
    let sent = 0;
    const send = (): void => {
      while (!call.cancelled && !call.destroyed && sent < bytes.length) {
        const part = bytes.subarray(sent, sent + PART_BYTES);
        sent += part.length;
        if (!call.write({ bytes: part })) return void call.once('drain', send);
      }
      if (!call.cancelled && !call.destroyed) call.end();
    };
    send();
  }

  /** Counts the call until it is over; `false` if there are too many. */
  #begins(call: BundleCall, peer: string): boolean {
    const ofOne = this.#sending.get(peer) ?? 0;
    if (this.#all >= MAX_SENDING || ofOne >= MAX_SENDING_OF_ONE) return false;
    this.#all += 1;
    this.#sending.set(peer, ofOne + 1);
    const cancel = this.#after(SEND_MS, () =>
      refuse(call, status.DEADLINE_EXCEEDED, 'the bundle was not read in time'),
    );
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      cancel();
      this.#all -= 1;
      const left = (this.#sending.get(peer) ?? 1) - 1;
      if (left > 0) this.#sending.set(peer, left);
      else this.#sending.delete(peer);
    };
    for (const event of ['cancelled', 'close', 'error', 'finish'] as const) call.on(event, over);
    return true;
  }

  /** Encoded once for all clients. */
  #bytesOf({ digest, text }: ServedBundle): Buffer {
    if (this.#encoded?.digest !== digest) this.#encoded = { digest, bytes: Buffer.from(text, 'utf8') };
    return this.#encoded.bytes;
  }
}

function refuse(call: BundleCall, code: status, details: string): void {
  if (!call.cancelled && !call.destroyed) call.emit('error', { code, details });
}
