import type { Decision } from '../decision/decision.ts';
import type { DecidedCheck } from '../decide/decided-check.ts';

/** One check when it is over: its decision is the one that was answered. */
export interface FinishedCheck extends DecidedCheck {
  /** What policies and facts came to, before budgets and the record had their say. */
  readonly decided: Decision;
  /** Trace of its span. */
  readonly traceId: string | null;
  /** How long its stages took, on the monotonic clock. */
  readonly took: CheckDurations;
}

/** Milliseconds of each stage, with fractions. */
export interface CheckDurations {
  readonly gatherMs: number;
  readonly decideMs: number;
  readonly settleMs: number;
}

/** Is told of each check once. It must not throw and is not waited for. */
export type CheckObserver = (check: FinishedCheck) => void;

/** The whole of a check, in milliseconds. */
export const totalMs = ({ gatherMs, decideMs, settleMs }: CheckDurations): number => gatherMs + decideMs + settleMs;
