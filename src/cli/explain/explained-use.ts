import { isUuid } from '../../core/decision/uuid.ts';
import { recordBytesIn } from '../../core/ledger/proof/leaf.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { readLog } from '../../core/ledger/log/log-reader.ts';
import { recordedUseFrom } from '../../core/ledger/recorded-use.ts';
import type { PlacedUse } from '../../core/ledger/recorded-use.ts';
import type { IntentRecord } from '../../core/ledger/record.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { EXIT } from '../command.ts';
import { openedReader } from '../ledger/ledger-source.ts';
import { readable, recordedTasks } from '../policy/recorded-tasks.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal, Source } from '../task/task-source.ts';

/** A recorded decision with what is known around it. */
export interface FoundDecision {
  readonly record: PlacedUse | IntentRecord;
  /** The declared purpose of its task; `null` if it has none, or its task is unknown. */
  readonly purpose: string | null;
  /** Other decisions of the same trace, the newest first; empty for a decision id. */
  readonly others: readonly string[];
}

/** Most other decisions of a trace that are named. */
const MAX_OTHERS = 8;

/** The recorded decision with a decision id, or the newest with a trace id. */
export function foundDecision(id: string, source: Source): FoundDecision | CommandRefusal {
  const traceId = /^[0-9a-f]{32}$/.test(id) ? id : null;
  if (traceId === null && !isUuid(id)) return taskRefusal(`\`${id}\` is neither a decision id nor a trace id`);
  const found = readLog(source.ledger, (log) => {
    const filter = traceId === null ? { decisionId: id } : { traceId };
    const records = [...log.found(filter, { isNewestFirst: true }).take(64)].flatMap(({ seq, bytes }) =>
      decisionIn(seq, bytes),
    );
    const [record] = records;
    if (record === undefined) return taskRefusal(`there is no decision \`${id}\` in \`${source.ledger}\``, EXIT.no);
    const others = records.map(({ decisionId }) => decisionId).filter((other) => other !== record.decisionId);
    const purpose = purposeOf(record, log, source);
    return isCommandRefusal(purpose) ? purpose : { record, others: others.slice(0, MAX_OTHERS), purpose };
  });
  if (found === null) return taskRefusal(`no ledger in \`${source.ledger}\``);
  return isStoreFailure(found) ? taskRefusal(found.detail) : found;
}

/** The decision about a use or an intent in a leaf; empty if it is another record or cannot be read. */
function decisionIn(seq: number, bytes: Uint8Array): readonly (PlacedUse | IntentRecord)[] {
  const use = recordedUseFrom(bytes);
  if (use !== 'other') return isProblem(use) ? [] : [use];
  const [entry] = readable([{ seq, bytes: recordBytesIn(bytes) }]).entries;
  return entry?.kind === 'intent' ? [entry] : [];
}

function purposeOf(record: PlacedUse | IntentRecord, log: LogReader, source: Source): string | null | CommandRefusal {
  if (record.kind === 'intent') return record.purpose;
  const store = openedReader(source.state);
  if (isCommandRefusal(store)) return store;
  try {
    const task = recordedTasks({ log, store })(record.task);
    const intent = task?.records.find((entry) => entry.kind === 'intent');
    return task?.stored?.purpose ?? (intent?.kind === 'intent' ? intent.purpose : null);
  } finally {
    store?.close();
  }
}
