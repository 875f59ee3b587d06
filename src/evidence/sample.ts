import { hash } from 'node:crypto';

/** A random sample of records that is reproducible from its seed. */
export interface RecordSample {
  /** Offers a record. */
  readonly offer: (seq: number, score: string) => void;
  /** The numbers of the chosen records, ascending. */
  readonly chosen: () => readonly number[];
}

/** The score of a record: SHA-256 of the seed, a line feed and the record number. */
export const scoreOf = (seed: string, seq: number): string => hash('sha256', `${seed}\n${seq}`, 'hex');

/** Keeps the `size` records with the lowest scores: every subset is equally likely. One pass, memory for `size` records. */
export function sampleOf(size: number): RecordSample {
  const best: { readonly seq: number; readonly score: string }[] = [];
  return {
    offer: (seq, score) => {
      const last = best.at(-1);
      if (best.length >= size && (last === undefined || score >= last.score)) return;
      const at = best.findIndex((each) => score < each.score);
      best.splice(at === -1 ? best.length : at, 0, { seq, score });
      if (best.length > size) best.pop();
    },
    chosen: () => best.map(({ seq }) => seq).toSorted((a, b) => a - b),
  };
}
