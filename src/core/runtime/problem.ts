/** What is wrong with an untrusted value, as a clause without a subject: "must be a string". */
export interface Problem {
  readonly problem: string;
}

/** Whether a parser returned a problem. INVARIANT: no parsed value has a member named `problem`. */
export const isProblem = (value: unknown): value is Problem =>
  typeof value === 'object' && value !== null && 'problem' in value;
