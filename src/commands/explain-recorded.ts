import type { UseRecord } from '../ledger/record.ts';
import { timelineFrom } from '../ledger/timeline.ts';
import type { TimelineEntry } from '../ledger/timeline.ts';
import type { PolicySet } from '../policy/load.ts';
import { systemPorts } from '../ports.ts';
import { openStoreForReading } from '../store/sqlite.ts';
import { isStoreFailure } from '../store/store-failure.ts';
import type { StoreReader } from '../store/store.ts';
import { recordedCase, recordedCaseText } from '../suite/recorded-case.ts';
import type { RecordedWith } from '../suite/recorded-case.ts';
import { EXIT } from './command.ts';
import type { CommandIo } from './command.ts';
import { isRefusal, refusal, stateFileOf } from './task-source.ts';
import type { Refusal } from './task-source.ts';

/** A recorded decision: what the record says, and the suite with the one case that it makes. */
export interface RecordedDecision {
  readonly lines: readonly string[];
  readonly text: string;
}

/** Records of its task that are looked at for what it was allowed before. */
const MAX_RECORDS = 1000;

/** The recorded decision with an id, from the state file that the options name. */
export async function recordedDecision(
  decisionId: string,
  values: { readonly config?: string | undefined; readonly state?: string | undefined },
  { io, policies }: { readonly io: Pick<CommandIo, 'environment'>; readonly policies: PolicySet },
): Promise<RecordedDecision | Refusal> {
  const stateFile = await stateFileOf(values, io);
  if (isRefusal(stateFile)) return stateFile;
  const store = openStoreForReading(stateFile, systemPorts);
  if (isStoreFailure(store)) return refusal(store.detail);
  try {
    return fromStore(store, decisionId, policies);
  } finally {
    store.close();
  }
}

function fromStore(store: StoreReader, decisionId: string, policies: PolicySet): RecordedDecision | Refusal {
  const stored = store.useOf(decisionId);
  if (isStoreFailure(stored)) return refusal(stored.detail);
  const [record] = stored === undefined ? [] : timelineFrom([stored]);
  if (record?.kind !== 'use') return refusal(`there is no decision \`${decisionId}\``, EXIT.no);
  const found = recordedCase(record, { ...taskOf(store, record, policies), catalog: policies.catalog });
  if ('problem' in found) return refusal(`${found.problem}: ${record.reason ?? record.decision}`, EXIT.no);
  return { lines: linesOf(record, policies, found.notes), text: recordedCaseText(found) };
}

function taskOf(store: StoreReader, record: UseRecord & { readonly seq: number }, policies: PolicySet): RecordedWith {
  if (record.task === null) return { history: { actions: [], labels: [] } };
  const tasks = store.tasks({ id: record.task, limit: 1 });
  const stored = store.recordsOf(record.task, MAX_RECORDS);
  const records = isStoreFailure(stored) ? [] : timelineFrom(stored);
  return { task: isStoreFailure(tasks) ? undefined : tasks[0], history: historyBefore(record.seq, records, policies) };
}

/** What the task itself was allowed before; of the parts it handed on nothing is looked up. */
function historyBefore(
  seq: number,
  records: readonly TimelineEntry[],
  { catalog }: PolicySet,
): RecordedWith['history'] {
  const before = records.filter((one) => one.kind === 'use' && one.decision === 'allow' && one.seq < seq);
  const actions = new Set(before.flatMap((one) => ('action' in one && one.action !== null ? [one.action] : [])));
  const labels = new Set([...actions].flatMap((id) => Array.from(catalog.actions.get(id)?.labels ?? [])));
  return { actions: [...actions], labels: [...labels] };
}

function linesOf(record: UseRecord, { hash }: PolicySet, notes: readonly string[]): readonly string[] {
  const by = record.policyIds.length === 0 ? '' : ` by ${record.policyIds.join(', ')}`;
  return [
    `recorded ${new Date(record.at).toISOString()}: ${record.decision}${record.reason === null ? '' : ` ${record.reason}`}${by}`,
    `  ${record.method} https://${record.host}${record.path}, trace ${record.traceId}`,
    ...(record.policySet === hash || record.policySet === null ? [] : ['  the policies have changed since']),
    ...notes.map((note) => `  ${note}`),
    'such a call now:',
  ];
}
