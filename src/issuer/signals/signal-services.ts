import type { SignalEffects } from './effects.ts';
import type { SetRules } from './set.ts';
import type { SignalsUnderWay } from './under-way.ts';

/** What `POST /signals` works with: who may send, what a token must keep to, and what events do. */
export interface SignalServices extends SetRules {
  readonly effects: SignalEffects;
  /** One for all servers of a process that take signals. */
  readonly underWay: SignalsUnderWay;
}
