import { isUuid } from '../../core/decision/uuid.ts';
import { recordBytesIn } from '../../core/ledger/proof/leaf.ts';
import { readLog } from '../../core/ledger/log/log-reader.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import type { PlacedLeaf } from '../../core/ledger/log/segment/segment.ts';
import { enforcedUse } from '../../core/ledger/enforced-use.ts';
import { recordedUseFrom } from '../../core/ledger/recorded-use.ts';
import type { PlacedUse } from '../../core/ledger/recorded-use.ts';
import type { IntentRecord } from '../../core/ledger/record.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { RecordedTask } from '../../tools/policy/compare/recorded-task.ts';
import { EXIT } from '../command.ts';
import { openedReader } from '../ledger/ledger-source.ts';
import { readable, recordedTasks } from '../policy/recorded-tasks.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal, Source } from '../task/task-source.ts';

/** A decision that was recorded. */
type Recorded = PlacedUse | IntentRecord;

/** A recorded decision with what is known around it. */
export interface FoundDecision {
  /** For an observed use, with the decision that enforcing would have made. */
  readonly record: Recorded;
  /** Whether it was observed, and passed although enforcing would have denied it. */
  readonly hasPassed: boolean;
  /** Its task with the records of it; `null` if it has none. */
  readonly task: RecordedTask | null;
  /** Other decisions of the same trace, the newest first; empty for a decision id. */
  readonly others: readonly string[];
}

/** Most other decisions of a trace that are named. */
const MAX_OTHERS = 8;

/** Whether a text is the id of a decision or of a trace, as clients are shown it. */
export const isShownId = (text: string): boolean => isUuid(text) || isTraceId(text);

const isTraceId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text);

/**
 * The recorded decision with a decision id, or the newest with a trace id, in the first ledger that has one: all segments of the ledger are read, and
 * then the earlier ledgers of the configuration. A refusal with exit code 1 if there is none.
 */
export function foundDecision(id: string, source: Source): FoundDecision | CommandRefusal {
  if (!isShownId(id)) return taskRefusal(`\`${id}\` is neither a decision id nor a trace id`);
  const read: string[] = [];
  for (const folder of [source.ledger, ...source.others]) {
    const found = readLog(folder, (log) => decisionsIn(log, id, source.state));
    if (isStoreFailure(found)) return taskRefusal(found.detail);
    if (found === 'none') read.push(folder);
    else if (found !== null) return found;
  }
  return read.length === 0
    ? taskRefusal(`no ledger in \`${source.ledger}\``)
    : taskRefusal(`there is no decision \`${id}\` in ${read.map((folder) => `\`${folder}\``).join(', ')}`, EXIT.no);
}

function decisionsIn(log: LogReader, id: string, state: Source['state']): FoundDecision | CommandRefusal | 'none' {
  const filter = isTraceId(id) ? { traceId: id } : { decisionId: id };
  const leavesOf = (kind: string): readonly PlacedLeaf[] =>
    log
      .found({ ...filter, kind }, { isNewestFirst: true })
      .take(MAX_OTHERS + 1)
      .toArray();
  const read = leavesOf('use')
    .concat(leavesOf('intent'))
    .toSorted((a, b) => b.seq - a.seq)
    .map(({ seq, bytes }) => decisionIn(seq, bytes));
  const records = read.filter((record): record is Recorded => !isProblem(record));
  const [record] = records;
  if (record === undefined) {
    const unread = read.find(isProblem);
    return unread === undefined ? 'none' : taskRefusal(unread.problem);
  }
  const store = openedReader(state);
  if (isCommandRefusal(store)) return store;
  try {
    const others = new Set(records.map(({ decisionId }) => decisionId));
    others.delete(record.decisionId);
    const enforced = record.kind === 'use' ? enforcedUse(record) : record;
    return {
      record: enforced,
      hasPassed: record.decision === 'allow' && enforced.decision === 'deny',
      task: recordedTasks({ log, store })(record.task),
      others: isTraceId(id) ? [...others].slice(0, MAX_OTHERS) : [],
    };
  } finally {
    store?.close();
  }
}

/** The decision about a use or an intent in a leaf. */
function decisionIn(seq: number, bytes: Uint8Array): Recorded | Problem {
  const use = recordedUseFrom(bytes);
  if (use !== 'other') return use;
  const [entry] = readable([{ seq, bytes: recordBytesIn(bytes) }]).entries;
  return entry?.kind === 'intent' ? entry : { problem: `record ${seq} cannot be read` };
}
