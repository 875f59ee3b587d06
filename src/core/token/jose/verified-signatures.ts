import type { KeyObject } from 'node:crypto';
import { DigestTable, NOWHERE } from '../../runtime/collections/digest-table.ts';
import { SharedValues } from '../../runtime/collections/shared-values.ts';

/**
 * Remembers which key verified the signature of a token, by the digest of the whole token: the same text has the same signature under the
 * same key object. An LRU memory of `max` tokens, 60 bytes each.
 */
export class VerifiedSignatures {
  /** The digest of each token, with the number of its key. */
  readonly #tokens: DigestTable;
  /** All tokens of an issuer share a few keys. */
  readonly #keys = new SharedValues<KeyObject, KeyObject>();

  constructor(max: number) {
    this.#tokens = new DigestTable(max, { words: 1 }, (place) => this.#keys.release(this.#tokens.words[place] ?? 0));
  }

  /** The key that verified a token; `null` if none is remembered. */
  keyOf(digest: string): KeyObject | null {
    const place = this.#tokens.find(digest);
    return place === NOWHERE ? null : this.#keys.of(this.#tokens.words[place] ?? 0);
  }

  /** Remembers that the key verified the token, in place of an earlier key. */
  add(digest: string, key: KeyObject): void {
    const place = this.#tokens.take(digest);
    const former = this.#tokens.words[place] ?? 0;
    this.#tokens.words[place] = this.#keys.hold(key, key);
    this.#keys.release(former);
  }
}
