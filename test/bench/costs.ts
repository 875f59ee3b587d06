import { median, pairedRatio } from './statistics.ts';

/** What is measured of a process beside its answers, such as memory: one value for each round. */
export interface Cost {
  readonly contender: string;
  readonly measure: string;
  readonly unit: string;
  readonly values: readonly number[];
}

/** All costs so far, in order of first occurrence. */
export class Costs {
  readonly #costs = new Map<string, Cost & { readonly values: number[] }>();

  add({ contender, measure, unit }: Omit<Cost, 'values'>, value: number): void {
    const key = JSON.stringify([contender, measure]);
    const cost = this.#costs.get(key) ?? { contender, measure, unit, values: [] };
    cost.values.push(value);
    this.#costs.set(key, cost);
  }

  get all(): readonly Cost[] {
    return [...this.#costs.values()];
  }

  /** The values by round; empty where not measured. */
  values(contender: string, measure: string): readonly number[] {
    return this.#costs.get(JSON.stringify([contender, measure]))?.values ?? [];
  }

  /** The median over the rounds; NaN where not measured. */
  median(contender: string, measure: string): number {
    return median(this.values(contender, measure));
  }

  /** The median over the rounds of the ratio of one measure between two contenders. */
  ratio(measure: string, of: string, to: string): number {
    return pairedRatio(this.values(of, measure), this.values(to, measure));
  }
}
