import type { Category } from './codes.ts';
import type { Facts } from './facts.ts';
import type { Finding } from './finding.ts';

/** One check: a pure function of what was collected. */
export interface Check {
  /** The first word of each of its codes. */
  readonly category: Category;
  /** What holds if it finds nothing, such as `every route asks Remit`. */
  readonly title: string;
  /** What it found; `null` if nothing was collected that it could examine: then it does not count as passed. */
  readonly run: (facts: Facts) => readonly Finding[] | null;
}
