import { printableJson } from '../../core/ledger/printable-json.ts';
import { stopJson } from '../../core/order/stop-json.ts';
import { unsealedIn, unsealedProblem } from '../../core/order/unsealed.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { optionsFrom } from '../options.ts';
import { reading } from '../state/opened-state.ts';
import { isCommandRefusal, sourceOf, sourceOptions, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import type { StopIo } from './stop-options.ts';
import { stopLine } from './stop-shown.ts';

/** `remit stop list`: the stops in force, oldest first, and which of them no authority wrote. */
export async function stopList(args: readonly string[], io: StopIo): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, sourceOptions, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { json = false, ...values } = options.values;
  const source = await sourceOf(values, io);
  if (isCommandRefusal(source)) return source;
  return reading(source.state, async (state) => {
    const orders = await state.ordersInForce();
    if (isStoreFailure(orders)) return taskRefusal(orders.detail);
    const stops = orders.list.filter((order) => order.of === 'stop').toSorted((a, b) => a.madeAtMs - b.madeAtMs);
    if (json) return printableJson(stops.map(stopJson));
    if (stops.length === 0) return 'nothing is stopped';
    const unsealed = unsealedProblem(unsealedIn(stops));
    return [...stops.map(stopLine), ...(unsealed === null ? [] : [`warning: ${unsealed}`])].join('\n');
  });
}
