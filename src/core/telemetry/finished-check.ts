import type { Decision } from '../decision/decision.ts';
import type { DecidedCheck } from '../decide/decided-check.ts';

/** A finished check, with the decision that was answered. */
export interface FinishedCheck extends DecidedCheck {
  /** The decision before budgets and recording. */
  readonly decided: Decision;
  /** Trace id of its span. */
  readonly traceId: string | null;
  /** Set if the call passed without a record, because it is only observed. */
  readonly isUnrecorded?: true;
  /** Duration of its stages, by the monotonic clock. */
  readonly took: CheckDurations;
}

/** Milliseconds per stage, with fractions. */
export interface CheckDurations {
  readonly gatherMs: number;
  readonly decideMs: number;
  readonly settleMs: number;
}

/** Called once per check. It must not throw and is not awaited. */
export type CheckObserver = (check: FinishedCheck) => void;

/** Total duration of a check, in milliseconds. */
export const totalMs = ({ gatherMs, decideMs, settleMs }: CheckDurations): number => gatherMs + decideMs + settleMs;
