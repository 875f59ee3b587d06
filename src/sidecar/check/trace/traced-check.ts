import { isDeny } from '../../../core/decision/decision.ts';
import type { UseRecord } from '../../../core/ledger/record.ts';
import { stageOf, STAGE_NAMES } from './stages.ts';
import type { StageName } from './stages.ts';
import { askedDetails } from './asked-details.ts';
import type { CheckToTrace } from './check-to-trace.ts';
import type { Detail, Shown } from './detail.ts';
import {
  actionDetails,
  answerDetails,
  identityDetails,
  policyDetails,
  taskDetails,
  tokenDetails,
} from './stage-details.ts';

/** One stage of a check. */
export interface TracedStage {
  readonly name: StageName;
  /** `passed`; `denied`, the stage that decided; `unused` after it: it was read, and decided nothing. */
  readonly result: 'passed' | 'denied' | 'unused';
  /** Milliseconds; `null` if its time is part of `asked`. */
  readonly ms: number | null;
  /** Its input and result, in order, without any credential. */
  readonly details: readonly Detail[];
}

/** A check with its stages, as sent to subscribers. */
export interface TracedCheck {
  readonly decisionId: string;
  readonly traceId: string | null;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
  readonly decision: 'allow' | 'deny';
  readonly reason: string | null;
  /** From the moment it was read until it was answered, with the time it waited. */
  readonly totalMs: number;
  readonly stages: readonly TracedStage[];
}

/** The trace of a check. `record` is the record of the same check. */
export function tracedCheckFrom(traced: CheckToTrace, record: UseRecord, shown: Shown): TracedCheck {
  const { check, traceId, readMs, taskMs, decideMs, settleMs, totalMs } = traced;
  const decidedBy = decidingStage(traced);
  const details: Readonly<Record<StageName, readonly Detail[]>> = {
    asked: askedDetails(traced.asked, check.facts, shown),
    identity: identityDetails(check.facts, record),
    token: tokenDetails(check.facts, record),
    task: taskDetails(check.facts),
    action: actionDetails(check.facts, record),
    policy: policyDetails(traced),
    answer: answerDetails(traced),
  };
  const ms: Readonly<Record<StageName, number | null>> = {
    asked: readMs,
    identity: null,
    token: null,
    task: taskMs,
    action: null,
    policy: decideMs,
    answer: settleMs,
  };
  return {
    decisionId: check.decisionId,
    traceId,
    atMs: check.facts.nowMs,
    decision: check.decision.kind,
    reason: record.reason,
    totalMs,
    stages: STAGE_NAMES.map((name) => ({
      name,
      result: resultOf(name, decidedBy),
      ms: ms[name],
      details: details[name],
    })),
  };
}

/** The stage that denied; `null` for an allow. A denial after the policies permitted is that of settling, recording and answering. */
function decidingStage({ check: { decision }, byPolicy }: CheckToTrace): StageName | null {
  if (!isDeny(decision)) return null;
  if (!isDeny(byPolicy)) return 'answer';
  return stageOf(decision.reason);
}

function resultOf(name: StageName, decidedBy: StageName | null): TracedStage['result'] {
  if (decidedBy === null) return 'passed';
  if (name === decidedBy) return 'denied';
  // The answer is sent, whichever stage decided.
  if (name === 'answer') return 'passed';
  return STAGE_NAMES.indexOf(name) < STAGE_NAMES.indexOf(decidedBy) ? 'passed' : 'unused';
}
