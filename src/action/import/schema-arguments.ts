import { isHeaderName, MIRRORED } from '../catalog-arguments.ts';
import type { ArgumentType } from '../catalog-arguments.ts';
import type { Entry } from './entry.ts';
import { itemsIn, memberOf, membersOf } from './entry.ts';

/** Follows a local reference (`#/components/…`) of the document a schema stands in; what is none is itself. */
export type Resolve = (value: unknown) => unknown;

const MAX_DEPTH = 8;
const MAX_ARGS = 64;
const MAX_PROPERTIES = 1000;
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]{1,128}$/u;

/**
 * The arguments in a JSON Schema of an object: its properties, and those of objects in it by their way (`order.total`, with
 * the pointer `/order/total`). A property of no type that an argument can have is a note, and so is an object in itself. At
 * most 64, of the first 1,000 properties.
 */
export function argumentsFromSchema(
  schema: unknown,
  resolve: Resolve = (value) => value,
  { isOfTool = false }: { readonly isOfTool?: boolean } = {},
): { readonly args: ReadonlyMap<string, Entry>; readonly notes: readonly string[] } {
  const args = new Map<string, Entry>();
  const notes: string[] = [];
  const on: unknown[] = [];
  let left = MAX_PROPERTIES;
  const walk = (object: unknown, way: readonly string[], isRequired: boolean): void => {
    on.push(object);
    const required = new Set(itemsIn(memberOf(object, 'required')));
    for (const [name, property] of membersOf(memberOf(object, 'properties'))) {
      if (left-- <= 0) break;
      const here = [...way, name];
      const resolved = resolve(property);
      const { type, isNullable } = typeOf(resolved, resolve);
      const isThere = isRequired && required.has(name) && !isNullable;
      const label = here.join('.');
      if (on.includes(resolved)) notes.push(`\`${shown(label)}\` is an object in itself`);
      else if (type === 'object' && here.length < MAX_DEPTH) walk(resolved, here, isThere);
      else if (type === null || type === 'object') notes.push(`\`${shown(label)}\` has no type of an argument`);
      else if (!PRINTABLE.test(label) || label.startsWith('__') || name === '')
        notes.push(`\`${shown(label)}\` is no name of an argument`);
      else if (args.size === MAX_ARGS) notes.push(`\`${shown(label)}\` is more than ${MAX_ARGS} arguments`);
      else
        args.set(label, { ...entryOf(here, { type, isThere }), ...(isOfTool ? headerOf(resolved, type, notes) : {}) });
    }
    on.pop();
  };
  walk(resolve(schema), [], true);
  return { args, notes };
}

function entryOf(way: readonly string[], { type, isThere }: { type: ArgumentType; isThere: boolean }): Entry {
  const pointer = `/${way.map((name) => name.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`;
  return {
    ...(way.length > 1 ? { pointer } : {}),
    ...(type === 'string' ? {} : { type }),
    ...(isThere ? { required: true } : {}),
  };
}

/** The header that mirrors a property of a tool, where its schema says one. */
function headerOf(property: unknown, type: ArgumentType, notes: string[]): Entry {
  const header = memberOf(property, 'x-mcp-header');
  if (header === undefined) return {};
  if (typeof header === 'string' && isHeaderName(header) && MIRRORED.has(type)) return { header };
  notes.push('an `x-mcp-header` that is no name of a header, or of a type that has none, is left out');
  return {};
}

const TYPES: ReadonlyMap<unknown, ArgumentType | 'object'> = new Map<unknown, ArgumentType | 'object'>([
  ['string', 'string'],
  ['integer', 'long'],
  ['boolean', 'bool'],
  ['number', 'decimal'],
  ['object', 'object'],
]);

/** The type of an argument that a schema comes to; `null` where there is none for it. */
export function typeOf(
  schema: unknown,
  resolve: Resolve,
): { readonly type: ArgumentType | 'object' | null; readonly isNullable: boolean } {
  const given = memberOf(schema, 'type');
  const named = (Array.isArray(given) ? given : [given]).filter((name) => name !== 'null');
  const isNullable = (Array.isArray(given) && given.includes('null')) || memberOf(schema, 'nullable') === true;
  if (named.length !== 1) return { type: null, isNullable };
  if (named[0] !== 'array') return { type: TYPES.get(named[0]) ?? null, isNullable };
  const ofStrings = memberOf(resolve(memberOf(schema, 'items')), 'type') === 'string';
  return { type: ofStrings ? 'strings' : null, isNullable };
}

/** A name in a note. */
export const shown = (name: string): string => name.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?').slice(0, 200);
