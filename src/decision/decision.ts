import type { ReasonCode } from './reasons.ts';

/** The call may pass. Built in one place, `policy/authorize.ts`, and nowhere else. */
export interface Allow {
  readonly kind: 'allow';
  /** Ids of the policies that permitted the call, sorted. */
  readonly policyIds: readonly string[];
}

/** The call is refused. */
export interface Deny {
  readonly kind: 'deny';
  readonly reason: ReasonCode;
  /** The cause, for telemetry and the record only; never sent to the client and never a secret. */
  readonly detail: string;
  /** Ids of the policies that decided it, sorted; empty where no policy was asked. */
  readonly policyIds: readonly string[];
  /** The `@reason` of a deciding policy, written by the operator to be shown to the caller. */
  readonly advice: string | null;
}

/** The answer to one check. It has no default value. */
export type Decision = Allow | Deny;

/** A denial with its cause; what a stage returns where it cannot go on. */
export const deny = (
  reason: ReasonCode,
  detail: string,
  by: { readonly policyIds: readonly string[]; readonly advice: string | null } = { policyIds: [], advice: null },
): Deny => ({ kind: 'deny', reason, detail, policyIds: by.policyIds, advice: by.advice });

/** Whether a stage's result is a denial. */
export const isDeny = (value: unknown): value is Deny =>
  typeof value === 'object' && value !== null && (value as Partial<Deny>).kind === 'deny';
