import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { TaskState } from '../../core/task/task.ts';
import { type TaskJson, taskJson } from '../../core/task/task-json.ts';
import type { CommandIo } from '../command.ts';
import { optionsFrom } from '../options.ts';
import { reading } from '../state/opened-state.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal, sourceOptions, stateOf } from './task-source.ts';

const states: readonly TaskState[] = ['active', 'suspended', 'completed', 'cancelled', 'revoked', 'expired'];
const DEFAULT_LIMIT = '50';
const MAX_LIMIT = 1_000;

/** `remit task list`: the newest tasks, one line each. */
export async function taskList(
  args: readonly string[],
  io: Pick<CommandIo, 'environment'>,
): Promise<string | CommandRefusal> {
  const own = { in: { type: 'string' }, agent: { type: 'string' }, limit: { type: 'string' } } as const;
  const options = optionsFrom(args, { ...sourceOptions, ...own }, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { agent, in: asked, json, limit: size = DEFAULT_LIMIT } = options.values;
  const state = states.find((known) => known === asked);
  if (asked !== undefined && state === undefined) return taskRefusal(`--in must be one of ${states.join(', ')}`);
  const limit = /^\d{1,4}$/.test(size) ? Number(size) : 0;
  if (limit < 1 || limit > MAX_LIMIT) return taskRefusal(`--limit must be a whole number from 1 to ${MAX_LIMIT}`);
  const source = await stateOf(options.values, io);
  if (isCommandRefusal(source)) return source;
  return reading(source, async (opened) => {
    const found = await opened.tasks({ limit, ...(state && { state }), ...(agent !== undefined && { agent }) });
    if (isStoreFailure(found)) return taskRefusal(found.detail);
    const tasks = found.map((task) => taskJson(task, opened.nowMs()));
    if (json === true) return printableJson(tasks);
    return tasks.length === 0 ? 'no tasks' : tasks.map(lineOf).join('\n');
  });
}

const lineOf = (task: TaskJson): string =>
  printable(`${task.id}  ${task.state.padEnd(9)}  ${task.created_at}  ${task.agent}  ${task.purpose || '-'}`);
