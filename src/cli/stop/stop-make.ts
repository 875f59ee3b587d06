import { orderMade } from '../../core/ledger/order-record.ts';
import { MAX_STOP_MINUTES, newStop } from '../../core/order/new-stop.ts';
import { orderLimits } from '../../core/order/order.ts';
import type { StopKind } from '../../core/order/order.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { EXIT } from '../command.ts';
import { operationOf } from '../operator.ts';
import { optionsFrom } from '../options.ts';
import { writing } from '../state/opened-state.ts';
import { orderRecords } from '../../authority/issuer/orders/changed-order.ts';
import { orderReceiptOf } from '../state/order-receipt.ts';
import { isCommandRefusal, sourceOf, sourceOptions, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { changeOptions, isWait } from './stop-options.ts';
import type { StopIo } from './stop-options.ts';
import { shownChange } from './stop-shown.ts';
import { targetProblem, unseenWarning } from './stop-target-check.ts';

const makeOptions = {
  ...sourceOptions,
  ...changeOptions,
  minutes: { type: 'string' },
  'yes-everything': { type: 'boolean' },
} as const;

/** The word that confirms a stop of everything on a terminal. */
const WORD = 'everything';

/** `remit stop agent`, `user`, `server`, `action` and `all`: puts a stop in force. */
export const stopMake =
  (kind: StopKind) =>
  async (args: readonly string[], io: StopIo): Promise<string | CommandRefusal> => {
    const options = optionsFrom(args, makeOptions, kind === 'all' ? 0 : 1);
    if (typeof options === 'string') return taskRefusal(options);
    const [what = ''] = options.operands;
    const { json = false, wait = 'enforced', because = '', minutes: given, ...values } = options.values;
    if (kind !== 'all' && what === '') return taskRefusal(`${wanted[kind]} is required`);
    if (because === '') return taskRefusal('--because is required: the reason, for readers of the record');
    if (because.length > orderLimits.maxBecause)
      return taskRefusal(`--because must have at most ${orderLimits.maxBecause} characters`);
    if (!isWait(wait)) return taskRefusal('--wait must be enforced or committed');
    const minutes = minutesFrom(given);
    if (isCommandRefusal(minutes)) return minutes;
    const operation = operationOf({ ...values, cause: because }, io.environment);
    if (isCommandRefusal(operation)) return operation;
    const source = await sourceOf(values, io);
    if (isCommandRefusal(source)) return source;
    const unknown = await targetProblem({ kind, what }, source.policyFolder);
    if (isCommandRefusal(unknown)) return unknown;
    if (unknown !== null) io.err(`remit stop ${kind}: ${unknown}`);
    const unconfirmed = kind === 'all' ? await confirmation(values['yes-everything'] === true, io) : null;
    if (unconfirmed !== null) return unconfirmed;
    return writing(source.state, async (state) => {
      const { nowMs, floorMs } = { nowMs: state.nowMs(), floorMs: state.floorMs() };
      const maker = { by: operation.by, nowMs, floorMs, randomBytes: systemPorts.randomBytes };
      const order = newStop({ kind, what, minutes, because }, maker);
      if (isProblem(order)) return taskRefusal(`the stop: ${order.problem}`);
      const failure = await state.putOrder(order, orderRecords(orderMade(order)));
      if (isStoreFailure(failure)) return taskRefusal(failure.detail);
      const { sidecars } = source;
      const asked = sidecars === null || wait === 'committed' ? null : { order, authority: sidecars };
      const receipt = asked === null ? null : await orderReceiptOf(state, { ...asked, change: 'order-made' }, io);
      // Checked after the stop is in force, which must not wait for it.
      const unseen = await unseenWarning(order, state);
      if (unseen !== null) io.err(`remit stop ${kind}: ${unseen}`);
      return shownChange(order, { verb: 'in force', receipt, json });
    });
  };

const wanted: Readonly<Record<Exclude<StopKind, 'all'>, string>> = {
  agent: 'the SPIFFE ID of an agent, or a pattern,',
  user: 'the subject of a user',
  server: 'the id of a server of the catalog',
  action: 'the id of an action of the catalog',
};

function minutesFrom(given: string | undefined): number | null | CommandRefusal {
  if (given === undefined) return null;
  const minutes = /^[0-9]{1,6}$/.test(given) ? Number(given) : 0;
  return minutes >= 1 && minutes <= MAX_STOP_MINUTES
    ? minutes
    : taskRefusal(`--minutes must be a number from 1 to ${MAX_STOP_MINUTES}`);
}

/** Why everything is not stopped; `null` once that is confirmed. */
async function confirmation(isYes: boolean, { ask }: StopIo): Promise<CommandRefusal | null> {
  if (isYes) return null;
  if (ask === undefined) return taskRefusal('without a terminal, --yes-everything is required to stop everything');
  const answer = await ask(`This denies every call of every agent. Type \`${WORD}\` to go on: `);
  return answer?.trim() === WORD ? null : taskRefusal('nothing was stopped', EXIT.no);
}
