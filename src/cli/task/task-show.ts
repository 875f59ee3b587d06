import { printableJson } from '../../core/ledger/printable-json.ts';
import { printable, timelineText } from '../../core/ledger/timeline-text.ts';
import { timelineFrom } from '../../core/ledger/timeline.ts';
import type { TimelineEntry } from '../../core/ledger/timeline.ts';
import { fatesText, UseFates } from '../../core/ledger/use-fates.ts';
import { recordsOfTask } from '../../authority/records/task-records.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { loanText } from '../../core/state/task-loan.ts';
import { type TaskJson, taskJson } from '../../core/task/task-json.ts';
import type { Task } from '../../core/task/task.ts';
import { EXIT } from '../command.ts';
import { cureLines, whyOf } from '../explain/why.ts';
import type { CommandIo } from '../command.ts';
import { reading, taskWith } from '../state/opened-state.ts';
import { optionsFrom } from '../options.ts';
import { attributeLines, prunedHeadOf, prunedTaskFrom } from './pruned-task.ts';
import type { PrunedTask } from './pruned-task.ts';
import { receivedOf, receivedOptions } from '../ledger/received-source.ts';
import {
  isCommandRefusal,
  noSuchTask,
  type CommandRefusal,
  taskRefusal,
  sourceOf,
  sourceOptions,
} from './task-source.ts';

/** Most records shown of one task: the oldest. */
const MAX_SHOWN = 1_000;

/** `remit task show`: a task with everything that happened in it. */
export async function taskShow(
  args: readonly string[],
  io: Pick<CommandIo, 'environment' | 'err'>,
): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, { ...sourceOptions, ...receivedOptions }, 1);
  if (typeof options === 'string') return taskRefusal(options);
  const [id] = options.operands;
  if (id === undefined) return taskRefusal('the id of a task is required');
  const source = await sourceOf(options.values, io);
  if (isCommandRefusal(source)) return source;
  const received = await receivedOf(options.values, io);
  if (isCommandRefusal(received)) return received;
  return reading(source.state, async (state) => {
    const found = await taskWith(state, id);
    // `no`: the state has no such task, which may have been pruned. Any other refusal: the state cannot be read.
    if (isCommandRefusal(found) && found.exit !== EXIT.no) return found;
    const store = await state.waitingOf(id, MAX_SHOWN);
    if (isStoreFailure(store)) return taskRefusal(store.detail);
    const stored = recordsOfTask(
      { folders: [source.ledger, ...source.others], store, received: received.values() },
      id,
      MAX_SHOWN,
    );
    if (isStoreFailure(stored)) return taskRefusal(stored.detail);
    const records = timelineFrom(stored);
    const shown = isCommandRefusal(found) ? prunedShown(id, records) : shownFrom(found, state.nowMs());
    if (shown === undefined) return noSuchTask(id);
    // Parts are in the state as long as their root is.
    const parts = isCommandRefusal(found) ? [] : await state.tasks({ parent: found, limit: MAX_PARTS });
    if (isStoreFailure(parts)) return taskRefusal(parts.detail);
    const lent = isCommandRefusal(found) ? [] : await state.loansOf(found);
    if (isStoreFailure(lent)) return taskRefusal(lent.detail);
    const fates = new UseFates();
    for (const record of records) fates.see({ ...record });
    const uses = fates.found();
    if (options.values.json === true)
      return printableJson({ task: shown.task, uses, lent, parts: parts.map(({ id: part }) => part), records });
    const head = [
      ...shown.head,
      ...(uses.allowed === 0 ? [] : [`uses      ${fatesText(uses)}`]),
      ...lent.map((loan) => `lent      ${loanText(loan)}`),
      ...parts.map((part) => `part      ${part.id} of ${part.agent}: ${part.purpose || '-'}`),
      ...(parts.length < MAX_PARTS ? [] : [`part      only the last ${MAX_PARTS} are shown`]),
    ];
    const more =
      stored.length < MAX_SHOWN ? [] : [`only the first ${MAX_SHOWN} records are shown, and their uses counted`];
    return [...head.map(printable), '', ...timelineText(records), ...more, ...whyLines(records)].join('\n');
  });
}

/** Each reason for a denial among the records, with how often, what it means, and what can be done about it. */
function whyLines(records: readonly TimelineEntry[]): readonly string[] {
  const denied = records.filter((record) => record.kind === 'use' || record.kind === 'intent').map(whyOf);
  const byReason = Map.groupBy(denied, ({ cure, reason }) => (cure === null ? null : reason));
  const lines = [...byReason].flatMap(([reason, all]) => {
    const [why] = all;
    return reason === null || why === undefined ? [] : [`denied ${all.length} x ${cureLines(why).join('\n')}`];
  });
  return lines.length === 0 ? [] : ['', ...lines];
}

/** Most parts shown of one task. */
const MAX_PARTS = 100;

/** A task as JSON, and the head lines of its timeline. */
interface Shown {
  readonly task: TaskJson | PrunedTask;
  readonly head: readonly string[];
}

function shownFrom(found: Task, nowMs: number): Shown {
  const task = taskJson(found, nowMs);
  return { task, head: headOf(task) };
}

function prunedShown(id: string, records: readonly TimelineEntry[]): Shown | undefined {
  const task = prunedTaskFrom(id, records);
  return task === undefined ? undefined : { task, head: prunedHeadOf(task) };
}

const headOf = (task: TaskJson): readonly string[] => [
  `task      ${task.id}`,
  `agent     ${task.agent}`,
  `purpose   ${task.purpose || '-'}`,
  `intent    ${task.intent_hash}  trace ${task.trace_id}`,
  ...(task.subject === task.agent ? [] : [`for       ${task.subject}`]),
  ...(task.parent === null ? [] : [`part of   ${task.parent}`]),
  `state     ${task.state}${task.cause_note === null ? '' : ` (${task.cause_note})`}  risk ${task.risk}`,
  `lives     ${task.created_at} to ${task.ended_at ?? `${task.deadline} at the latest${idleOf(task)}`}`,
  ...attributeLines(task.subject_attributes),
  ...Object.entries(task.claimed).map(([name, value]) => `claimed   ${name}: ${value} (the agent's own word)`),
  ...task.attested.map(({ name, value, by, kind }) => `attested  ${name}: ${value} (by ${kind} ${by})`),
];

const idleOf = ({ idle_seconds: seconds }: TaskJson): string =>
  seconds === null ? '' : `, or ${seconds} s after its last use`;
