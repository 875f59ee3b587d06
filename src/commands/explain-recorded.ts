import { timelineFrom } from '../ledger/timeline.ts';
import type { TimelineEntry } from '../ledger/timeline.ts';
import type { PolicySet } from '../policy/load.ts';
import { readLog } from '../store/ledger/log-reader.ts';
import { recordsOfTask } from '../store/ledger/task-records.ts';
import { isStoreFailure } from '../store/store-failure.ts';
import { recordedCase, recordedCaseText } from '../suite/recorded-case.ts';
import type { RecordedWith } from '../suite/recorded-case.ts';
import { EXIT } from './command.ts';
import type { CommandIo } from './command.ts';
import { isRefusal, reading, refusal, sourceOf } from './task-source.ts';
import type { Refusal } from './task-source.ts';

/** A recorded decision: what the record says, and the suite with the one case that it makes. */
export interface RecordedDecision {
  readonly lines: readonly string[];
  readonly text: string;
}

type PlacedUse = Extract<TimelineEntry, { kind: 'use' }>;

/** Records of its task that are looked at for what it was allowed before. */
const MAX_RECORDS = 1000;

/** The recorded decision with an id, from the state file that the options name. */
export async function recordedDecision(
  decisionId: string,
  values: Parameters<typeof sourceOf>[0],
  { io, policies }: { readonly io: Pick<CommandIo, 'environment'>; readonly policies: PolicySet },
): Promise<RecordedDecision | Refusal> {
  const source = await sourceOf(values, io);
  if (isRefusal(source)) return source;
  const stored = readLog(source.ledger, (log) => log.useOf(decisionId));
  if (stored === null) return refusal(`there is no ledger in \`${source.ledger}\``);
  if (isStoreFailure(stored)) return refusal(stored.detail);
  const [record] = stored === undefined ? [] : timelineFrom([stored]);
  if (record?.kind !== 'use') return refusal(`there is no decision \`${decisionId}\``, EXIT.no);
  return reading(source.state, (store) => fromRecord(record, { records: { folder: source.ledger, store }, policies }));
}

interface Surroundings {
  readonly records: Parameters<typeof recordsOfTask>[0];
  readonly policies: PolicySet;
}

function fromRecord(record: PlacedUse, { records, policies }: Surroundings): RecordedDecision | Refusal {
  const found = recordedCase(record, { ...taskOf(record, { records, policies }), catalog: policies.catalog });
  if ('problem' in found) return refusal(`${found.problem}: ${record.reason ?? record.decision}`, EXIT.no);
  return { lines: linesOf(record, policies, found.notes), text: recordedCaseText(found) };
}

function taskOf(record: PlacedUse, { records, policies }: Surroundings): RecordedWith {
  if (record.task === null) return { history: { actions: [], labels: [] } };
  const tasks = records.store.tasks({ id: record.task, limit: 1 });
  const stored = recordsOfTask(records, record.task, MAX_RECORDS);
  const timeline = isStoreFailure(stored) ? [] : timelineFrom(stored);
  return { task: isStoreFailure(tasks) ? undefined : tasks[0], history: historyBefore(record, timeline, policies) };
}

/** What the task itself was allowed before; of the parts it handed on nothing is looked up. */
function historyBefore(
  { seq }: PlacedUse,
  records: readonly TimelineEntry[],
  { catalog }: PolicySet,
): RecordedWith['history'] {
  const before = records.filter(
    (one) => one.kind === 'use' && one.decision === 'allow' && (one.seq ?? Infinity) < (seq ?? 0),
  );
  const actions = new Set(before.flatMap((one) => ('action' in one && one.action !== null ? [one.action] : [])));
  const labels = new Set([...actions].flatMap((id) => Array.from(catalog.actions.get(id)?.labels ?? [])));
  return { actions: [...actions], labels: [...labels] };
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
