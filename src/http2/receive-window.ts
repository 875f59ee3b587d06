/**
 * What the other end may send before it hears that more may come. It hears so once half of the window has been dealt with.
 *
 * @see RFC 9113 section 5.2
 */
export class ReceiveWindow {
  readonly #bytes: number;
  #left: number;
  /** Dealt with, and the other end was not told yet. */
  #uncredited = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
    this.#left = bytes;
  }

  /** Bytes came; whether they were let. */
  receive(length: number): boolean {
    this.#left -= length;
    return this.#left >= 0;
  }

  /** Bytes were dealt with. @returns how many more are to be let pass now; 0 for none yet */
  took(length: number): number {
    this.#uncredited += length;
    if (this.#uncredited < this.#bytes / 2) return 0;
    const credit = this.#uncredited;
    this.#left += credit;
    this.#uncredited = 0;
    return credit;
  }
}
