/** Changes lists of a pod in a YAML document, and says how to do the same in its text. */
import { isDeepStrictEqual } from 'node:util';
import { isAlias, isMap, isSeq } from 'yaml';
import type { Document, Node, YAMLMap } from 'yaml';
import { CONTAINER, MESH_CONTAINERS, MESH_SIDECAR } from './fragment.ts';
import type { JsonObject } from './fragment.ts';
import { insertion } from './splice.ts';
import type { Edit } from './splice.ts';

/** The document that is changed, and its text. */
export interface Changed {
  readonly document: Document;
  readonly text: string;
}

/** The map at a path; `null` if there is none, or an alias on the way. */
export function mapAt(map: YAMLMap, path: readonly string[]): YAMLMap | null {
  let at: Node | YAMLMap | undefined = map;
  for (const key of path) {
    if (!isMap(at) || isAlias(at)) return null;
    at = at.get(key, true) as Node | undefined;
  }
  return isMap(at) ? at : null;
}

/**
 * The index of our containers among the other init containers: first, or after those of Istio if its sidecar is a native sidecar. A helper alone comes after
 * Remit.
 */
function placeIn(items: readonly unknown[], own: ReadonlySet<unknown>): number {
  const others = items.map((item) => (isMap(item) ? item.get('name') : null)).filter((name) => !own.has(name));
  const before = [...(others.includes(MESH_SIDECAR) ? MESH_CONTAINERS : []), CONTAINER];
  return Math.max(...before.map((name) => others.indexOf(name) + 1));
}

/**
 * Puts entries into a list of a map, each instead of the entry of the same name, or first. Returns how to do the same in the text, if that changes anything.
 *
 * @param isOrdered whether the order counts, as of init containers
 */
export function put(
  into: YAMLMap,
  {
    document,
    entries,
    isOrdered = false,
    list,
    text,
  }: Changed & {
    readonly list: string;
    readonly entries: readonly JsonObject[];
    readonly isOrdered?: boolean;
  },
): readonly (Edit | null)[] {
  const found = into.get(list, true);
  const items = isSeq(found) ? found.items : [];
  const place = isOrdered ? placeIn(items, new Set(entries.map(({ name }) => name))) : 0;
  const indexOf = (entry: JsonObject): number =>
    items.findIndex((item) => isMap(item) && item.get('name') === entry['name']);
  const changed = entries.filter((entry, nth) => {
    const index = indexOf(entry);
    const isPlaced = isOrdered ? index === place + nth : index >= 0;
    return !isPlaced || !isDeepStrictEqual(jsonOf(items[index], document), entry);
  });
  if (changed.length === 0) return [];
  const moved = isOrdered ? entries : changed;
  const isNew = place === 0 && moved.every((entry) => indexOf(entry) === -1);
  const edit = !isNew
    ? null
    : isSeq(found)
      ? insertion(found, { added: moved, text })
      : insertion(into, { added: { [list]: moved }, text });
  for (const entry of moved) {
    const index = indexOf(entry);
    if (index >= 0) items.splice(index, 1);
  }
  items.splice(place, 0, ...moved.map((entry) => document.createNode(entry)));
  if (!isSeq(found)) into.set(list, document.createNode(items));
  return [edit];
}

/** The value of a node; `null` if its aliases expand to too much. */
function jsonOf(node: unknown, document: Document): unknown {
  try {
    return isMap(node) ? node.toJS(document, { maxAliasCount: 100 }) : null;
  } catch {
    return null;
  }
}
