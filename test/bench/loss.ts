import { median } from './statistics.ts';

/** A figure of the gate: a ratio to another program in the same run, or a size. */
export interface GateFigure {
  readonly better: 'more' | 'less';
  /** What it is, and of what. */
  readonly of: string;
}

/** The figures of one run by name. */
export type GateRun = Readonly<Record<string, number>>;

/** What is said of a figure. */
export interface Verdict {
  readonly name: string;
  readonly kept: readonly number[];
  readonly runs: readonly number[];
  /** How much worse the median run is than the median kept one, as a share; negative where it is better. */
  readonly loss: number;
  /**
   * `suspect` as long as every run is worse than every kept one; a `loss` once that is so after `RUNS`. `not kept` and `not measured`: no value
   * on that side.
   */
  readonly says: 'as before' | 'suspect' | 'loss' | 'not kept' | 'not measured';
}

/** Runs that must agree on a loss. */
export const RUNS = 3;
/** With fewer kept runs, chance alone would be worse than all of them too often. */
export const MIN_KEPT = 6;
/** A smaller loss is none, as of a file that has grown by a line. */
const MIN_LOSS = 0.03;

/**
 * Compares runs with kept ones. A figure is lost if each of three runs is worse than every kept run, and their median is 3 % worse than the
 * kept median or more. If nothing has changed, every order of all runs is as likely as any other, whatever the distribution of a figure
 * is; so the chance of a false alarm is `falseAlarm(kept)` for one figure: 1 in 84 for 6 kept runs, 1 in 455 for 12.
 */
export function verdictsOf(
  figures: Readonly<Record<string, GateFigure>>,
  { kept, runs }: { readonly kept: readonly GateRun[]; readonly runs: readonly GateRun[] },
): readonly Verdict[] {
  return Object.entries(figures).map(([name, figure]) => {
    const values = (of: readonly GateRun[]): readonly number[] => of.map((run) => run[name] ?? NaN).filter(isFinite);
    return verdictOf(name, { figure, kept: values(kept), runs: values(runs) });
  });
}

function verdictOf(
  name: string,
  {
    figure,
    kept,
    runs,
  }: { readonly figure: GateFigure; readonly kept: readonly number[]; readonly runs: readonly number[] },
): Verdict {
  const worse = (one: number, other: number): boolean => (figure.better === 'more' ? one < other : one > other);
  const change = median(runs) / median(kept);
  const loss = figure.better === 'more' ? 1 / change - 1 : change - 1;
  const verdict = { name, kept, runs, loss };
  if (runs.length === 0) return { ...verdict, says: 'not measured' };
  if (kept.length < MIN_KEPT) return { ...verdict, says: 'not kept' };
  const isWorse = loss >= MIN_LOSS && runs.every((run) => kept.every((other) => worse(run, other)));
  if (!isWorse) return { ...verdict, says: 'as before' };
  return { ...verdict, says: runs.length < RUNS ? 'suspect' : 'loss' };
}

/** The chance that three runs of an unchanged product are all worse than so many kept ones: one order of runs in `(kept + 3 over 3)`. */
export const falseAlarm = (kept: number): number => 6 / ((kept + 1) * (kept + 2) * (kept + 3));
