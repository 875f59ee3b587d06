import type { DenialFacts } from './denial-facts.ts';
import type { ReasonCode } from './reasons.ts';

/** The call may pass. INVARIANT: built by `allowBy` and nowhere else. */
export interface Allow {
  readonly kind: 'allow';
  /** Ids of the policies that permitted the call, sorted. */
  readonly policyIds: readonly string[];
  /** The denial that enforcing would have answered, of a call that is only observed; `null` if the call is permitted. */
  readonly observed: Deny | null;
}

/** The call is refused. */
export interface Deny {
  readonly kind: 'deny';
  readonly reason: ReasonCode;
  /** The cause, for telemetry and the ledger only. Never sent to the client, never a secret. */
  readonly detail: string;
  /** Ids of the deciding policies, sorted; empty if no policy was evaluated. */
  readonly policyIds: readonly string[];
  /** The `@reason` of a deciding policy: text of the operator, shown to the caller. */
  readonly advice: string | null;
  /** Facts that a verified caller gets besides the reason; absent if there are none. */
  readonly clientFacts?: DenialFacts;
  /** Set if one of the deciding policies is a forbid with `@always("true")`: it holds also while the call is observed. */
  readonly isAlways?: true;
  /** Set if a token is refused that names an issuer of Remit. */
  readonly isOfRemit?: true;
  /** Set if its own agent presents the token, with another certificate than it is bound to: no theft. */
  readonly isOtherCertificate?: true;
}

/** The answer to one check. It has no default. */
export type Decision = Allow | Deny;

/** The policies that denied, and what a verified caller gets besides the reason. */
type Because = Partial<Pick<Deny, 'policyIds' | 'advice' | 'clientFacts' | 'isAlways'>>;

/** Makes a denial. A stage that cannot go on returns it. */
export const deny = (
  reason: ReasonCode,
  detail: string,
  { policyIds = [], advice = null, clientFacts, isAlways }: Because = {},
): Deny => ({
  kind: 'deny',
  reason,
  detail,
  policyIds,
  advice,
  ...(clientFacts === undefined ? {} : { clientFacts }),
  ...(isAlways === undefined ? {} : { isAlways }),
});

/** Whether a stage's result is a denial. */
export const isDeny = (value: unknown): value is Deny =>
  typeof value === 'object' && value !== null && (value as Partial<Deny>).kind === 'deny';

/** The denial of a token that names an issuer of Remit. */
export const ofRemit = (refused: Deny): Deny => ({ ...refused, isOfRemit: true });
