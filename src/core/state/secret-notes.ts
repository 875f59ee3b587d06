import { LRUCache } from 'lru-cache';
import { upTo } from '../runtime/collections/up-to.ts';
import type { DueSecret, SeenSecret } from './secret-sighting.ts';

/** Largest number of static secrets in the inventory. */
export const MAX_SECRETS = 10_000;
const WRITE_EVERY_MS = 60_000;
const MAX_NEW_A_SECOND = 10;

/** Decides which sightings are due to be written, so that not every call with a secret causes a write. */
export class SecretNotes {
  readonly #noted = new LRUCache<string, { readonly writtenMs: number; readonly unwritten: number }>({
    ...upTo(MAX_SECRETS),
  });
  #second = 0;
  #newInSecond = 0;

  /** Notes the sightings. Returns those that are due now. */
  due(seen: readonly SeenSecret[], nowMs: number): readonly DueSecret[] {
    return seen.flatMap((secret) => {
      const key = `${secret.digest} ${secret.action} ${secret.agent}`;
      const noted = this.#noted.get(key);
      if (noted === undefined && !this.#hasRoom(nowMs)) return [];
      const times = (noted?.unwritten ?? 0) + 1;
      const isDue = noted === undefined || nowMs - noted.writtenMs >= WRITE_EVERY_MS;
      this.#noted.set(key, isDue ? { writtenMs: nowMs, unwritten: 0 } : { ...noted, unwritten: times });
      return isDue ? [{ secret, times }] : [];
    });
  }

  #hasRoom(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) this.#newInSecond = 0;
    this.#second = second;
    this.#newInSecond += 1;
    return this.#newInSecond <= MAX_NEW_A_SECOND;
  }
}
