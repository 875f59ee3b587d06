/** Denials of checks whose state or ledger failed. */
import { type Deny, deny } from './decision.ts';

/** The denial of a check whose task state could not be read. */
export const stateUnavailable = (failure: { readonly detail: string }): Deny =>
  deny('task.state-unavailable', failure.detail);

/** The denial of a check that could not be recorded. */
export const ledgerUnavailable = (failure: { readonly detail: string }): Deny =>
  deny('ledger.unavailable', failure.detail);
