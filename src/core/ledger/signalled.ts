import type { Signalled } from '../config/issuer.ts';
import type { LedgerRecord } from './record.ts';

/**
 * The event that a record sends to receivers of signals; `null` for none. A token that was presented by another workload is
 * `stolen-tokens` once it is revoked, and so is the end of its task if `onBindingViolation` ends the task.
 */
export function signalledBy(record: LedgerRecord): Signalled | null {
  if (record.kind === 'end') return record.cause === 'binding.violation' ? 'stolen-tokens' : 'ends';
  if (record.kind !== 'event') return null;
  if (record.event === 'token-revoked') return record.cause === 'binding.violation' ? 'stolen-tokens' : null;
  return record.event === 'order-made' && record.details['of'] === 'stop' ? 'stops' : null;
}

/**
 * The order in which waiting events are sent; if too many wait, those of the last rank are dropped first. INVARIANT: what an
 * agent causes by itself, such as the end of its own tasks, neither delays nor drops a stop.
 */
export const signalRanks: Readonly<Record<Signalled, number>> = Object.freeze({
  stops: 0,
  'stolen-tokens': 1,
  ends: 2,
});
