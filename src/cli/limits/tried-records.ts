/** Reads recorded uses and declarations in the order of their instants, and tries limits over all tasks on them. */
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { recordBytesIn } from '../../core/ledger/proof/leaf.ts';
import { isObject } from '../../core/runtime/fields.ts';
import { recordsIn } from '../../tools/learn/record-window.ts';
import type { ReadCounts, ReadRecord, RecordSource, Span } from '../../tools/learn/record-window.ts';
import type { LimitTrial } from '../../tools/policy/limits/limit-trial.ts';

const PROGRESS_EVERY = 10_000;

/** Adds the records of a span to trials; the counts say what could not be read. */
export async function tryRecords(
  trials: readonly LimitTrial[],
  sources: readonly RecordSource[],
  { span, onProgress }: { readonly span: Span; readonly onProgress: (read: number) => void },
): Promise<ReadCounts> {
  const counts: ReadCounts = { records: 0, uses: 0, foreign: 0, missing: 0 };
  const read = sources.map((source) => recordsIn([source], span, { counts, onRecord: () => undefined }));
  let added = 0;
  for (const record of byInstant(read)) {
    if (trials.map((trial) => trial.add(record)).includes('foreign')) counts.foreign += 1;
    added += 1;
    if (added % PROGRESS_EVERY !== 0) continue;
    onProgress(added);
    // Yields, so that signals are handled.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return counts;
}

/** Merges the records of several logs by instant; the order within each log is kept. */
function* byInstant(logs: readonly Iterator<ReadRecord>[]): Generator<ReadRecord> {
  const heads = logs.map((log) => ({ log, next: log.next() })).filter(({ next }) => next.done !== true);
  while (heads.length > 0) {
    const first = heads.reduce((one, other) => (instantIn(other.next.value) < instantIn(one.next.value) ? other : one));
    yield first.next.value;
    first.next = first.log.next();
    if (first.next.done === true) heads.splice(heads.indexOf(first), 1);
  }
}

const instantIn = (record: ReadRecord): number => Number(record['at']);

/** Looks up the subject of a task in the record of its intent; `null` if the ledger has no such record. */
export const subjectsIn =
  (log: LogReader) =>
  (task: string): string | null => {
    const [leaf] = log.found({ task, kind: 'intent' }, { isNewestFirst: false }).take(1);
    if (leaf === undefined) return null;
    try {
      const record: unknown = JSON.parse(Buffer.from(recordBytesIn(leaf.bytes)).toString('utf8'));
      const subject = isObject(record) ? record['subject'] : null;
      return typeof subject === 'string' ? subject : null;
    } catch {
      return null;
    }
  };
