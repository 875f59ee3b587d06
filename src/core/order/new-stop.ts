import type { Problem } from '../runtime/problem.ts';
import { isProblem } from '../runtime/problem.ts';
import { newOrderId, orderFrom } from './order.ts';
import type { StopKind, StopOrder } from './order.ts';

/** Longest stop with an end, in minutes: a year. */
export const MAX_STOP_MINUTES = 525_600;

/** A stop, as somebody asks for it. */
export interface AskedStop {
  readonly kind: StopKind;
  /** As `StopOrder.what`. */
  readonly what: string;
  /** How long it holds; `null` until it is lifted. */
  readonly minutes: number | null;
  readonly because: string;
}

/** By whom and when a stop is made. */
export interface StopMaker {
  readonly by: string;
  /** The floor, in milliseconds since the Unix epoch. */
  readonly floorMs: number;
  /** The later of the two clocks, likewise. It may have been read before the floor. */
  readonly nowMs: number;
  readonly randomBytes: (length: number) => Uint8Array;
}

/** A new stop, within the limits of orders. Its end is counted from the later of the two clocks. */
export function newStop({ kind, what, minutes, because }: AskedStop, maker: StopMaker): StopOrder | Problem {
  const order = orderFrom({
    of: 'stop',
    id: newOrderId(maker.randomBytes),
    madeAtMs: maker.floorMs,
    untilMs: minutes === null ? null : Math.max(maker.nowMs, maker.floorMs) + minutes * 60_000,
    kind,
    what,
    by: maker.by,
    because,
  });
  // Safe: it says `of: 'stop'`.
  return isProblem(order) ? order : (order as StopOrder);
}
