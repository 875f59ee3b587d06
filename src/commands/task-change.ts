import { accountName } from '../runtime/account-name.ts';
import { printable } from '../ledger/timeline-text.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import { type CauseCode, causeOf } from '../task/cause.ts';
import type { TaskEvent } from '../task/task.ts';
import { type TaskJson, taskJson } from '../task/task-json.ts';
import { isProblem } from '../runtime/problem.ts';
import { EXIT } from './command.ts';
import type { CommandIo } from './command.ts';
import { operatorOf } from './operator.ts';
import { taskWith, writing } from './opened-state.ts';
import type { WritableState } from './opened-state.ts';
import { optionsFrom } from './options.ts';
import { isCommandRefusal, type CommandRefusal, refusal, sourceOptions, stateOf } from './task-source.ts';

/** By the state in `--as`. */
const ends: ReadonlyMap<string, Kind> = new Map([
  ['revoked', 'revoke'],
  ['cancelled', 'cancel'],
  ['completed', 'complete'],
]);

const codes = {
  revoke: 'operator.revoked',
  cancel: 'operator.cancelled',
  complete: 'operator.completed',
  suspend: 'operator.suspended',
  resume: 'operator.resumed',
} as const satisfies Partial<Record<TaskEvent['kind'], CauseCode>>;
type Kind = keyof typeof codes;

const MAX_CAUSE = 256;

type Io = Pick<CommandIo, 'environment'>;

const causeOption = { cause: { type: 'string' }, by: { type: 'string' } } as const;

/** `remit task end`: ends a task by hand; on disk when it reports success. */
export async function taskEnd(args: readonly string[], io: Io): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, { ...sourceOptions, ...causeOption, as: { type: 'string' } }, 1);
  if (typeof options === 'string') return refusal(options);
  const { as = 'revoked', ...values } = options.values;
  const kind = ends.get(as);
  if (kind === undefined) return refusal(`--as must be one of ${[...ends.keys()].join(', ')}`);
  return change({ id: options.operands[0], kind, values }, io);
}

/** `remit task suspend` and `remit task resume`: suspend or resume a task by hand; on disk when they report success. */
export const taskChange =
  (kind: 'suspend' | 'resume') =>
  async (args: readonly string[], io: Io): Promise<string | CommandRefusal> => {
    const options = optionsFrom(args, { ...sourceOptions, ...causeOption }, 1);
    if (typeof options === 'string') return refusal(options);
    return change({ id: options.operands[0], kind, values: options.values }, io);
  };

interface Asked {
  readonly id: string | undefined;
  readonly kind: Kind;
  readonly values: Parameters<typeof stateOf>[0] & {
    readonly cause?: string | undefined;
    readonly by?: string | undefined;
    readonly json?: boolean | undefined;
  };
}

async function change({ id, kind, values }: Asked, io: Io): Promise<string | CommandRefusal> {
  const { cause = '', by, json } = values;
  if (id === undefined) return refusal('the id of a task is required');
  if (cause === '') return refusal('--cause is required: the reason, for readers of the record');
  if (cause.length > MAX_CAUSE) return refusal(`--cause must have at most ${MAX_CAUSE} characters`);
  const operator = operatorOf(by, { environment: io.environment, account: accountName() });
  if (isProblem(operator)) return refusal(`--by ${operator.problem}`);
  const source = await stateOf(values, io);
  if (isCommandRefusal(source)) return source;
  return writing(source, async (state) => {
    const changed = await changeIn(state, id, { event: { kind, cause: causeOf(codes[kind], cause) }, by: operator });
    if (isCommandRefusal(changed)) return changed;
    if (json === true) return JSON.stringify(changed.task);
    return `${changed.task.id} ${changed.changed ? 'is' : 'was already'} ${changed.task.state}`;
  });
}

async function changeIn(
  state: WritableState,
  id: string,
  { event, by }: { readonly event: TaskEvent; readonly by: string },
): Promise<{ readonly task: TaskJson; readonly changed: boolean } | CommandRefusal> {
  const found = await taskWith(state, id);
  if (isCommandRefusal(found)) return found;
  const changed = await state.applyTaskEvent(found, event, by);
  if (isStoreFailure(changed)) return refusal(changed.detail);
  if (changed === undefined) return refusal(`there is no task \`${printable(id)}\``, EXIT.no);
  if ('problem' in changed) {
    const of = changed.problem === 'parent' ? 'its parent task is' : 'the task is already';
    return refusal(`${of} \`${changed.state}\``, EXIT.no);
  }
  return { task: taskJson(changed.task, state.nowMs()), changed: changed.changed };
}
