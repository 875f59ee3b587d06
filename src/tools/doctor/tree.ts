import { isObject } from '../../core/runtime/fields.ts';
import { fromProtoJson } from './proto-json.ts';

/**
 * The value at a path of own members and indexes of an untrusted JSON value. `undefined` if there is none, or if it is `null`: to Envoy and
 * Kubernetes that is a field that is not set.
 */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let found = value;
  for (const step of path) {
    if (typeof step === 'number') found = Array.isArray(found) ? (found as readonly unknown[])[step] : undefined;
    else found = isObject(found) && Object.hasOwn(found, step) ? found[step] : undefined;
  }
  return found ?? undefined;
}

/** The list at a path; empty if there is none. */
export function listAt(value: unknown, ...path: readonly (string | number)[]): readonly unknown[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

/** The text at a path; empty if there is none. */
export function textAt(value: unknown, ...path: readonly (string | number)[]): string {
  const found = at(value, ...path);
  return typeof found === 'string' ? found : '';
}

/** The number at a path, also if it is written as a text; `null` if there is none. */
export function numberAt(value: unknown, ...path: readonly (string | number)[]): number | null {
  const found = at(value, ...path);
  const number = typeof found === 'string' && found !== '' ? Number(found) : found;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}

/** Whether a value is `true`, also if it is written as a text, which Envoy takes too. */
export const isTrue = (value: unknown): boolean => value === true || value === 'true';

/** Whether a value is `false`, also if it is written as a text. */
export const isFalse = (value: unknown): boolean => value === false || value === 'false';

/** Whether `true` is at a path. */
export const isTrueAt = (value: unknown, ...path: readonly (string | number)[]): boolean => isTrue(at(value, ...path));

/** The own members at a path, as pairs; empty if there is no object. */
export function membersAt(
  value: unknown,
  ...path: readonly (string | number)[]
): readonly (readonly [string, unknown])[] {
  const found = at(value, ...path);
  return isObject(found) ? Object.entries(found) : [];
}

/** The last part of the type URL of an `Any`, such as `ExtAuthz`; of a filter that only has a name, empty. */
export const typeOf = (any: unknown): string => {
  const url = textAt(any, '@type');
  return url === UDPA_STRUCT || url === XDS_STRUCT ? lastPart(textAt(any, 'type_url')) : lastPart(url);
};

/** The full name of the type of an `Any`, such as `envoy.extensions.filters.http.lua.v3.Lua`; empty if there is none. */
export const typeNameOf = (any: unknown): string => {
  const url = textAt(any, '@type');
  const inner = url === UDPA_STRUCT || url === XDS_STRUCT ? textAt(any, 'type_url') : url;
  return inner.slice(inner.lastIndexOf('/') + 1);
};

/** The fields of an `Any`: of a `TypedStruct` those inside, which Envoy keeps as they were written. */
export const fieldsOf = (any: unknown): unknown => {
  const url = textAt(any, '@type');
  return url === UDPA_STRUCT || url === XDS_STRUCT ? fromProtoJson(at(any, 'value')) : any;
};

const UDPA_STRUCT = 'type.googleapis.com/udpa.type.v1.TypedStruct';
const XDS_STRUCT = 'type.googleapis.com/xds.type.v3.TypedStruct';

const lastPart = (url: string): string => url.slice(url.lastIndexOf('.') + 1);
