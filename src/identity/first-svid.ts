import type { Svid, SvidProblem, SvidSource } from './svid.ts';

/** How long is waited, and on what timers. */
export interface FirstSvidOptions {
  readonly withinMs: number;
  /** Runs something once, `delayMs` from now; the result takes that back. */
  readonly after: (delayMs: number, run: () => void) => () => void;
}

/** The SVID of a source that may have none yet, or after `withinMs` why there is none. For a start that needs one. */
export function firstSvid(source: SvidSource, { withinMs, after }: FirstSvidOptions): Promise<Svid | SvidProblem> {
  const held = source.current();
  if (held !== null) return Promise.resolve(held);
  return new Promise((resolve) => {
    const settle = (outcome: Svid | SvidProblem): void => {
      ignore();
      cancel();
      resolve(outcome);
    };
    const ignore = source.onChange(settle);
    const cancel = after(withinMs, () => settle({ problem: source.problem() ?? 'there is no svid' }));
  });
}
