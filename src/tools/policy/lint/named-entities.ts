/** Finds the entities of a type that are named in Cedar's JSON forms of policies, templates and entities. */
import { isObject } from '../../../core/runtime/fields.ts';

/**
 * The ids of the entities of a type that a value in a JSON form of Cedar names: a policy, a template, or entities. There an entity is an object with
 * its type and its id, in any order, and escapes are undone.
 */
export function idsOfType(value: unknown, type: string): readonly string[] {
  const ids: string[] = [];
  // A list instead of a recursion: conditions may nest deeply.
  const open = [value];
  for (const one of open) {
    if (typeof one !== 'object' || one === null) continue;
    if (isObject(one) && one['type'] === type && typeof one['id'] === 'string') ids.push(one['id']);
    for (const inner of Object.values(one)) open.push(inner);
  }
  return ids;
}
