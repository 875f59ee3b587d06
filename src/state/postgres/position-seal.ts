import { createHmac, timingSafeEqual } from 'node:crypto';

/** A position of the feed with a mark. */
export interface SealedPosition {
  readonly epoch: string;
  readonly seq: number;
  readonly mark: string;
}

/**
 * Authenticates the positions that are given to sidecars, by a key that never leaves the database and its authorities. So a position that
 * comes back was given by an authority, and a database that lacks its change has lost it: no sidecar can pretend that.
 */
export class PositionSeal {
  readonly #key: Uint8Array;

  /** @param key 32 bytes */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** What a sidecar is given for the mark of a change. */
  sealed(position: SealedPosition): string {
    return `${position.mark}.${this.#codeOf(position).toString('base64url')}`;
  }

  /** The mark in what a sidecar gives back with a position; `null` where this is not what it was given with that position. */
  opened({ epoch, seq, mark: sealed }: SealedPosition): string | null {
    const [mark = '', code = ''] = sealed.split('.', 2);
    const given = Buffer.from(code, 'base64url');
    const expected = this.#codeOf({ epoch, seq, mark });
    return given.length === expected.length && timingSafeEqual(given, expected) ? mark : null;
  }

  #codeOf({ epoch, seq, mark }: SealedPosition): Buffer {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([epoch, seq, mark]))
      .digest();
  }
}
