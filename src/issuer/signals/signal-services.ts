import type { SignalEffects } from './effects.ts';
import type { SetRules } from './set.ts';

/** What `POST /signals` works with: who may send, what a token must keep to, and what events do. */
export interface SignalServices extends SetRules {
  readonly effects: SignalEffects;
}
