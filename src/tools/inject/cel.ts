import { isList, isYamlObject, fragmentSettingOf } from './fragment.ts';
import type { Json, JsonObject, Setting } from './fragment.ts';

/** Fields whose keys are chosen by the user, so that they are maps for CEL and not objects. */
const MAPS: ReadonlySet<string> = new Set(['requests', 'limits']);

/**
 * A JSON value as an expression of a mutating admission policy.
 *
 * @param type the type of an object there, such as `Object.spec.volumes`; empty for a map
 */
export function celOf(
  value: Json,
  { type, chosen }: { readonly type: string; readonly chosen: (setting: Setting) => string },
): string {
  const setting = fragmentSettingOf(value);
  if (setting !== null) return chosen(setting);
  if (isList(value)) return `[${value.map((entry) => celOf(entry, { type, chosen })).join(', ')}]`;
  if (!isYamlObject(value)) return JSON.stringify(value);
  const isMap = type === '';
  const members = Object.entries(value).map(([key, entry]) => {
    const inner = isMap || MAPS.has(key) ? '' : `${type}.${key}`;
    return `${isMap ? JSON.stringify(key) : key}: ${celOf(entry, { type: inner, chosen })}`;
  });
  return `${type}{${members.join(', ')}}`;
}

/**
 * Conditions in CEL that hold if `expression` has each value of `wanted`. It may have further fields, and any value for a
 * setting. A list of objects must have an entry with all values of each wanted entry, in any order, and no further entry.
 *
 * @param skipped fields that are not compared
 */
export function conditionsOf(
  wanted: JsonObject,
  at: { readonly expression: string; readonly skipped: ReadonlySet<string> },
): readonly string[] {
  return Object.entries(wanted)
    .filter(([key]) => !at.skipped.has(key))
    .flatMap(([key, value]) => {
      const field = `${at.expression}.?${key}`;
      if (fragmentSettingOf(value) !== null) return [];
      if (isYamlObject(value)) {
        const within = conditionsOf(value, { expression: field, skipped: at.skipped });
        return within.length > 0 ? within : [`${field}.hasValue()`];
      }
      if (!isList(value) || !value.every((entry) => isYamlObject(entry))) {
        return [`${field} == optional.of(${JSON.stringify(value)})`];
      }
      const entries = `${field}.orValue([])`;
      const each = value.map((entry) => {
        const conditions = conditionsOf(entry, { expression: 'e', skipped: at.skipped });
        return `${entries}.exists(e, ${conditions.join(' && ')})`;
      });
      return [`${entries}.size() == ${value.length}`].concat(each);
    });
}
