import { createHmac, timingSafeEqual } from 'node:crypto';

/** A position of the feed with a mark. */
export interface SealedPosition {
  readonly epoch: string;
  readonly seq: number;
  readonly mark: string;
  /** When the life of the database began. */
  readonly bornMs: number;
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
    return `${position.mark}.${position.bornMs}.${this.#codeOf(position).toString('base64url')}`;
  }

  /** The position sealed in the mark that a sidecar gives back; `null` if the mark was not given with this position. */
  opened({ epoch, seq, mark: sealed }: Omit<SealedPosition, 'bornMs'>): SealedPosition | null {
    const [mark = '', born = '', code = ''] = sealed.split('.', 3);
    const position = { epoch, seq, mark, bornMs: Number(born) };
    const given = Buffer.from(code, 'base64url');
    const expected = this.#codeOf(position);
    return given.length === expected.length && timingSafeEqual(given, expected) ? position : null;
  }

  #codeOf({ epoch, seq, mark, bornMs }: SealedPosition): Buffer {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([epoch, seq, mark, bornMs]))
      .digest();
  }
}
