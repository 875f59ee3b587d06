import type { Svid, SvidProblem, SvidSource } from './svid.ts';

/** How long to wait, and with which timers. */
export interface FirstSvidOptions {
  readonly withinMs: number;
  /** Runs something once after `delayMs`; the returned function cancels it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
}

/** The first SVID of a source, or after `withinMs` the reason why there is none. For a start that requires an SVID. */
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
