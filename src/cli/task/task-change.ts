import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { type CauseCode, causeOf } from '../../core/task/cause.ts';
import type { TaskEvent } from '../../core/task/task.ts';
import { taskJson } from '../../core/task/task-json.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { receiptText } from '../../core/fleet/receipt.ts';
import type { TimedReceipt } from '../../core/fleet/receipt.ts';
import type { TaskEnd } from '../../core/state/store.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';
import { operationOf, operatorOptions } from '../operator.ts';
import { taskWith, writing } from '../state/opened-state.ts';
import type { WritableState } from '../state/opened-state.ts';
import { optionsFrom } from '../options.ts';
import { taskReceipt } from './task-receipt.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal, sourceOf, sourceOptions } from './task-source.ts';

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

type Io = Pick<CommandIo, 'environment'>;

const changeOptions = { ...operatorOptions, wait: { type: 'string' } } as const;

/** `remit task end`: ends a task by hand; on disk when it reports success, and known to all sidecars unless `--wait committed`. */
export async function taskEnd(args: readonly string[], io: Io): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, { ...sourceOptions, ...changeOptions, as: { type: 'string' } }, 1);
  if (typeof options === 'string') return taskRefusal(options);
  const { as = 'revoked', ...values } = options.values;
  const kind = ends.get(as);
  if (kind === undefined) return taskRefusal(`--as must be one of ${[...ends.keys()].join(', ')}`);
  return change({ id: options.operands[0], kind, values }, io);
}

/** `remit task suspend` and `remit task resume`: suspend or resume a task by hand, as `remit task end` ends it. */
export const taskChange =
  (kind: 'suspend' | 'resume') =>
  async (args: readonly string[], io: Io): Promise<string | CommandRefusal> => {
    const options = optionsFrom(args, { ...sourceOptions, ...changeOptions }, 1);
    if (typeof options === 'string') return taskRefusal(options);
    return change({ id: options.operands[0], kind, values: options.values }, io);
  };

interface WantedChange {
  readonly id: string | undefined;
  readonly kind: Kind;
  readonly values: Parameters<typeof sourceOf>[0] & {
    readonly cause?: string | undefined;
    readonly by?: string | undefined;
    readonly wait?: string | undefined;
    readonly json?: boolean | undefined;
  };
}

async function change({ id, kind, values }: WantedChange, io: Io): Promise<string | CommandRefusal> {
  const { json = false, wait = 'enforced' } = values;
  if (id === undefined) return taskRefusal('the id of a task is required');
  if (wait !== 'enforced' && wait !== 'committed') return taskRefusal('--wait must be enforced or committed');
  const operation = operationOf(values, io.environment);
  if (isCommandRefusal(operation)) return operation;
  const { by, cause } = operation;
  const source = await sourceOf(values, io);
  if (isCommandRefusal(source)) return source;
  const { sidecars, state: place } = source;
  return writing(place, async (state) => {
    const end = await changeIn(state, id, { event: { kind, cause: causeOf(codes[kind], cause) }, by });
    if (isCommandRefusal(end)) return end;
    const receipt = sidecars === null || wait === 'committed' ? null : await taskReceipt(state, end.task, sidecars);
    return shown(end, { receipt, json, nowMs: state.nowMs() });
  });
}

/** The output of the command; a refusal with that output if sidecars may still use the older state. */
function shown(
  { task, changed }: TaskEnd,
  {
    receipt,
    json,
    nowMs,
  }: { readonly receipt: TimedReceipt | Problem | null; readonly json: boolean; readonly nowMs: number },
): string | CommandRefusal {
  const at = taskJson(task, nowMs);
  const isKnown = receipt !== null && !isProblem(receipt);
  const line = `${at.id} ${changed ? 'is' : 'was already'} ${at.state}`;
  const text = isKnown ? `${line}, ${receiptText(receipt)}` : line;
  const done = json ? printableJson(isKnown ? { ...at, enforcement: receipt } : at) : text;
  if (receipt === null) return done;
  if (isProblem(receipt))
    return { ...taskRefusal(`whether sidecars know it is unknown: ${receipt.problem}`, EXIT.no), done };
  return receipt.enforced ? done : { ...taskRefusal('sidecars may still use the older state', EXIT.no), done };
}

async function changeIn(
  state: WritableState,
  id: string,
  { event, by }: { readonly event: TaskEvent; readonly by: string },
): Promise<TaskEnd | CommandRefusal> {
  const found = await taskWith(state, id);
  if (isCommandRefusal(found)) return found;
  const changed = await state.applyTaskEvent(found, event, by);
  if (isStoreFailure(changed)) return taskRefusal(changed.detail);
  if (changed === undefined) return taskRefusal(`there is no task \`${printable(id)}\``, EXIT.no);
  if ('problem' in changed) {
    const of = changed.problem === 'parent' ? 'its parent task is' : 'the task is already';
    return taskRefusal(`${of} \`${changed.state}\``, EXIT.no);
  }
  return changed;
}
