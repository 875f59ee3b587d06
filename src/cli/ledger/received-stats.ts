/** Counts the records of sidecars, on from what was kept at their checkpoints. */
import { emitterHistories } from '../../authority/records/emitter-history.ts';
import { emittersIn } from '../../authority/records/named-log.ts';
import type { ReceivedLog } from '../../authority/records/received-logs.ts';
import { isMatch } from '../../authority/records/received-search.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import { base64Of, bytesFromBase64 } from '../../core/ledger/proof/base64.ts';
import { checkpointInNote } from '../../core/ledger/proof/checkpoint.ts';
import type { Checkpoint } from '../../core/ledger/proof/checkpoint.ts';
import { appended, emptyRange, rangeBytes, rangeFrom } from '../../core/ledger/proof/compact-range.ts';
import type { CompactRange } from '../../core/ledger/proof/compact-range.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import { leafHash, rootOf } from '../../core/ledger/proof/merkle.ts';
import { allNeedlesOf, hasNeedles } from '../../core/ledger/search/record-query.ts';
import { RecordStats, statsStateFrom } from '../../core/ledger/search/record-stats.ts';
import type { StatsOf, StatsState } from '../../core/ledger/search/record-stats.ts';
import { integer, listOf, members, text } from '../../core/runtime/fields.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { CheckedHead } from './stats-cache.ts';

/** A log of a sidecar up to a checkpoint. */
interface ReceivedHead extends CheckedHead {
  /** The tree over its records, serialised in base64. */
  readonly tree: string;
}

/** What was counted of received logs, up to a checkpoint of each. */
export interface KeptReceived {
  readonly heads: readonly ReceivedHead[];
  readonly state: StatsState;
}

/** What is counted, and how. */
export interface ReceivedCounting {
  readonly filter: RecordFilter;
  readonly of: StatsOf;
  /** What was kept the last time, as parsed from JSON. */
  readonly kept: unknown;
  /** The ledger of the authority. */
  readonly ledger: LogReader;
  /** Called with each record that is counted. */
  readonly onRecord: () => void;
}

/** What was counted of received logs. */
export interface ReceivedCount {
  readonly counted: RecordStats;
  /** What may be kept for the next time. */
  readonly kept: KeptReceived;
  /** Records that are missing or could not be read: the first 100. */
  readonly faults: readonly string[];
}

/**
 * Counts the matching records of received logs. INVARIANT: what may be kept was counted from records with exactly the tree of a checkpoint, log by log, so
 * that a changed copy leaves nothing behind; the bytes that are hashed are those that are counted. What was kept is used if each of its logs still
 * has that checkpoint, and begins with the same record; otherwise all is counted anew.
 */
export function countReceived(logs: ReadonlyMap<string, ReceivedLog>, counting: ReceivedCounting): ReceivedCount {
  const { of } = counting;
  const known = knownOf(counting.kept, logs, of);
  const [signed, rest] = [new RecordStats(of), new RecordStats(of)];
  if (known !== null) signed.merge(known.state);
  const carriedOf = carriedBy(counting.ledger);
  const heads: ReceivedHead[] = [];
  const faults: string[] = [];
  for (const log of logs.values()) {
    const before = known?.heads.get(log.origin) ?? null;
    const { upTo, after, range } = countLog(log, before?.range ?? carriedOf(log), { ...counting, faults });
    (range === null ? rest : signed).merge(upTo.state());
    rest.merge(after.state());
    const head = range === null ? (before?.head ?? null) : headOf(log, range);
    if (head !== null) heads.push(head);
  }
  const kept = { heads, state: signed.state() };
  signed.merge(rest.state());
  return { counted: signed, kept, faults };
}

/** What was counted of one log. */
interface CountedLog {
  /** Up to the last checkpoint, and after it. */
  readonly upTo: RecordStats;
  readonly after: RecordStats;
  /** The tree at that checkpoint, if it is the tree of these records; otherwise `null`. */
  readonly range: CompactRange | null;
}

/**
 * Counts a log. If it has a fault up to its last checkpoint, its counts are not cached, so that the next count warns of it too.
 *
 * @param start the tree over the records before those that are counted; `null` if it is not known
 */
function countLog(
  log: ReceivedLog,
  start: CompactRange | null,
  { filter, of, onRecord, faults }: ReceivedCounting & { readonly faults: string[] },
): CountedLog {
  const [upTo, after] = [new RecordStats(of), new RecordStats(of)];
  const head = lastHeadOf(log);
  const needles = allNeedlesOf(filter);
  const isHead = (range: CompactRange | null): boolean =>
    range !== null && range.size === head?.size && base64Of(rootOf(range.nodes)) === base64Of(head.root);
  let range = start;
  let signed = isHead(range) ? range : null;
  let last = start?.size ?? log.before;
  let firstFault = Number.POSITIVE_INFINITY;
  const fault = (seq: number, which: string, problem: string): void => {
    firstFault = Math.min(firstFault, seq);
    if (faults.length < MAX_FAULTS) faults.push(`${which} of \`${log.origin}\` ${problem}`);
  };
  const goOnAt = (next: number): void => {
    if (next > last + 1) fault(last + 1, `records ${last + 1} to ${next - 1}`, 'are missing');
    last = next;
  };
  for (const { seq, bytes } of log.entriesAfter(last)) {
    goOnAt(seq);
    if (hasNeedles(bytes, needles)) {
      const leaf = leafFrom(bytes);
      const problem = isProblem(leaf) ? leaf.problem : leaf.seq === seq ? null : `has the bytes of record ${leaf.seq}`;
      if (problem !== null) fault(seq, `record ${seq}`, problem);
      if (!isProblem(leaf) && problem === null && isMatch(leaf, filter)) {
        (head !== null && seq <= head.size ? upTo : after).add(leaf.record);
        onRecord();
      }
    }
    if (signed !== null || range === null) continue;
    range = seq === range.size + 1 ? appended(range, leafHash(bytes)) : null;
    if (isHead(range)) signed = range;
  }
  const signedSize = head?.size ?? 0;
  goOnAt(Math.max(last, signedSize) + 1);
  return { upTo, after, range: firstFault > signedSize ? signed : null };
}

/** Most faults that are kept. */
const MAX_FAULTS = 100;

/** The last checkpoint of a log; `null` if it has none. */
const lastHeadOf = ({ stored }: ReceivedLog): Checkpoint | null =>
  [...stored.checkpoints()].reduce<Checkpoint | null>((last, { note }) => headIn(note) ?? last, null);

function headIn(note: string): Checkpoint | null {
  const head = checkpointInNote(note);
  return isProblem(head) ? null : head;
}

const headOf = ({ origin, before }: ReceivedLog, range: CompactRange): ReceivedHead => ({
  origin,
  before,
  size: range.size,
  root: base64Of(rootOf(range.nodes)),
  tree: base64Of(rangeBytes(range)),
});

/** The tree over the deleted records of a log, by the ledger of the authority; `null` if that does not have it. */
function carriedBy(ledger: LogReader): (log: ReceivedLog) => CompactRange | null {
  let histories: ReturnType<typeof emitterHistories> | null = null;
  return ({ origin, before }) => {
    if (before === 0) return emptyRange;
    histories ??= emitterHistories(emittersIn(ledger));
    const pruned = histories.get(origin)?.pruned ?? null;
    return pruned?.size === before ? pruned : null;
  };
}

const size = integer(0, Number.MAX_SAFE_INTEGER);
const keptFrom = members({
  heads: listOf(
    members({
      origin: text({ max: 1_024 }),
      before: size,
      size,
      root: text({ max: 64 }),
      tree: text({ max: 4_096 }),
    }),
    { min: 0, max: 1_000_000 },
  ),
  state: (value: unknown): unknown => value,
});

interface KnownReceived {
  readonly state: StatsState;
  readonly heads: ReadonlyMap<string, { readonly head: ReceivedHead; readonly range: CompactRange }>;
}

/** What was kept, if it is of these logs; otherwise `null`. */
function knownOf(kept: unknown, logs: ReadonlyMap<string, ReceivedLog>, of: StatsOf): KnownReceived | null {
  const read = keptFrom(kept);
  const state = isProblem(read) ? null : statsStateFrom(read.state, of);
  if (isProblem(read) || state === null) return null;
  const heads = new Map<string, { readonly head: ReceivedHead; readonly range: CompactRange }>();
  for (const head of read.heads) {
    const log = logs.get(head.origin);
    const bytes = bytesFromBase64(head.tree);
    const range = bytes === null ? null : rangeFrom(bytes);
    if (log === undefined || range === null || !isOf(log, head, range)) return null;
    heads.set(head.origin, { head, range });
  }
  return { state, heads };
}

const isOf = (log: ReceivedLog, head: ReceivedHead, range: CompactRange): boolean =>
  log.before === head.before &&
  range.size === head.size &&
  base64Of(rootOf(range.nodes)) === head.root &&
  [...log.stored.checkpoints()].some(({ note }) => {
    const own = headIn(note);
    return own?.size === head.size && base64Of(own.root) === head.root;
  });
