import { createHmac, timingSafeEqual } from 'node:crypto';

/** How long a nonce is issued. It is accepted for as long again. */
const WINDOW_MS = 300_000;
const WINDOW_BYTES = 6;
const MAC_BYTES = 16;

/**
 * The nonces that DPoP proofs must carry if several processes serve one name. Each process has a key of its own, so a proof that was made
 * for one process is refused by the others, and each remembers only its own proofs. A nonce is the number of a window of five
 * minutes with its MAC, so nothing is stored. Clients take the nonce from the refusal of their first proof.
 *
 * @see RFC 9449 sections 8 and 9
 */
export class ProofNonces {
  readonly #key: Uint8Array;
  readonly #monotonicMs: () => number;
  #window = -1;
  #current = '';
  #previous = '';

  /** @param key 32 bytes, cryptographically strong, generated for each process */
  constructor(key: Uint8Array, monotonicMs: () => number) {
    this.#key = key;
    this.#monotonicMs = monotonicMs;
  }

  /** The nonce to hand out now: 30 characters of base64url. */
  current(): string {
    this.#turn();
    return this.#current;
  }

  /** Whether a proof may carry the nonce: it is of this process, and of this window or the previous window. */
  isAccepted(nonce: string): boolean {
    this.#turn();
    return isSame(nonce, this.#current) || isSame(nonce, this.#previous);
  }

  #turn(): void {
    const window = Math.floor(this.#monotonicMs() / WINDOW_MS);
    if (window === this.#window) return;
    this.#window = window;
    this.#current = this.#nonceOf(window);
    this.#previous = window === 0 ? this.#current : this.#nonceOf(window - 1);
  }

  #nonceOf(window: number): string {
    const bytes = Buffer.alloc(WINDOW_BYTES);
    bytes.writeUIntBE(window, 0, WINDOW_BYTES);
    const mac = createHmac('sha256', this.#key).update(bytes).digest().subarray(0, MAC_BYTES);
    return Buffer.concat([bytes, mac]).toString('base64url');
  }
}

const isSame = (one: string, other: string): boolean =>
  one.length === other.length && timingSafeEqual(Buffer.from(one, 'latin1'), Buffer.from(other, 'latin1'));
