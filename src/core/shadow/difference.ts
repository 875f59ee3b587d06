import { isDeny } from '../decision/decision.ts';
import type { Decision } from '../decision/decision.ts';
import type { ReasonCode } from '../decision/reasons.ts';
import type { Group } from './groups.ts';

/** Which policies on trial would decide differently. */
export type TrialSource = 'candidate' | 'shadow';

/** The kind of difference. */
export type Change = 'allow-to-deny' | 'deny-to-allow' | 'other-reason';

/** A decision that would have been different. */
export interface Difference {
  /** Its source: policies on trial, or repeated decisions of the ledger or of test cases. */
  readonly source: TrialSource | 'ledger' | 'cases';
  readonly change: Change;
  readonly action: string;
  readonly agent: string;
  /** The purpose of the task; `''` without a purpose, `null` if it is not distinguished. */
  readonly intent: string | null;
  /** Reason of the actual decision, and below of the other decision; `null` for an allow. */
  readonly reason: string | null;
  readonly otherwise: string | null;
  /** Policies of the actual decision; empty if none permitted. */
  readonly formerIds: readonly string[];
  /** Policies of the other decision; empty if none permits. */
  readonly policyIds: readonly string[];
}

/** One decision of a group. */
export interface DifferenceExample {
  /** `null` for a decision about issuing a token. */
  readonly decisionId: string | null;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** A group of equal differences with their count. */
export type DifferenceGroup<Example = DifferenceExample> = Group<Difference, Example>;

/** The part of a difference about the two decisions. */
export type Otherwise = Pick<Difference, 'change' | 'reason' | 'otherwise' | 'formerIds' | 'policyIds'>;

/** The difference between two decisions; `null` if the outcome is equal, even by other policies. */
export function differenceOf(former: Decision, other: Decision): Otherwise | null {
  const [reason, otherwise] = [former, other].map((decision) => (isDeny(decision) ? decision.reason : null));
  if (reason === undefined || otherwise === undefined || reason === otherwise) return null;
  const change = reason === null ? 'allow-to-deny' : otherwise === null ? 'deny-to-allow' : 'other-reason';
  return { change, reason, otherwise, formerIds: former.policyIds, policyIds: other.policyIds };
}

/** Whether another policy set could have decided differently, by the reason (`null` for an allow). */
export const isOfPolicies = (reason: ReasonCode | null): boolean =>
  reason === null || /^(?:policy|action)\./.test(reason) || reason === 'token.missing';
