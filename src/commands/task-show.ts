import { printable, timelineText } from '../ledger/timeline-text.ts';
import { timelineFrom } from '../ledger/timeline.ts';
import { recordsOfTask } from '../store/ledger/task-records.ts';
import { isStoreFailure } from '../store/store-failure.ts';
import { type TaskJson, taskJson } from '../task/task-json.ts';
import type { CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';
import { isRefusal, reading, type Refusal, refusal, sourceOf, sourceOptions, taskWith } from './task-source.ts';

/** Records shown of one task at most, the first ones. */
const MAX_SHOWN = 1_000;

/** `remit task show`: a task and all that happened in it. */
export async function taskShow(args: readonly string[], io: Pick<CommandIo, 'environment'>): Promise<string | Refusal> {
  const options = optionsFrom(args, sourceOptions, 1);
  if (typeof options === 'string') return refusal(options);
  const [id] = options.operands;
  if (id === undefined) return refusal('the id of a task is required');
  const source = await sourceOf(options.values, io);
  if (isRefusal(source)) return source;
  return reading(source.state, (store) => {
    const found = taskWith(store, id);
    if (isRefusal(found)) return found;
    const stored = recordsOfTask({ folders: [source.ledger, ...source.others], store }, id, MAX_SHOWN);
    if (isStoreFailure(stored)) return refusal(stored.detail);
    const task = taskJson(found, store.nowMs());
    const records = timelineFrom(stored);
    if (options.values.json === true) return JSON.stringify({ task, records });
    const more = stored.length < MAX_SHOWN ? [] : [`the first ${MAX_SHOWN} records are shown`];
    return [...headOf(task), '', ...timelineText(records), ...more].join('\n');
  });
}

const headOf = (task: TaskJson): readonly string[] =>
  [
    `task      ${task.id}`,
    `agent     ${task.agent}`,
    `purpose   ${task.purpose || '-'}`,
    `intent    ${task.intent_hash}  trace ${task.trace_id}`,
    ...(task.subject === task.agent ? [] : [`for       ${task.subject}`]),
    ...(task.parent === null ? [] : [`part of   ${task.parent}`]),
    `state     ${task.state}${task.cause_note === null ? '' : ` (${task.cause_note})`}  risk ${task.risk}`,
    `lives     ${task.created_at} to ${task.ended_at ?? `${task.deadline} at the latest${idleOf(task)}`}`,
    ...Object.entries(task.claimed).map(([name, value]) => `claimed   ${name}: ${value} (the agent's own word)`),
    ...task.attested.map(({ name, value, by, kind }) => `attested  ${name}: ${value} (by ${kind} ${by})`),
  ].map(printable);

const idleOf = ({ idle_seconds: seconds }: TaskJson): string =>
  seconds === null ? '' : `, or ${seconds} s after its last use`;
