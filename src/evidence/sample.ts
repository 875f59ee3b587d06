import { hash } from 'node:crypto';

/** A random choice of records that anybody with the same seed makes again. */
export interface RecordSample {
  /** Offers a record. */
  readonly offer: (seq: number, score: string) => void;
  /** The numbers of those that were chosen, in order. */
  readonly chosen: () => readonly number[];
}

/** The place of a record in the lottery of a seed: SHA-256 of the seed, a line feed and the record number. */
export const scoreOf = (seed: string, seq: number): string => hash('sha256', `${seed}\n${seq}`, 'hex');

/** The `size` records of the lowest scores: each subset is as likely, in one pass and in memory of that size. */
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
