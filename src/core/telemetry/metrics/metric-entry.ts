/** Makes the entries of the table of metrics. */
import type { Labels } from './metric-family.ts';

/** Upper bounds of the buckets: from a fast check to Envoy's longest timeout. */
const SECONDS: readonly number[] = [
  0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** A number that only grows. */
export const counter = <const L extends Labels>(name: `${string}_total`, help: string, labels: L) =>
  ({ type: 'counter', name, help, labels }) as const;

/** A number that goes up and down. */
export const gauge = <const L extends Labels>(name: string, help: string, labels: L) =>
  ({ type: 'gauge', name, help, labels }) as const;

/** Durations in seconds, counted in buckets. */
export const histogram = <const L extends Labels>(name: `${string}_seconds`, help: string, labels: L) =>
  ({ type: 'histogram', name, help, labels, buckets: SECONDS }) as const;
