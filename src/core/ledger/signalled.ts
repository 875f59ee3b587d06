import type { Signalled } from '../config/issuer.ts';
import type { LedgerRecord } from './record.ts';

/**
 * What of a record receivers of signals are told; `null` for a record that is told to nobody. A token that was presented by another workload is
 * `stolen-tokens` once it is revoked, and so is the end of its task, if `onBindingViolation` ends that.
 */
export function signalledBy(record: LedgerRecord): Signalled | null {
  if (record.kind === 'end') return record.cause === 'binding.violation' ? 'stolen-tokens' : 'ends';
  if (record.kind !== 'event') return null;
  if (record.event === 'token-revoked') return record.cause === 'binding.violation' ? 'stolen-tokens' : null;
  return record.event === 'order-made' && record.details['of'] === 'stop' ? 'stops' : null;
}

/**
 * In which order what waits is told; if too much waits, the last are dropped first. INVARIANT: what an agent does by itself, such as to end its own
 * tasks, holds up and drops no stop.
 */
export const signalRanks: Readonly<Record<Signalled, number>> = Object.freeze({
  stops: 0,
  'stolen-tokens': 1,
  ends: 2,
});
