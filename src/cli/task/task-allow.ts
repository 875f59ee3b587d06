import { printableJson } from '../../core/ledger/printable-json.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { causeOf } from '../../core/task/cause.ts';
import { taskJson } from '../../core/task/task-json.ts';
import type { CommandIo } from '../command.ts';
import { operationOf, operatorOptions } from '../operator.ts';
import { taskWith, writing } from '../state/opened-state.ts';
import { optionsFrom } from '../options.ts';
import {
  isCommandRefusal,
  type CommandRefusal,
  noSuchTask,
  taskRefusal,
  sourceOf,
  sourceOptions,
} from './task-source.ts';

/** `remit task allow`: lets the agent of a stopped task that has ended declare similar tasks without waiting. */
export async function taskAllow(
  args: readonly string[],
  io: Pick<CommandIo, 'environment'>,
): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, { ...sourceOptions, ...operatorOptions }, 1);
  if (typeof options === 'string') return taskRefusal(options);
  const { json = false, ...values } = options.values;
  const [id] = options.operands;
  if (id === undefined) return taskRefusal('the id of a task is required');
  const operation = operationOf(values, io.environment);
  if (isCommandRefusal(operation)) return operation;
  const source = await sourceOf(values, io);
  if (isCommandRefusal(source)) return source;
  return writing(source.state, async (state) => {
    const found = await taskWith(state, id);
    if (isCommandRefusal(found)) return found;
    const task = await state.liftStops(found, causeOf('operator.allowed', operation.cause), operation.by);
    if (isStoreFailure(task)) return taskRefusal(task.detail);
    if (task === undefined) return noSuchTask(id);
    return json ? printableJson(taskJson(task, state.nowMs())) : `${task.agent} may declare like tasks at once`;
  });
}
