import { isDeepStrictEqual } from 'node:util';

/**
 * The keys in which two parsed configurations differ, such as `issuer.listen`, in the order of the file. A list or a map counts as one key,
 * and so does a section that only one configuration has.
 */
export function changedKeys(before: unknown, after: unknown, key = ''): readonly string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isSection(before) || !isSection(after)) return [key];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) => changedKeys(before[name], after[name], key === '' ? name : `${key}.${name}`));
}

/** An object of named keys. An object with a `kind`, such as an address, is a single value of the file. */
const isSection = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' &&
  value !== null &&
  Object.getPrototypeOf(value) === Object.prototype &&
  !Object.hasOwn(value, 'kind');
