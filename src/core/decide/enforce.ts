import { allowBy } from '../decision/allow.ts';
import { isDeny } from '../decision/decision.ts';
import type { Decision, Deny } from '../decision/decision.ts';
import type { ReasonCode } from '../decision/reasons.ts';
import type { Mode } from './mode.ts';

/**
 * What happens to a denial while its call is only observed. `passes`: the call passes. `denied`: it is denied all the same.
 * `remit-token`: it is denied if its token names an issuer of Remit, unless the token's own agent presents it with another
 * certificate. `always`: it is denied if a forbid with `@always("true")` decided.
 */
type WhileObserved = 'passes' | 'denied' | 'remit-token' | 'always';

/**
 * What happens while observing, by reason. Still denied: tokens of Remit that are ended, revoked, suspended, stolen, forged or
 * replayed; what an operator stopped; and what a forbid with `@always("true")` forbids. Everything else passes as if Remit were
 * not there, even its own faults. A new reason does not compile without a row.
 */
export const WHILE_OBSERVED: Readonly<Record<ReasonCode, WhileObserved>> = Object.freeze({
  'request.malformed': 'passes',
  // An `authorization` header with several tokens, of which one names an issuer of Remit: which of them is meant cannot be judged.
  'request.not-canonical': 'remit-token',
  'request.unsupported': 'passes',
  'request.body-incomplete': 'passes',
  'request.too-large': 'passes',
  'identity.missing': 'passes',
  'identity.invalid': 'passes',
  'identity.untrusted-domain': 'passes',
  'identity.conflict': 'passes',
  'token.missing': 'passes',
  // Forged, if it names an issuer of Remit: tokens of others are the upstream's.
  'token.malformed': 'remit-token',
  'token.algorithm': 'remit-token',
  'token.signature': 'remit-token',
  'token.issuer': 'passes',
  'token.audience': 'passes',
  // Ended: tokens of tasks that are no longer known have expired.
  'token.expired': 'remit-token',
  'token.not-yet-valid': 'passes',
  'token.lifetime': 'remit-token',
  // Stolen. Tokens of others are bound by the rules of their issuers.
  'token.binding': 'remit-token',
  // Replayed, or stolen without its key.
  'token.proof': 'remit-token',
  'token.proof-nonce': 'remit-token',
  'token.replay-memory-full': 'passes',
  'token.revoked': 'denied',
  'token.static-secret': 'passes',
  'token.keys-unavailable': 'passes',
  // Whatever the credential.
  'stopped.all': 'denied',
  'stopped.agent': 'denied',
  'stopped.server': 'denied',
  'stopped.action': 'denied',
  'stopped.user': 'denied',
  'task.unknown': 'denied',
  'task.suspended': 'denied',
  'task.completed': 'denied',
  'task.cancelled': 'denied',
  'task.revoked': 'denied',
  'task.expired': 'denied',
  'task.stopped': 'denied',
  'task.exhausted': 'passes',
  'task.replayed': 'denied',
  'task.state-unavailable': 'passes',
  'limit.exceeded': 'passes',
  'action.unknown': 'passes',
  'action.changed': 'passes',
  'action.unasked': 'passes',
  'action.outside-intent': 'passes',
  'action.arguments': 'passes',
  'policy.forbidden': 'always',
  'policy.not-permitted': 'passes',
  'policy.error': 'passes',
  'policy.unavailable': 'passes',
  'policy.expired': 'passes',
  'policy.stale': 'passes',
  'ledger.unavailable': 'passes',
  'check.deadline': 'passes',
  overloaded: 'passes',
  internal: 'passes',
});

/** Whether a denial holds even while its call is only observed. */
export function holdsWhileObserved({ reason, isAlways, isOfRemit, isOtherCertificate }: Deny): boolean {
  const what = WHILE_OBSERVED[reason];
  if (what === 'always') return isAlways === true;
  return what === 'denied' || (what === 'remit-token' && isOfRemit === true && isOtherCertificate !== true);
}

/**
 * The answer to a decided call: the decision itself; or, if it is a denial that passes while the call is only observed, an allow
 * by no policy that keeps the denial in `observed`. Pure and total.
 *
 * @param mode what covers the call; `null` if it is enforced
 */
export const enforce = (decision: Decision, mode: Mode | null): Decision =>
  mode === null || !isDeny(decision) || holdsWhileObserved(decision) ? decision : allowBy([], decision);
