import type { AttestedValue } from '../../../core/policy/context-values.ts';
import { namedValueLimits } from '../../../core/task/named-values.ts';
import { spiffeId } from '../../../core/token/jose/claim-readers.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { listOf, members, type Reader, text } from '../../../core/runtime/fields.ts';

/** Reads any mapping as an object, its own members alone. */
export const anyObject: Reader<Readonly<Record<string, unknown>>> = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? { ...value }
    : { problem: 'must be a mapping' };

/** Reads an instant in RFC 3339 as milliseconds since the Unix epoch. The time zone is required. */
export const caseInstant: Reader<number> = (value) => {
  const isText =
    typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/.test(value);
  const ms = isText ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? { problem: 'must be an instant such as `2026-01-15T08:00:00Z`' } : ms;
};

/** Parses named values: text by name. */
export const textByName: Reader<Readonly<Record<string, string>>> = (value) => {
  const read = anyObject(value);
  const isText = !isProblem(read) && Object.values(read).every((text) => typeof text === 'string');
  return isText ? (read as Readonly<Record<string, string>>) : { problem: 'must be a mapping of names to text' };
};

const MAX_ATTESTED_IN_CASE = 64;

/** Parses attested values: a list of `name`, `value`, and `by`, a SPIFFE ID. */
export const attestedValues: Reader<readonly AttestedValue[]> = listOf(
  members({ name: text({ max: 64 }), value: text({ min: 0, max: namedValueLimits.maxCharacters }), by: spiffeId }),
  { min: 0, max: MAX_ATTESTED_IN_CASE },
);
