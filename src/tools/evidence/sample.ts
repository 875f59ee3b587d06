import { hash } from 'node:crypto';
import { type LedgerPlace, type RecordRef } from './counted.ts';

/** A random sample of records that is reproducible from its seed. */
export interface RecordSample {
  /** Offers a record. */
  readonly offer: (place: LedgerPlace, score: string) => void;
  /** The chosen records, those of the ledger first, each log by number. */
  readonly chosen: () => readonly LedgerPlace[];
}

/** The score of a record: SHA-256 of the seed, a line feed and the name of the record. */
export const scoreOf = (seed: string, ref: RecordRef): string => hash('sha256', `${seed}\n${ref}`, 'hex');

/** Orders records: those of the ledger first, then by log, each by number. */
export function byPlace(one: LedgerPlace, other: LedgerPlace): number {
  const [a, b] = [one.log ?? '', other.log ?? ''];
  return a === b ? one.seq - other.seq : a < b ? -1 : 1;
}

/** Keeps the `size` records with the lowest scores: every subset is equally likely. One pass, memory for `size` records. */
export function sampleOf(size: number): RecordSample {
  const best: { readonly place: LedgerPlace; readonly score: string }[] = [];
  return {
    offer: (place, score) => {
      const last = best.at(-1);
      if (best.length >= size && (last === undefined || score >= last.score)) return;
      const at = best.findIndex((each) => score < each.score);
      best.splice(at === -1 ? best.length : at, 0, { place, score });
      if (best.length > size) best.pop();
    },
    chosen: () => best.map(({ place }) => place).toSorted(byPlace),
  };
}
