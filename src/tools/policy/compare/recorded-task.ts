import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import { enforcedUse } from '../../../core/ledger/enforced-use.ts';
import type { EventRecord, IntentRecord } from '../../../core/ledger/record.ts';
import type { PlacedUse } from '../../../core/ledger/recorded-use.ts';
import type { TimelineEntry } from '../../../core/ledger/timeline.ts';
import { noAttributes } from '../../../core/task/subject-attributes.ts';
import type { Task } from '../../../core/task/task.ts';
import type { RecordedWith, TaskThen } from './recorded-case.ts';

/** The task of recorded uses, as far as available. */
export interface RecordedTask {
  /** Its current state; `undefined` if it is not stored. */
  readonly stored: Task | undefined;
  /** Its records in ledger order. */
  readonly records: readonly TimelineEntry[];
  /** Whether some records could not be read, or the limit was reached. */
  readonly isCut: boolean;
  /** Whether it has sub-tasks. */
  readonly hasParts: () => boolean;
}

/** Facts about a task that may have differed when a use was decided. */
export type Doubt = 'task' | 'actors' | 'risk' | 'context' | 'history';

/** What is known about a recorded use from its task; the history is that of the task itself. */
export function recordedWith(
  record: PlacedUse,
  task: RecordedTask | null,
  catalog: Catalog | undefined,
): RecordedWith & { readonly history: NonNullable<RecordedWith['history']> } {
  const actions = task === null ? [] : allowedBefore(record, task);
  const history = { actions, labels: labelsOf(actions, catalog) };
  return { task: task === null ? undefined : taskThen(record, task), history, catalog };
}

/** The labels that a catalog gives to actions. */
export const labelsOf = (actions: readonly string[], catalog: Catalog | undefined): readonly string[] => [
  ...new Set(actions.flatMap((id) => Array.from(catalog?.actions.get(id)?.labels ?? []))),
];

/** Facts that may have differed from `recordedWith` when a use was decided; empty for a use without a task. */
export function doubtsAbout(record: PlacedUse, task: RecordedTask | null): ReadonlySet<Doubt> {
  if (task === null) return new Set();
  if (taskThen(record, task) === undefined) return new Set(['task', 'actors', 'risk', 'context', 'history']);
  const isPart = (task.stored?.parentId ?? intentOf(task)?.parent ?? null) !== null;
  const hasBeginning = intentOf(task) !== undefined;
  const isContextThen = task.stored !== undefined && !task.isCut && eventsAfter(record, task, 'context').length === 0;
  const isRiskThen = !task.isCut && (task.stored !== undefined || !isPart);
  // The history is shared by the whole task tree.
  const isHistoryWhole = hasBeginning && !task.isCut && !isPart && !task.hasParts();
  const doubts: Readonly<Record<Exclude<Doubt, 'task'>, boolean>> = {
    actors: isPart,
    risk: !isRiskThen,
    context: !isContextThen,
    history: !isHistoryWhole,
  };
  return new Set((['actors', 'risk', 'context', 'history'] as const).filter((name) => doubts[name]));
}

function allowedBefore({ seq }: PlacedUse, { records }: RecordedTask): readonly string[] {
  const before = records.filter(
    (one) => one.kind === 'use' && enforcedUse(one).decision === 'allow' && (one.seq ?? Infinity) < seq,
  );
  return [...new Set(before.flatMap((one) => ('action' in one && one.action !== null ? [one.action] : [])))];
}

/** The task when the use was decided: from the store, else from the record of its intent; `undefined` without either. */
function taskThen(record: PlacedUse, task: RecordedTask): TaskThen | undefined {
  if (task.stored !== undefined) {
    const { claimed, attested, risk } = task.stored;
    return { ...task.stored, context: { claimed, attested }, risk: riskThen(record, task, risk) };
  }
  const intent = intentOf(task);
  if (intent === undefined || intent.details === null || record.agent === null) return undefined;
  const agent = intent.agent ?? record.agent;
  return {
    purpose: intent.purpose ?? '',
    detailsJson: JSON.stringify(intent.details),
    createdAtMs: createdAtMs(intent),
    risk: riskThen(record, task, 'low'),
    context: null,
    subject: intent.subject ?? agent,
    // Safe: recorded from `subjectAttributesFrom`.
    subjectAttributes: (intent.subjectAttributes ?? noAttributes) as Task['subjectAttributes'],
    // Safe: records name agents by SPIFFE ID, and the case is parsed again.
    agent: agent as Task['agent'],
  };
}

const intentOf = ({ records }: RecordedTask): IntentRecord | undefined =>
  records.find((one): one is TimelineEntry & IntentRecord => one.kind === 'intent');

/** The creation time in a task's id; the record came slightly later. @see RFC 9562 section 5.7 */
function createdAtMs({ task, at }: IntentRecord): number {
  const ms = Number.parseInt((task ?? '').slice(0, 13).replace('-', ''), 16);
  return Number.isNaN(ms) ? at : ms;
}

type PlacedEvent = TimelineEntry & EventRecord;

const eventsOf = ({ records }: RecordedTask, event: EventRecord['event']): readonly PlacedEvent[] =>
  records.filter((one): one is PlacedEvent => one.kind === 'event' && one.event === event);

const eventsAfter = ({ seq }: PlacedUse, task: RecordedTask, event: EventRecord['event']): readonly PlacedEvent[] =>
  eventsOf(task, event).filter((one) => (one.seq ?? Infinity) > seq);

/** Each change of the risk is recorded with its previous value. */
function riskThen(record: PlacedUse, task: RecordedTask, otherwise: Task['risk']): Task['risk'] {
  const [next] = eventsAfter(record, task, 'risk');
  const last = eventsOf(task, 'risk').at(-1);
  const risk = next === undefined ? (task.stored?.risk ?? last?.details['to']) : next.details['from'];
  return risk === 'low' || risk === 'medium' || risk === 'high' ? risk : otherwise;
}
