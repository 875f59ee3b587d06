import { Costs } from './costs.ts';
import type { Run } from './load.ts';
import { median, pairedRatio } from './statistics.ts';

/** All runs of one contender in one scenario, one for each round. */
export interface Series {
  readonly contender: string;
  readonly scenario: string;
  readonly runs: readonly Run[];
}

/** A number that is not from a run, such as resident memory. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** A measure by which runs are compared; `cpuUs` is the processor time of a request. */
export type Measure = 'requestsPerSecond' | 'p50Ms' | 'p99Ms' | 'p999Ms' | 'cpuUs';

/** All measurements so far, in order of first occurrence. */
export class Results {
  readonly costs = new Costs();
  readonly #series = new Map<string, Series & { readonly runs: Run[] }>();
  readonly #figures: Figure[] = [];

  add({ contender, scenario }: Omit<Series, 'runs'>, run: Run): void {
    const key = JSON.stringify([contender, scenario]);
    const series = this.#series.get(key) ?? { contender, scenario, runs: [] };
    series.runs.push(run);
    this.#series.set(key, series);
  }

  note(name: string, value: number, unit: string): void {
    this.#figures.push({ name, value, unit });
  }

  get series(): readonly Series[] {
    return [...this.#series.values()];
  }

  get figures(): readonly Figure[] {
    return this.#figures;
  }

  /** The value of a figure; NaN where not measured. */
  figure(name: string): number {
    return this.#figures.find((figure) => figure.name === name)?.value ?? NaN;
  }

  /** One measure of a series by round; empty where not measured. */
  values(contender: string, scenario: string, measure: Measure): readonly number[] {
    const { runs } = this.#series.get(JSON.stringify([contender, scenario])) ?? { runs: [] };
    return runs.map((run) => run[measure] ?? NaN);
  }

  /** The median over the rounds of one measure of a series; NaN where not measured. */
  median(contender: string, scenario: string, measure: Measure): number {
    return median(this.values(contender, scenario, measure));
  }

  /** Like `ratio`, for latency: also NaN where more than 1 % of the calls of either failed. */
  latencyRatio(measure: Measure, of: readonly [string, string], to: readonly [string, string]): number {
    return this.#isKept(...of) && this.#isKept(...to) ? this.ratio(measure, of, to) : NaN;
  }

  #isKept(contender: string, scenario: string): boolean {
    const runs: readonly Run[] = this.#series.get(JSON.stringify([contender, scenario]))?.runs ?? [];
    const sum = (of: (run: Run) => number): number => runs.reduce((total, run) => total + of(run), 0);
    return sum(({ failed }) => failed) <= MOST_FAILED * sum(({ requests }) => requests);
  }

  /** The median over the rounds of the ratio of one measure between two contenders. */
  ratio(measure: Measure, of: readonly [string, string], to: readonly [string, string]): number {
    return pairedRatio(this.values(...of, measure), this.values(...to, measure));
  }
}

/** Beyond this share of failed calls, latency is that of failures and cannot be compared. */
const MOST_FAILED = 0.01;

/** The median of one measure of a series; NaN where it has none. */
export const medianOf = ({ runs }: Series, measure: Measure): number => median(runs.map((run) => run[measure] ?? NaN));
