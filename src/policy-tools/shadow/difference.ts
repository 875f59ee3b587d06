import { isDeny } from '../../decision/decision.ts';
import type { Decision } from '../../decision/decision.ts';
import type { ReasonCode } from '../../decision/reasons.ts';
import type { Group } from './groups.ts';

/** Which policies on trial would decide otherwise. */
export type TrialSource = 'candidate' | 'shadow';

/** How another decision is another. */
export type Change = 'allow-to-deny' | 'deny-to-allow' | 'other-reason';

/** A decision that would have been another. */
export interface Difference {
  /** What shows it: policies on trial, or decisions that were made again, of the ledger or of test cases. */
  readonly source: TrialSource | 'ledger' | 'cases';
  readonly change: Change;
  readonly action: string;
  readonly agent: string;
  /** The purpose of the task; `''` where there is none, `null` where they are not told apart by it. */
  readonly intent: string | null;
  /** Reason of the decision that was made, and of the other; `null` of an allow. */
  readonly reason: string | null;
  readonly otherwise: string | null;
  /** The policies of the decision that was made; empty where none permitted. */
  readonly formerIds: readonly string[];
  /** The policies that decide otherwise; empty where none permits. */
  readonly policyIds: readonly string[];
}

/** One decision of a group. */
export interface DifferenceExample {
  /** `null` where the decision was whether to issue a token. */
  readonly decisionId: string | null;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** Differences that are alike, counted. */
export type DifferenceGroup<Example = DifferenceExample> = Group<Difference, Example>;

/** What a difference says of the two decisions. */
export type Otherwise = Pick<Difference, 'change' | 'reason' | 'otherwise' | 'formerIds' | 'policyIds'>;

/** How two decisions differ; `null` where they come to the same, by whichever policies. */
export function differenceOf(former: Decision, other: Decision): Otherwise | null {
  const [reason, otherwise] = [former, other].map((decision) => (isDeny(decision) ? decision.reason : null));
  if (reason === undefined || otherwise === undefined || reason === otherwise) return null;
  const change = reason === null ? 'allow-to-deny' : otherwise === null ? 'deny-to-allow' : 'other-reason';
  return { change, reason, otherwise, formerIds: former.policyIds, policyIds: other.policyIds };
}

/** Whether another policy set could have decided otherwise, by the reason of a decision; `null` is that of an allow. */
export const isOfPolicies = (reason: ReasonCode | null): boolean =>
  reason === null || /^(?:policy|action)\./.test(reason) || reason === 'token.missing';
