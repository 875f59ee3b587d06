import type { ReasonCode } from './reasons.ts';

/** The call may pass. INVARIANT: built in `policy/authorize.ts` and nowhere else. */
export interface Allow {
  readonly kind: 'allow';
  /** Ids of the policies that permitted the call, sorted. */
  readonly policyIds: readonly string[];
}

/** The call is refused. */
export interface Deny {
  readonly kind: 'deny';
  readonly reason: ReasonCode;
  /** The cause, for telemetry and the ledger only. Never sent to the client, never a secret. */
  readonly detail: string;
  /** Ids of the deciding policies, sorted; empty where no policy was evaluated. */
  readonly policyIds: readonly string[];
  /** The `@reason` of a deciding policy: text of the operator, shown to the caller. */
  readonly advice: string | null;
}

/** The answer to one check. It has no default. */
export type Decision = Allow | Deny;

/** Makes a denial. A stage that cannot go on returns one. */
export const deny = (
  reason: ReasonCode,
  detail: string,
  by: { readonly policyIds: readonly string[]; readonly advice: string | null } = { policyIds: [], advice: null },
): Deny => ({ kind: 'deny', reason, detail, policyIds: by.policyIds, advice: by.advice });

/** Whether a stage's result is a denial. */
export const isDeny = (value: unknown): value is Deny =>
  typeof value === 'object' && value !== null && (value as Partial<Deny>).kind === 'deny';
