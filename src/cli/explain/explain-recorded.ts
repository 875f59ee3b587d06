import { recordBytesIn } from '../../core/ledger/proof/leaf.ts';
import type { IntentRecord } from '../../core/ledger/record.ts';
import { recordedUseFrom } from '../../core/ledger/recorded-use.ts';
import type { PlacedUse } from '../../core/ledger/recorded-use.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { readLog } from '../../core/ledger/log/log-reader.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { recordedCase, recordedSuiteText } from '../../tools/policy/compare/recorded-case.ts';
import { recordedWith } from '../../tools/policy/compare/recorded-task.ts';
import type { RecordedTask } from '../../tools/policy/compare/recorded-task.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';
import { readable, recordedTasks } from '../policy/recorded-tasks.ts';
import { openedReader } from '../ledger/ledger-source.ts';
import { isCommandRefusal, taskRefusal, sourceOf } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

/** A recorded decision: its record, its text, and a test suite with the single case made from it. */
export interface RecordedDecision {
  readonly record: PlacedUse;
  readonly lines: readonly string[];
  readonly text: string;
}

/** A recorded decision about an intent. It makes no case, because it is not repeated. */
export interface RecordedIntent {
  readonly record: IntentRecord;
  readonly lines: readonly string[];
}

/** The recorded decision with an id, from the ledger that the options name. */
export async function recordedDecision(
  decisionId: string,
  values: Parameters<typeof sourceOf>[0],
  { io, policies }: { readonly io: Pick<CommandIo, 'environment'>; readonly policies: PolicySet },
): Promise<RecordedDecision | RecordedIntent | CommandRefusal> {
  const source = await sourceOf(values, io);
  if (isCommandRefusal(source)) return source;
  const found = readLog(source.ledger, (log) => {
    const leaf = log.useOf(decisionId);
    if (leaf === undefined) return intentIn(log, decisionId);
    const record = recordedUseFrom(leaf.bytes);
    if (isProblem(record) || record === 'other') {
      return taskRefusal(record === 'other' ? `\`${decisionId}\` is not a decision` : record.problem);
    }
    const store = openedReader(source.state);
    if (isCommandRefusal(store)) return store;
    try {
      return fromRecord(record, { task: recordedTasks({ log, store })(record.task), policies });
    } finally {
      store?.close();
    }
  });
  if (found === null) return taskRefusal(`no ledger in \`${source.ledger}\``);
  return isStoreFailure(found) ? taskRefusal(found.detail) : found;
}

function intentIn(log: LogReader, decisionId: string): RecordedIntent | CommandRefusal {
  const [leaf] = log.found({ decisionId, kind: 'intent' }, { isNewestFirst: true }).take(1);
  if (leaf === undefined) return taskRefusal(`there is no decision \`${decisionId}\``, EXIT.no);
  const { entries } = readable([{ seq: leaf.seq, bytes: recordBytesIn(leaf.bytes) }]);
  const [record] = entries;
  if (record?.kind !== 'intent') return taskRefusal(`the record of \`${decisionId}\` cannot be read`);
  return {
    record,
    lines: [decidedLine(record), `  intent of ${record.agent ?? 'an unknown agent'}: ${record.purpose ?? '-'}`],
  };
}

function fromRecord(
  record: PlacedUse,
  { task, policies }: { readonly task: RecordedTask | null; readonly policies: PolicySet },
): RecordedDecision | CommandRefusal {
  const found = recordedCase(record, recordedWith(record, task, policies.catalog));
  if (isProblem(found)) return taskRefusal(`${found.problem}: ${record.reason ?? record.decision}`, EXIT.no);
  return { record, lines: recordedLines(record, policies, found.notes), text: recordedSuiteText([found]) };
}

function recordedLines(record: PlacedUse, { hash }: PolicySet, notes: readonly string[]): readonly string[] {
  return [
    decidedLine(record),
    `  ${record.method} https://${record.host}${record.path}, trace ${record.traceId}`,
    ...(record.policySet === hash || record.policySet === null ? [] : ['  the policies have changed since']),
    ...notes.map((note) => `  ${note}`),
  ];
}

/** What was decided, why and by what, with its cause if the record has it. */
function decidedLine({ at, decision, reason, detail, policyIds, ...record }: PlacedUse | IntentRecord): string {
  const code = reason ?? (record.kind === 'intent' ? record.error : null);
  const by = policyIds.length === 0 ? '' : ` by ${policyIds.join(', ')}`;
  const cause = detail === null ? '' : ` (${detail})`;
  return `recorded ${new Date(at).toISOString()}: ${decision}${code === null ? '' : ` ${code}`}${cause}${by}`;
}
