import { orderLifted } from '../../core/ledger/order-record.ts';
import { isOrderId, orderLimits } from '../../core/order/order.ts';
import type { StopOrder } from '../../core/order/order.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { EXIT } from '../command.ts';
import { operationOf } from '../operator.ts';
import { optionsFrom } from '../options.ts';
import { writing } from '../state/opened-state.ts';
import type { WritableState } from '../state/opened-state.ts';
import { orderRecords } from '../../authority/issuer/orders/changed-order.ts';
import { orderReceiptOf } from '../state/order-receipt.ts';
import { isCommandRefusal, sourceOf, sourceOptions, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { changeOptions, isWait } from './stop-options.ts';
import type { StopIo } from './stop-options.ts';
import { shownChange } from './stop-shown.ts';

/** `remit stop lift`: lifts a stop by its id. */
export async function stopLift(args: readonly string[], io: StopIo): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, { ...sourceOptions, ...changeOptions }, 1);
  if (typeof options === 'string') return taskRefusal(options);
  const [id = ''] = options.operands;
  const { json = false, wait = 'enforced', because = 'lifted by an operator', ...values } = options.values;
  if (!isOrderId(id)) return taskRefusal('the id of a stop is required: 16 hexadecimal digits, see `remit stop list`');
  if (!isWait(wait)) return taskRefusal('--wait must be enforced or committed');
  if (because === '' || because.length > orderLimits.maxBecause)
    return taskRefusal(`--because must have 1 to ${orderLimits.maxBecause} characters`);
  const operation = operationOf({ ...values, cause: because }, io.environment);
  if (isCommandRefusal(operation)) return operation;
  const source = await sourceOf(values, io);
  if (isCommandRefusal(source)) return source;
  return writing(source.state, async (state) => {
    const order = await lifted(state, id, { by: operation.by, because });
    if (isCommandRefusal(order)) return order;
    const { sidecars } = source;
    const asked = sidecars === null || wait === 'committed' ? null : { order, authority: sidecars };
    const receipt = asked === null ? null : await orderReceiptOf(state, { ...asked, change: 'order-lifted' }, io);
    return shownChange(order, { verb: 'lifted', receipt, json });
  });
}

async function lifted(
  state: WritableState,
  id: string,
  { by, because }: { readonly by: string; readonly because: string },
): Promise<StopOrder | CommandRefusal> {
  const none = taskRefusal(`there is no stop \`${id}\` in force: see \`remit stop list\``, EXIT.no);
  const orders = await state.ordersInForce();
  if (isStoreFailure(orders)) return taskRefusal(orders.detail);
  const order = orders.list.find((one) => one.of === 'stop' && one.id === id);
  if (order?.of !== 'stop') return none;
  const records = orderRecords(orderLifted(order, { by, because, at: state.nowMs() }));
  const done = await state.liftOrder(id, records);
  if (isStoreFailure(done)) return taskRefusal(done.detail);
  return done === undefined ? none : order;
}
