/**
 * A receive window: what the peer may send before a WINDOW_UPDATE, which is sent once half of the window has been consumed.
 *
 * @see RFC 9113 section 5.2
 */
export class ReceiveWindow {
  readonly #bytes: number;
  #left: number;
  /** Bytes consumed and not yet announced in a WINDOW_UPDATE. */
  #uncredited = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
    this.#left = bytes;
  }

  /** Counts received bytes. Returns false if they exceed the window. */
  receive(length: number): boolean {
    this.#left -= length;
    return this.#left >= 0;
  }

  /** Counts consumed bytes. @returns the increment to announce now; 0 for none yet */
  took(length: number): number {
    this.#uncredited += length;
    if (this.#uncredited < this.#bytes / 2) return 0;
    const credit = this.#uncredited;
    this.#left += credit;
    this.#uncredited = 0;
    return credit;
  }
}
