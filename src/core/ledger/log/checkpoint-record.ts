import { isProblem } from '../../runtime/problem.ts';
import { leafFrom } from '../proof/leaf.ts';
import type { PlacedLeaf } from './segment/segment.ts';

/** What the record of a checkpoint says. A checkpoint covers it, unlike the columns of a segment. */
export interface SaidByCheckpoint {
  readonly at: number;
  /** The first record that is kept. */
  readonly first: number;
  /** When its segment was begun; `null` in a record of an earlier release. */
  readonly begun: number | null;
  /** The highest outbox number taken from each state file; `null` in a record of an earlier release. */
  readonly taken: ReadonlyMap<string, number> | null;
}

/** What the record of the checkpoint of `size` says; `null` if the leaf is anything else. */
export function checkpointRecordIn(leaf: PlacedLeaf | undefined, size: number): SaidByCheckpoint | null {
  const read = leaf === undefined ? null : leafFrom(leaf.bytes);
  if (read === null || isProblem(read) || read.seq !== size) return null;
  const { kind, at, first, begun, taken, size: said } = read.record;
  if (kind !== 'checkpoint' || said !== size || typeof at !== 'number' || typeof first !== 'number') return null;
  return { at, first, begun: typeof begun === 'number' ? begun : null, taken: numbersIn(taken) };
}

function numbersIn(value: unknown): ReadonlyMap<string, number> | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const entries = Object.entries(value);
  return entries.every((entry): entry is [string, number] => typeof entry[1] === 'number') ? new Map(entries) : null;
}
