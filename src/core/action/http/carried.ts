import { shownName } from '../arguments/argument-refusal.ts';

/** What a call carries beside its arguments, for its record: no decision reads it. */
export interface Carried {
  /** The place of each part, such as `inputResponses/amount`, as `shownName` shows it; at most 32. */
  readonly names: readonly string[];
  /** How many more there are. */
  readonly more: number;
  /** By place, as sent: JSON. */
  readonly values: ReadonlyMap<string, unknown>;
}

const MAX_NAMES = 32;

/** What a call carries, by place; `undefined` if that is nothing. */
export function carriedFrom(values: ReadonlyMap<string, unknown>): Carried | undefined {
  if (values.size === 0) return undefined;
  const names = [...values.keys()].slice(0, MAX_NAMES).map(shownName);
  return { names, more: values.size - names.length, values };
}
