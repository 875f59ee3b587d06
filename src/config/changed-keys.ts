import { isDeepStrictEqual } from 'node:util';

/**
 * The keys in which two configurations as they are written differ, such as `issuer.listen`: in the order of the file, a list or a map
 * as a whole, a section that one of them lacks by its own name.
 */
export function changedKeys(before: unknown, after: unknown, key = ''): readonly string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isSection(before) || !isSection(after)) return [key];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) => changedKeys(before[name], after[name], key === '' ? name : `${key}.${name}`));
}

/** An object of named keys. What has a `kind`, such as an address, was made of one value of the file. */
const isSection = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' &&
  value !== null &&
  Object.getPrototypeOf(value) === Object.prototype &&
  !Object.hasOwn(value, 'kind');
