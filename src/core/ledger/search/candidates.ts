import { merged } from './index-file.ts';
import type { IndexFile } from './index-file.ts';
import type { IndexKey } from './record-query.ts';

/**
 * The places of the records in an index that may match, ascending: those with at least one key of each list.
 *
 * @param keys at least one list
 */
export function candidatesIn(index: IndexFile, keys: readonly (readonly IndexKey[])[]): readonly number[] {
  let places = null as readonly number[] | null;
  for (const alternatives of keys) {
    const found = alternatives.map(([member, text]) => index.places(member, text)).reduce(merged, []);
    places = places === null ? found : commonOf(places, found);
    if (places.length === 0) return [];
  }
  return places ?? [];
}

function commonOf(one: readonly number[], other: readonly number[]): readonly number[] {
  const [fewer, more] = one.length < other.length ? [one, other] : [other, one];
  const known = new Set(more);
  return fewer.filter((place) => known.has(place));
}
