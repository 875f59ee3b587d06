import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a solver prints that proves what it was asked. */
export const PROVES = "echo '\u2713 implies: VERIFIED'";

/** What one prints that gives no answer. */
export const MUTE = 'exit 1';

/** What one prints that shows a request. */
export const shows = (example: string): string =>
  `cat <<'REMIT_EXAMPLE'\n\u2717 implies: DOES NOT HOLD\n  Counterexample found:\n${example}\nREMIT_EXAMPLE`;

/** A solver that answers by what the policies hold that it was given: `answer` if they match a basic regular expression, otherwise nothing. */
export const ifTexts = (pattern: string, answer: string): string =>
  `if for file in "$@"; do case "$file" in *.cedar) cat "$file" ;; esac; done | grep -q '${pattern}'; then\n${answer}\nelse\n${MUTE}\nfi`;

/** A folder with programs in place of `cedar` and `cvc5` that run this shell script: for what is decided around the solver, never for proofs. */
export function scriptedEngine(folder: string, script: string): string {
  mkdirSync(folder, { recursive: true });
  for (const name of ['cedar', 'cvc5']) writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return folder;
}
