/** The result of a rehearsal, a line for each finding. */
export interface StartRehearsal {
  /** Problems that would prevent a start; empty if there are none. */
  readonly problems: readonly string[];
  /** What a start would wait for, alive and not ready; empty if it would not wait. */
  readonly waits: readonly string[];
  /** Other findings, which would not prevent a start. */
  readonly warnings: readonly string[];
  /** Whether the ledger differs from what was signed, which has an exit code of its own. */
  readonly isTampered: boolean;
}
