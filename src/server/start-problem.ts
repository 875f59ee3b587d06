/** Why a role did not start: one line for each finding. */
export interface StartProblem {
  readonly problem: string;
  /** Whether the ledger is not what was signed: an exit code of its own, since no restart and no edit of the configuration helps. */
  readonly isTampered?: boolean;
}

/** Whether a role did not start. */
export const isStartProblem = (value: unknown): value is Pick<StartProblem, 'problem'> =>
  typeof value === 'object' && value !== null && 'problem' in value && typeof value.problem === 'string';

/** A system error by its code, anything else by nothing: neither repeats what was read. */
export const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown error';
