import { recordedUseFrom } from '../ledger/recorded-use.ts';
import type { PlacedUse } from '../ledger/recorded-use.ts';
import type { PolicySet } from '../policy/load.ts';
import { readLog } from '../store/ledger/log-reader.ts';
import { isStoreFailure } from '../store/store-failure.ts';
import { recordedCase, recordedSuiteText } from '../suite/recorded-case.ts';
import { recordedWith } from '../suite/recorded-task.ts';
import type { RecordedTask } from '../suite/recorded-task.ts';
import { isProblem } from '../token/members.ts';
import { EXIT } from './command.ts';
import type { CommandIo } from './command.ts';
import { recordedTasks } from './recorded-tasks.ts';
import { isRefusal, reading, refusal, sourceOf } from './task-source.ts';
import type { Refusal } from './task-source.ts';

/** A recorded decision: what the record says, and the suite with the one case that it makes. */
export interface RecordedDecision {
  readonly lines: readonly string[];
  readonly text: string;
}

/** The recorded decision with an id, from the state file that the options name. */
export async function recordedDecision(
  decisionId: string,
  values: Parameters<typeof sourceOf>[0],
  { io, policies }: { readonly io: Pick<CommandIo, 'environment'>; readonly policies: PolicySet },
): Promise<RecordedDecision | Refusal> {
  const source = await sourceOf(values, io);
  if (isRefusal(source)) return source;
  const found = readLog(source.ledger, (log) => {
    const leaf = log.useOf(decisionId);
    if (leaf === undefined) return refusal(`there is no decision \`${decisionId}\``, EXIT.no);
    const record = recordedUseFrom(leaf.bytes);
    if (isProblem(record) || record === 'other') {
      return refusal(record === 'other' ? `\`${decisionId}\` is no decision` : record.problem);
    }
    return reading(source.state, (store) =>
      fromRecord(record, { task: recordedTasks({ log, store })(record.task), policies }),
    );
  });
  if (found === null) return refusal(`there is no ledger in \`${source.ledger}\``);
  return isStoreFailure(found) ? refusal(found.detail) : found;
}

function fromRecord(
  record: PlacedUse,
  { task, policies }: { readonly task: RecordedTask | null; readonly policies: PolicySet },
): RecordedDecision | Refusal {
  const found = recordedCase(record, recordedWith(record, task, policies.catalog));
  if (isProblem(found)) return refusal(`${found.problem}: ${record.reason ?? record.decision}`, EXIT.no);
  return { lines: linesOf(record, policies, found.notes), text: recordedSuiteText([found]) };
}

function linesOf(record: PlacedUse, { hash }: PolicySet, notes: readonly string[]): readonly string[] {
  const by = record.policyIds.length === 0 ? '' : ` by ${record.policyIds.join(', ')}`;
  return [
    `recorded ${new Date(record.at).toISOString()}: ${record.decision}${record.reason === null ? '' : ` ${record.reason}`}${by}`,
    `  ${record.method} https://${record.host}${record.path}, trace ${record.traceId}`,
    ...(record.policySet === hash || record.policySet === null ? [] : ['  the policies have changed since']),
    ...notes.map((note) => `  ${note}`),
    'such a call now:',
  ];
}
