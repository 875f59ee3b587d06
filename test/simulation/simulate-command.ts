import { execFile } from 'node:child_process';
import { join } from 'node:path';

/** A loaded machine runs some ten seeds a second. */
export const SIMULATED_WITHIN_MS = 30 * 60_000;

/** What `npm run simulate` printed, and its exit code; `NaN` where it was ended. */
interface Simulated {
  readonly code: number;
  readonly lines: readonly string[];
}

/** `npm run simulate` with these options: a process of its own runs a seed in half of the time that it takes in a test. */
export const simulateCommand = async (...options: readonly string[]): Promise<Simulated> =>
  new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--max-semi-space-size=16', join(import.meta.dirname, 'simulate.ts'), ...options],
      { timeout: SIMULATED_WITHIN_MS },
      (error, stdout) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? NaN), lines: stdout.trimEnd().split('\n') }),
    );
  });
