import type { Code, Level } from './codes.ts';

/** What a check found. Its texts are shown escaped, so they may quote hostile names; they never hold a secret. */
export interface Finding {
  readonly code: Code;
  /** The place, as `--suppress` compares it: `listener/agents`, `cluster/remit`, `mesh.yaml: AuthorizationPolicy demo/tools`. */
  readonly where: string;
  /** What is wrong there and what follows from it: lower case, no final period. */
  readonly message: string;
  /** What to change, or the command that does it. */
  readonly fix: string;
  /** Set if it matters less than its code says. Default: the level of the code. */
  readonly level?: Level;
}
