import { isProblem } from '../../core/runtime/problem.ts';
import { bytesFromBase64 } from '../../core/ledger/proof/base64.ts';
import type { JsonValue } from '../../core/ledger/canonical-json.ts';
import { rangeFrom } from '../../core/ledger/proof/compact-range.ts';
import type { Anchor } from '../../core/ledger/proof/head-check.ts';
import { isSameHash, rootOf } from '../../core/ledger/proof/merkle.ts';
import { noteKeyFrom, noteKeyText } from '../../core/ledger/proof/note-key.ts';
import type { NoteKey } from '../../core/ledger/proof/note-key.ts';
import type { CarriedTree } from '../../core/ledger/proof/seam.ts';
import type { RecordRange } from '../../core/ledger/proof/verdict.ts';

/** What the ledger of an authority records of a log that it received. */
export interface EmitterHistory {
  readonly origin: string;
  /** SPIFFE ID of the sidecar. */
  readonly id: string;
  readonly key: NoteKey;
  /** `open` until it left or was lost. */
  readonly state: 'open' | 'left' | 'lost';
  /** When that was recorded, in milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** The checkpoints that the ledger of the authority has. */
  readonly anchors: readonly Anchor[];
  /**
   * The highest number of records that it records as kept, and the root over them. Deleted records count only if a checkpoint
   * covered them: the others may have been changed before the retention read and deleted them.
   */
  readonly kept: { readonly size: number; readonly root: Uint8Array };
  /** Its last entry on the log: how many records are kept, and how many of them a checkpoint covers. */
  readonly last: { readonly size: number; readonly signed: number };
  /** The records that were kept by the authority of these ledgers, in order. */
  readonly received: readonly RecordRange[];
  /** The tree over the records that the retention deleted according to it; `null` if none. */
  readonly pruned: CarriedTree | null;
  /** The parts of the log that the retention deleted according to it, in the order of its records. */
  readonly deleted: readonly RecordRange[];
  /** The last deleted records whose content no checkpoint and none of these ledgers proves; `null` for none. */
  readonly uncovered: RecordRange | null;
  /** How its entries on the log contradict each other; `null` if they do not. */
  readonly contradiction: string | null;
}

/**
 * The history of each log, by origin. Records of other kinds are skipped, as are those of a log that never joined. An authority
 * that a sidecar has left for another authority records it as lost: that counts only if no authority received more.
 *
 * @param records those of one or several authorities, in order of time
 */
export function emitterHistories(
  records: Iterable<{ readonly [name: string]: JsonValue }>,
): ReadonlyMap<string, EmitterHistory> {
  const histories = new Map<string, Gathered>();
  for (const record of records) {
    const { kind, event, origin, by, size, signed, at, note } = record;
    const root = bytesFromBase64(typeof record['root'] === 'string' ? record['root'] : '');
    if (kind !== 'emitter' || typeof origin !== 'string' || typeof size !== 'number' || root === null) continue;
    const known = histories.get(origin) ?? joined(record, { origin, size, root });
    if (known === null) continue;
    const atMs = typeof at === 'number' ? at : 0;
    if (typeof note === 'string') known.anchors.push({ note, atMs });
    const state = stateAfter(event, size, known);
    const isUncovered = event === 'pruned' && (typeof signed !== 'number' || signed < size);
    histories.set(origin, {
      ...known,
      id: event === 'joined' && typeof by === 'string' ? by : known.id,
      ...(state === null ? {} : { state, atMs }),
      kept: size >= known.kept.size && !isUncovered ? { size, root } : known.kept,
      uncovered: uncoveredAfter(known, { event, size, signed }),
      last: event === 'pruned' ? known.last : { size, signed: typeof signed === 'number' ? signed : 0 },
      received: event === 'pruned' ? known.received : grown(known.received, { size, isJoined: event === 'joined' }),
      pruned: event === 'pruned' ? later(known.pruned, prunedTree(record, root)) : known.pruned,
      deleted: event === 'pruned' ? [...known.deleted, deletedPart(record, size)] : known.deleted,
      contradiction:
        known.contradiction ?? (event === 'pruned' ? prunedContradiction(record, { size, root }, known) : null),
    });
  }
  return histories;
}

/**
 * The deleted records that nothing covers, after a record. An authority that loses a sidecar records how many records were kept
 * after its last checkpoint, and the root over them. That root covers deleted records up to there, and none after.
 */
function uncoveredAfter(
  { uncovered, kept }: EmitterHistory,
  {
    event,
    size,
    signed,
  }: { readonly event: JsonValue | undefined; readonly size: number; readonly signed: JsonValue | undefined },
): RecordRange | null {
  const covered = typeof signed === 'number' ? signed : 0;
  if (event === 'pruned' && size > Math.max(covered, kept.size))
    return { from: Math.min(covered + 1, uncovered?.from ?? size), to: size };
  return uncovered !== null && (event === 'pruned' ? covered : size) >= uncovered.to ? null : uncovered;
}

/** What was received, after a record that the log is kept up to `size`. Between two joins another authority may have received more. */
function grown(
  received: readonly RecordRange[],
  { size, isJoined }: { readonly size: number; readonly isJoined: boolean },
): readonly RecordRange[] {
  const last = received.at(-1);
  if (last === undefined || (isJoined && size > last.to)) return [...received, { from: size + 1, to: size }];
  return [...received.slice(0, -1), { from: last.from, to: Math.max(last.to, size) }];
}

/** The tree in a `pruned` record; `null` if it does not have this root. */
function prunedTree({ tree, last }: { readonly [name: string]: JsonValue }, root: Uint8Array): CarriedTree | null {
  const bytes = typeof tree === 'string' ? bytesFromBase64(tree) : null;
  const range = bytes === null ? null : rangeFrom(bytes);
  const prev = typeof last === 'string' ? bytesFromBase64(last) : null;
  return range === null || prev === null || !isSameHash(rootOf(range.nodes), root) ? null : { ...range, prev };
}

/** Earlier versions did not record where the deleted part begins: then it begins at the first record. */
const deletedPart = ({ from }: { readonly [name: string]: JsonValue }, size: number): RecordRange => ({
  from: typeof from === 'number' ? from + 1 : 1,
  to: size,
});

/**
 * What is wrong with the retention's entry on deleted records; `null` for nothing. It takes their key from the store, so it must be the key
 * that the ledger names.
 */
function prunedContradiction(
  { verifierKey }: { readonly [name: string]: JsonValue },
  { size, root }: EmitterHistory['kept'],
  { key, kept }: EmitterHistory,
): string | null {
  if (typeof verifierKey === 'string' && verifierKey !== noteKeyText(key))
    return `the records up to ${size} were deleted by the retention with checkpoints of another key`;
  return size === kept.size && !isSameHash(root, kept.root)
    ? `the ${size} records that the retention deleted are not those that were kept`
    : null;
}

/**
 * The first records of a log that were missing when the retention deleted those after them; `null` for none. If these ledgers do not have the
 * beginning of the log, another ledger may record what was deleted first.
 */
export function missingBefore({ deleted, received }: Pick<EmitterHistory, 'deleted' | 'received'>): RecordRange | null {
  const parts = deleted.toSorted((a, b) => a.from - b.from);
  let to = received[0]?.from === 1 ? 0 : null;
  for (const part of parts) {
    if (to !== null && part.from > to + 1) return { from: to + 1, to: part.from - 1 };
    to = Math.max(to ?? 0, part.to);
  }
  return null;
}

const later = (one: CarriedTree | null, other: CarriedTree | null): CarriedTree | null =>
  (one?.size ?? 0) > (other?.size ?? 0) ? one : other;

type Gathered = EmitterHistory & { readonly anchors: Anchor[] };

/** The state of a log after a record; `null` if the record does not change it. */
function stateAfter(
  event: JsonValue | undefined,
  size: number,
  { state, kept }: EmitterHistory,
): EmitterHistory['state'] | null {
  if (event === 'joined') return 'open';
  if (event === 'left') return 'left';
  if (event === 'lost') return state !== 'left' && size >= kept.size ? 'lost' : null;
  return event === 'checkpoint' && state === 'lost' ? 'open' : null;
}

function joined(
  { event, verifierKey }: { readonly [name: string]: JsonValue },
  { origin, size, root }: { readonly origin: string; readonly size: number; readonly root: Uint8Array },
): Gathered | null {
  if (event !== 'joined' || typeof verifierKey !== 'string') return null;
  const key = noteKeyFrom(verifierKey);
  if (isProblem(key)) return null;
  return {
    origin,
    id: '',
    key,
    state: 'open',
    atMs: 0,
    anchors: [],
    kept: { size, root },
    last: { size: 0, signed: 0 },
    received: [],
    pruned: null,
    deleted: [],
    uncovered: null,
    contradiction: null,
  };
}
