import { createHash, type KeyObject } from 'node:crypto';
import { canonicalJson, type JsonValue } from '../../../src/core/ledger/canonical-json.ts';
import { signedCheckpoint } from '../../../src/core/ledger/proof/checkpoint.ts';
import { appended, emptyRange, type CompactRange } from '../../../src/core/ledger/proof/compact-range.ts';
import type { Anchor } from '../../../src/core/ledger/proof/head-check.ts';
import { leafBytes } from '../../../src/core/ledger/proof/leaf.ts';
import { leafHash, rootOf } from '../../../src/core/ledger/proof/merkle.ts';
import { noteKeyOf, type NoteKey } from '../../../src/core/ledger/proof/note-key.ts';
import type { StoredLog } from '../../../src/core/ledger/proof/verification.ts';
import { privateKeyOf, publicKeyOf } from './keys.ts';
import { must } from '../../builders/must.ts';

/** A log in memory with everything that its storage would have. Each attack changes one. */
export interface MemoryLog {
  readonly origin: string;
  readonly entries: readonly { readonly seq: number; readonly bytes: Uint8Array }[];
  /** Sizes and notes, in order. */
  readonly checkpoints: readonly { readonly size: number; readonly note: string }[];
}

export const origin = 'remit.prod.example/edge-7/0123456789abcdef0123456789abcdef';
export const logKey: KeyObject = privateKeyOf(Buffer.alloc(32, 7));
export const pinned: NoteKey = noteKeyOf(origin, publicKeyOf(logKey));

/** 1 Jan 2026. */
const START_MS = 1_767_225_600_000;

/** The instant of a record of `logOf`: one per second. */
export const atOf = (seq: number): number => START_MS + seq * 1_000;

const recordOf = (seq: number): JsonValue => ({ at: atOf(seq), kind: 'use', task: `task-${seq}` });

const boot = createHash('sha256').update('boot').digest('hex').slice(0, 32);

/** The entries of these records from `first` on, chained after `prev`. */
export function chained(
  records: readonly JsonValue[],
  { first = 1, prev = null }: { readonly first?: number; readonly prev?: Uint8Array | null } = {},
): MemoryLog['entries'] {
  let last = prev;
  return records.map((record, index) => {
    const text = canonicalJson(record);
    if (typeof text !== 'string') throw new Error(text.problem);
    const seq = first + index;
    const bytes = must(leafBytes(Buffer.from(text), { boot, mono: seq * 1_000.5, prev: last, seq }));
    last = leafHash(bytes);
    return { seq, bytes };
  });
}

const rangeOf = (entries: MemoryLog['entries']): CompactRange =>
  entries.reduce((range, { bytes }) => appended(range, leafHash(bytes)), emptyRange);

/** The checkpoint of the first `size` entries, signed by `key`. */
export const headOf = (entries: MemoryLog['entries'], size: number, key: KeyObject = logKey): string =>
  signedCheckpoint({ origin, size, root: rootOf(rangeOf(entries.slice(0, size)).nodes) }, key);

/** A log of these entries with checkpoints of these sizes. */
export const logWith = (
  entries: MemoryLog['entries'],
  sizes: readonly number[],
  key: KeyObject = logKey,
): MemoryLog => ({
  origin,
  entries,
  checkpoints: sizes.map((size) => ({ size, note: headOf(entries, size, key) })),
});

const honest = chained(Array.from({ length: 32 }, (_, index) => recordOf(index + 1)));
const honestHeads = honest.map((_, index) => ({ size: index, note: headOf(honest, index) }));

/** An honest log of `size` records, at most 31. */
export const logOf = (size: number, checkpoints: readonly number[] = []): MemoryLog => ({
  origin,
  entries: honest.slice(0, size),
  checkpoints: checkpoints.flatMap((at) => honestHeads[at] ?? []),
});

/** The record that prunes the first `to` of these entries. */
export const prunedRecordOf = (entries: MemoryLog['entries'], to: number): { readonly [name: string]: JsonValue } => ({
  at: atOf(to + 1),
  kind: 'pruned',
  from: 1,
  to,
  root: Buffer.from(rootOf(rangeOf(entries.slice(0, to)).nodes)).toString('base64'),
});

/** An honest log of `size` records, at most 31, whose record `to` + 1 prunes all before it. */
export function logThatPrunes(size: number, to: number, checkpoints: readonly number[]): MemoryLog {
  const kept = honest.slice(0, to);
  const records = Array.from({ length: Math.max(0, size - to) }, (_, index) =>
    index === 0 && to > 0 ? prunedRecordOf(honest, to) : recordOf(to + index + 1),
  );
  const last = kept.at(-1);
  const rest = chained(records, { first: to + 1, prev: last === undefined ? null : leafHash(last.bytes) });
  return logWith([...kept, ...rest], checkpoints);
}

/** The anchors of these sizes, each received when its last record was written. */
export const anchorsOf = ({ entries }: MemoryLog, sizes: readonly number[]): readonly Anchor[] =>
  sizes.map((size) => ({ note: headOf(entries, size), atMs: atOf(size) }));

/** The log as a verifier reads it, without its first `pruned` records. */
export const stored = (log: MemoryLog, pruned = 0): StoredLog => {
  const last = log.entries[pruned - 1];
  return {
    origin: log.origin,
    carried: { ...rangeOf(log.entries.slice(0, pruned)), prev: last === undefined ? null : leafHash(last.bytes) },
    entries: () => log.entries.slice(pruned),
    checkpoints: () => log.checkpoints,
  };
};
