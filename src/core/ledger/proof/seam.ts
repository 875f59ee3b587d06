/** The boundary between two stored parts of a log. */
import { base64Of } from './base64.ts';
import { isRange, type CompactRange } from './compact-range.ts';
import { HASH_BYTES, isSameHash, rootOf } from './merkle.ts';
import { recordsText, type RecordRange } from './verdict.ts';

/** The tree over all records before a point, with the leaf hash of the last record; `null` before the first. */
export type CarriedTree = CompactRange & { readonly prev: Uint8Array | null };

/** The start of a part of the storage: what it claims about itself and everything before. */
export interface Seam {
  readonly origin: string;
  readonly carried: CarriedTree;
}

/** The log's state at the end of a part. */
export interface PartEnd {
  readonly origin: string;
  readonly range: CompactRange;
  /** base64 leaf hash of the last record; empty before the first. */
  readonly prev: string;
}

/** Why two parts do not fit together; `lost` if records between them are missing. */
export interface TornSeam {
  readonly problem: string;
  readonly lost?: RecordRange;
}

/** A part must start at the end of the previous part, with the same tree; otherwise records are missing or were changed. */
export function tornSeam({ origin, carried }: Seam, end: PartEnd): TornSeam | null {
  const { range, prev } = end;
  if (origin !== end.origin) return { problem: `the part after record ${range.size} belongs to \`${origin}\`` };
  const unusable = carriedProblem(carried);
  if (unusable !== null) {
    return { problem: `the part after record ${range.size} cannot be continued: ${unusable}` };
  }
  if (carried.size > range.size) {
    const lost = { from: range.size + 1, to: carried.size };
    return { problem: `${recordsText(lost)} missing`, lost };
  }
  if (carried.size < range.size) return { problem: `a part begins after record ${carried.size} a second time` };
  const isSame = isSameHash(rootOf(carried.nodes), rootOf(range.nodes)) && base64OrNothing(carried.prev) === prev;
  return isSame
    ? null
    : { problem: `the part after record ${range.size} continues other records than those before it` };
}

/** Why a tree cannot cover the records before a part; `null` if it can. */
export function carriedProblem(carried: CarriedTree): string | null {
  if (!isRange(carried)) return 'what is left of the pruned records is not a compact range';
  if (carried.size === 0)
    return carried.prev === null ? null : 'no record was pruned, but the part links to a record before it';
  if (carried.prev?.length !== HASH_BYTES) return 'the hash of the last pruned record is missing';
  const last = carried.nodes.at(-1);
  const isOwnNode = carried.size % 2 === 1 && last !== undefined;
  return isOwnNode && !isSameHash(last, carried.prev) ? 'the last pruned record has two hashes' : null;
}

/** A hash in the form in which a leaf links to it. */
export const base64OrNothing = (hash: Uint8Array | null): string => (hash === null ? '' : base64Of(hash));
