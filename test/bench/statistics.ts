/** Latencies of one run, milliseconds. */
export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

/** The value that a share of the values does not exceed; NaN for none. */
const percentile = (sorted: ArrayLike<number>, share: number): number =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;

/** Percentiles of latencies in milliseconds, in any order. */
export function latencyOf(values: readonly number[]): Latency {
  const sorted = Float64Array.from(values).sort();
  return { p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99), p999Ms: percentile(sorted, 0.999) };
}

/** The median; of an even count, the mean of the two in the middle; NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return ((sorted[Math.ceil(half) - 1] ?? NaN) + (sorted[Math.floor(half)] ?? NaN)) / 2;
}

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** The slope of the line through points by least squares, in units of `y` for one of `x`; NaN for fewer than two different `x`. */
export function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  const meanX = sum(points.map(({ x }) => x)) / points.length;
  const meanY = sum(points.map(({ y }) => y)) / points.length;
  return sum(points.map(({ x, y }) => (x - meanX) * (y - meanY))) / sum(points.map(({ x }) => (x - meanX) ** 2));
}

/**
 * Compares a figure of two contenders: the median over the rounds of the ratio within a round, so that a slow round counts for both. NaN
 * where no round has both.
 */
export const pairedRatio = (of: readonly number[], to: readonly number[]): number =>
  median(of.slice(0, to.length).map((value, round) => value / (to[round] ?? NaN)));
