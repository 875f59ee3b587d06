import { taskTokenOf } from './decide.ts';
import type { Facts } from './decide.ts';
import { isDeny } from './decision/decision.ts';
import type { Decision } from './decision/decision.ts';
import type { ReasonCode } from './decision/reasons.ts';
import type { CacheResult } from './policy/cache.ts';
import type { ReuseClass } from './token/reuse.ts';

/** One check when it is decided: what its span, its record and its answer are made of. */
export interface Judgement {
  /** UUIDv7, the same in the answer, the span, the record and Envoy's log. */
  readonly decisionId: string;
  /** Id of the allow that this denial takes back: it could not be recorded, its task ended while it waited. Absent for every other. */
  readonly withdraws?: string;
  readonly decision: Decision;
  readonly facts: Facts;
  /** Hash of the policy set that was asked; `null` where none is loaded. */
  readonly policySet: string | null;
  /** Which set in force it was since the process began; `null` where none is loaded. */
  readonly policyGeneration: number | null;
  /** What became of the question to the policies at their cache; `bypass` where it was not asked. */
  readonly cache: CacheResult;
}

/** The reasons for which a token whose task is over, or which was revoked itself, is denied. */
const AFTER_END: ReadonlySet<ReasonCode> = new Set([
  'task.completed',
  'task.cancelled',
  'task.revoked',
  'task.expired',
  'token.revoked',
]);

/** All classes of a use: what was known before the decision, and what the decision found. Empty without a verified token. */
export function reuseOf(judgement: Pick<Judgement, 'decision' | 'facts'>): readonly ReuseClass[] {
  const { decision, facts } = judgement;
  if (facts.reuse.length === 0 || !isDeny(decision)) return facts.reuse;
  if (isPresentedByAnother(judgement)) return ['other-identity', ...facts.reuse];
  return AFTER_END.has(decision.reason) ? ['after-end', ...facts.reuse] : facts.reuse;
}

/** Whether a call was denied because its verified task token was issued to another workload. */
export function isPresentedByAnother({ decision, facts }: Pick<Judgement, 'decision' | 'facts'>): boolean {
  const token = taskTokenOf(facts);
  const isUnbound = isDeny(decision) && decision.reason === 'token.binding';
  return isUnbound && token !== null && !isDeny(facts.caller) && facts.caller.id !== token.clientId;
}
