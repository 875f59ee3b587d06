import type { TimedReceipt } from '../../core/fleet/receipt.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import type { StopOrder } from '../../core/order/order.ts';
import { stopJson } from '../../core/order/stop-json.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { EXIT } from '../command.ts';
import { orderReceiptText } from '../state/order-receipt.ts';
import { taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

const stoppedText = ({ kind, what }: StopOrder): string => (kind === 'all' ? 'everything' : `${kind} ${what}`);

/** What a stop is about and until when, in one line. */
export const stopLine = (order: StopOrder): string => {
  const { id, untilMs, by, because } = order;
  const until = untilMs === null ? 'until it is lifted' : `until ${new Date(untilMs).toISOString()}`;
  return printable(`${id}  ${stoppedText(order)}  ${until}  by ${by}: ${because}`);
};

/** The output of a command that changed a stop; a refusal with that output if sidecars may still decide without the change. */
export function shownChange(
  order: StopOrder,
  {
    verb,
    receipt,
    json,
  }: { readonly verb: 'in force' | 'lifted'; readonly receipt: TimedReceipt | Problem | null; readonly json: boolean },
): string | CommandRefusal {
  const isKnown = receipt !== null && !isProblem(receipt);
  const line = printable(`stop ${order.id} of ${stoppedText(order)} is ${verb}`);
  const text = isKnown ? `${line}, ${orderReceiptText(receipt)}` : line;
  const done = json ? printableJson(isKnown ? { ...stopJson(order), enforcement: receipt } : stopJson(order)) : text;
  if (receipt === null) return done;
  if (isProblem(receipt))
    return { ...taskRefusal(`whether sidecars know it is unknown: ${receipt.problem}`, EXIT.no), done };
  return receipt.enforced ? done : { ...taskRefusal('sidecars may still decide without it', EXIT.no), done };
}
