import type { Attestation } from '../task/attestation.ts';
import type { Task } from '../task/task.ts';
import type { CedarRecord } from './cedar-value.ts';

/** Claimed values as `name=value`, because Cedar has no records with names unknown to the schema. No name contains `=`. */
export const claimedOf = (claimed: Task['claimed']): readonly string[] =>
  distinct(Object.entries(claimed).map(([name, value]) => `${name}=${value}`));

/** An attested value: of another type than claimed values, so that no policy confuses them. */
export type AttestedValue = Pick<Attestation, 'name' | 'value' | 'by'>;

/** Attested values as the policies see them. */
export const attestedOf = (attested: readonly AttestedValue[]): readonly CedarRecord[] =>
  attested.map(({ name, value, by }) => ({ name, value, by }));

/** Whole seconds of milliseconds, rounded down. */
export const wholeSeconds = (ms: number): number => Math.floor(ms / 1000);

/** A set of texts, sorted. */
export const distinct = (values: readonly string[]): readonly string[] =>
  values.length < 2 ? values : [...new Set(values)].sort();

/** Instants that Cedar can parse: with a four-digit year in every time zone. */
export const isPlainClock = (ms: number): boolean => ms >= MIN_INSTANT_MS && ms <= MAX_INSTANT_MS;

const MIN_INSTANT_MS = Date.UTC(1000, 0, 2);
/** The latest instant that Cedar can parse in every time zone. */
export const MAX_INSTANT_MS = Date.UTC(9999, 11, 30);

/** Whole seconds, so that questions within a second are equal. The engine refuses an instant that no Date can hold. */
export const datetime = (ms: number): CedarRecord => {
  const date = new Date(wholeSeconds(ms) * 1000);
  const arg = Number.isNaN(date.getTime()) ? '' : `${date.toISOString().slice(0, -'.000Z'.length)}Z`;
  return { __extn: { fn: 'datetime', arg } };
};
