import type { JsonValue } from './canonical-json.ts';
import type { Remark } from './verdict.ts';

/** Looks at what the log says of its own beginning, in the order of the records. */
export interface KeptWatch {
  readonly see: (seq: number, record: { readonly [name: string]: JsonValue }) => void;
  /** @param pruned records that are not there */
  readonly remarks: (pruned: number) => readonly Remark[];
}

/**
 * The remark that records are gone which the last checkpoint record says are kept. It is no proof: a log gives up records
 * right after a checkpoint, and says so in the next one.
 */
export function keptWatch(): KeptWatch {
  let last: { readonly seq: number; readonly first: number } | null = null;
  return {
    see: (seq, { kind, first }) => {
      if (kind === 'checkpoint' && typeof first === 'number') last = { seq, first };
    },
    remarks: (pruned) => {
      if (last === null || last.first > pruned) return [];
      const [gone, is] =
        last.first === pruned ? [`record ${pruned}`, 'is'] : [`records ${last.first} to ${pruned}`, 'are'];
      return [{ seq: last.seq, remark: `${gone} ${is} gone, which it says ${is} kept: given up since, or deleted` }];
    },
  };
}
