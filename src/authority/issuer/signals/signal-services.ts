import type { SignalEffects } from './effects.ts';
import type { SetRules } from './set.ts';
import type { SignalsUnderWay } from './under-way.ts';

/** Dependencies of `POST /signals`: transmitters, rules and effects. */
export interface SignalServices extends SetRules {
  readonly effects: SignalEffects;
  /** How long a stop by a signal holds, in minutes; `null` until an operator lifts it. */
  readonly stopMinutes: number | null;
  /** Shared by all servers of a process that receive signals. */
  readonly underWay: SignalsUnderWay;
}
