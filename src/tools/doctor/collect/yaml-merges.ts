import { isObject } from '../../../core/runtime/fields.ts';
import type { Problem } from '../../../core/runtime/problem.ts';

/** The name of the member whose objects are merged. @see YAML 1.1, https://yaml.org/type/merge.html */
const MERGE = '<<';

type Members = readonly (readonly [name: string, value: unknown])[];

/**
 * The value of a YAML document with its merges (`<<`) in place, as Kubernetes reads it: the own members of an object win, then those of the
 * first merged object. A value that an alias shares is visited once. A problem if an alias leads back to its own value, which has no end.
 */
export function mergedValue(value: unknown): { readonly value: unknown } | Problem {
  const done = new Map<object, unknown>();
  const open = new Set<object>();
  let isCircular = false;
  const visit = (one: unknown): unknown => {
    if (typeof one !== 'object' || one === null) return one;
    if (open.has(one)) isCircular = true;
    if (open.has(one) || done.has(one)) return done.get(one);
    open.add(one);
    const merged = Array.isArray(one)
      ? one.map(visit)
      : withMerges(Object.entries(one).map(([name, own]) => [name, visit(own)] as const));
    open.delete(one);
    done.set(one, merged);
    return merged;
  };
  const merged = visit(value);
  return isCircular ? { problem: 'an alias leads back to itself' } : { value: merged };
}

/** An object of these members. `fromEntries` defines own properties, so a member called `__proto__` calls no setter. */
function withMerges(members: Members): object {
  const written = members.find(([name]) => name === MERGE)?.[1];
  const sources: readonly unknown[] = Array.isArray(written) ? written : [written];
  const objects = sources.filter(isObject);
  if (objects.length !== sources.length) return Object.fromEntries(members);
  return Object.fromEntries([
    ...objects.toReversed().flatMap((source) => Object.entries(source)),
    ...members.filter(([name]) => name !== MERGE),
  ]);
}
