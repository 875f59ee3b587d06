import type { LOST_COMMITS } from '../core/fleet/fleet-report.ts';

/** Why a role did not start, a line for each finding. */
export interface StartProblem {
  readonly problem: string;
  /**
   * Whether the ledger differs from what was signed. It has an exit code of its own, since neither a restart nor a change of the
   * configuration helps.
   */
  readonly isTampered?: boolean;
  /** Whether it may pass by itself, or by what an operator does elsewhere, so that a start waits for that. */
  readonly mayPass?: boolean;
  /** The name of the cause, if it has a name: the readiness gate then has this name. */
  readonly cause?: typeof LOST_COMMITS;
  /** Whether the process was asked to end while it waited, which is no problem. */
  readonly isStopped?: boolean;
}

/** Whether a role did not start. */
export const isStartProblem = (value: unknown): value is Pick<StartProblem, 'problem'> =>
  typeof value === 'object' && value !== null && 'problem' in value && typeof value.problem === 'string';
