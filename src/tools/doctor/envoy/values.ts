/** Values of a configuration of Envoy as JSON has them: durations, percentages, RBAC rules. */
import { isTrueAt, listAt, numberAt, textAt } from '../tree.ts';

const DENOMINATORS: Readonly<Record<string, number>> = { '': 100, HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1e6 };

/** A `FractionalPercent` as a share from 0 to 1. */
export const shareOf = (percent: unknown): number =>
  (numberAt(percent, 'numerator') ?? 0) / (DENOMINATORS[textAt(percent, 'denominator')] ?? 100);

/** A `Duration` as JSON has it, such as `0.500s`, in milliseconds; `null` for any other text. */
export function durationMs(text: string): number | null {
  const [, seconds] = /^(\d+(?:\.\d+)?)s$/.exec(text) ?? [];
  return seconds === undefined ? null : Number(seconds) * 1_000;
}

/** The longest deadline of a check, ms: no check takes longer, and no client should wait longer for a refusal. */
export const MAX_CHECK_MS = 5_000;

/** The shortest deadline of a check, ms. A shorter one ends before any answer: a check verifies a signature and writes a record. */
export const MIN_CHECK_MS = 20;

const MAX_DEPTH = 50;

/** Whether a permission or principal of an RBAC policy holds for every call. */
export function isAny(rule: unknown, depth = 0): boolean {
  if (depth > MAX_DEPTH) return false;
  if (isTrueAt(rule, 'any')) return true;
  const all = [...listAt(rule, 'and_rules', 'rules'), ...listAt(rule, 'and_ids', 'ids')];
  if (all.length > 0) return all.every((one) => isAny(one, depth + 1));
  const some = [...listAt(rule, 'or_rules', 'rules'), ...listAt(rule, 'or_ids', 'ids')];
  return some.some((one) => isAny(one, depth + 1));
}
