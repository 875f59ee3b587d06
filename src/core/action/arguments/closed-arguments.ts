import { otherArgument } from './argument-refusal.ts';
import type { ArgumentRefusal } from './argument-refusal.ts';
import type { BodyArgument } from '../catalog/catalog-arguments.ts';
import type { CatalogAction } from '../catalog/catalog.ts';
import { pointerOf } from './json-pointer.ts';

/**
 * Refuses a JSON value with an argument that the action does not name and does not take; `null` if there is none.
 *
 * @param placeOf where an argument is; default: at its pointer. `null` for an argument that this call cannot have
 */
export function otherArgumentIn(
  { takesOthers, args }: Pick<CatalogAction, 'takesOthers' | 'args'>,
  root: unknown,
  placeOf: (spec: BodyArgument) => readonly string[] | null = ({ pointer }) => pointer,
): ArgumentRefusal | null {
  if (takesOthers) return null;
  const pointers = args.flatMap((spec) => {
    const place = spec.from === 'body' ? placeOf(spec) : null;
    return place === null ? [] : [place];
  });
  const other = otherPlaceIn(root, pointers);
  return other === null ? null : otherArgument(other);
}

/**
 * Whether all of the value at a place is read: by an argument at the place or above it, or by arguments that together reach
 * everything in it. If arguments reach only some of it, such as the first of several parts, it is not.
 */
export function isAllNamed(
  value: unknown,
  place: readonly string[],
  pointers: readonly (readonly string[])[],
): boolean {
  const below = pointers
    .filter((pointer) => place.every((step, at) => pointer[at] === step))
    .map((pointer) => pointer.slice(place.length));
  return below.some(({ length }) => length === 0) || (below.length > 0 && otherPlaceIn(value, below) === null);
}

/** The steps below a place, by step; `null` if the place is an argument, whose whole value is read. */
type Named = Map<string, Named | null>;

/**
 * The first place of a JSON value that no pointer reaches or passes, as a pointer; `null` if all are reached. A member or element that is
 * present counts, even if it is `null` or empty. A value at a pointer is read whole, so nothing in it counts. Linear time.
 */
export function otherPlaceIn(root: unknown, pointers: Iterable<readonly string[]>): string | null {
  const other = otherBelow(root, namedBy(pointers), []);
  return other === null ? null : pointerOf(other);
}

function namedBy(pointers: Iterable<readonly string[]>): Named {
  const root: Named = new Map();
  for (const pointer of pointers) {
    let at = root;
    for (const [index, step] of pointer.entries()) {
      const known = at.get(step);
      if (known === null) break;
      const next: Named = known ?? new Map();
      at.set(step, index === pointer.length - 1 ? null : next);
      at = next;
    }
  }
  return root;
}

function otherBelow(value: unknown, named: Named, way: readonly string[]): readonly string[] | null {
  if (typeof value !== 'object' || value === null) return null;
  // The first element or member that is not named ends it, so what is read is bounded by what is named.
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
  for (const key of keys) {
    const step = String(key);
    const next = named.get(step);
    if (next === undefined) return [...way, step];
    const other = next === null ? null : otherBelow(Object(value)[step], next, [...way, step]);
    if (other !== null) return other;
  }
  return null;
}
