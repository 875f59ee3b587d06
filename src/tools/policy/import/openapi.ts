import { isMethodWithBody } from '../../../core/action/http/body.ts';
import { pointerOf } from '../../../core/action/arguments/json-pointer.ts';
import { parameterTypeFrom } from '../../../core/action/catalog/parameter-type.ts';
import { pathTemplateFrom } from '../../../core/action/catalog/template.ts';
import { Effort, EFFORT_SPENT } from './effort.ts';
import { itemsIn, memberOf, membersOf, printableName } from './entry.ts';
import type { Entry, Imported, ImportOptions } from './entry.ts';
import { argumentShape, resolverIn, schemaReader } from './json-schema.ts';
import type { SchemaReader } from './json-schema.ts';
import { argumentsFromSchema, limitNotes } from './schema-arguments.ts';
import type { FoundArguments, Limited } from './schema-arguments.ts';
import { selected } from './selection.ts';
import { withoutEnd } from '../../../core/runtime/without-end.ts';

const RISKS: ReadonlyMap<string, string> = new Map([
  ['get', 'low'],
  ['head', 'low'],
  ['options', 'low'],
  ['post', 'medium'],
  ['put', 'medium'],
  ['patch', 'medium'],
  ['delete', 'high'],
]);

/** How a document is read: resolving references and merging schemas. */
interface Reading {
  readonly resolve: (value: unknown) => unknown;
  readonly read: SchemaReader;
  readonly effort: Effort;
}

/**
 * Makes a server from an OpenAPI 3 document: one route per operation, with those arguments of path, query and JSON body that
 * have a catalog type. The risk follows the method, for the reviewer to judge. References into other documents are not
 * followed. A problem if there are no paths, or no operation is selected.
 */
export function importedOpenApi(document: unknown, options: ImportOptions): Imported | { readonly problem: string } {
  const version = memberOf(document, 'openapi');
  if (typeof version !== 'string' || !version.startsWith('3.'))
    return { problem: 'it must be an OpenAPI 3 document: `openapi: 3.…`' };
  const [effort, resolve] = [new Effort(), resolverIn(document)];
  const reading: Reading = { resolve, read: schemaReader(document, effort, resolve), effort };
  const base = baseOf(document);
  const found = operationsIn(document, reading);
  if (found.length === 0) return { problem: NO_ROUTES };
  const chosen = selected(found, { what: 'operations' }, options);
  if ('problem' in chosen) return chosen;
  const notes: string[] = [];
  const limited: (Limited & { readonly of: string })[] = [];
  const routes = chosen.chosen.flatMap((one) => {
    const { key, id, method, operation } = one;
    const parameters = parametersOf(one, reading);
    if (effort.isSpent) return [];
    const typed = withTypes(`${base.path}${one.path}`, parameters, reading);
    const template = pathTemplateFrom(typed.path);
    if ('problem' in template) {
      notes.push(`${printableName(key)} is left out: ${template.problem}`);
      return [];
    }
    const inRoute = routeArguments(one, parameters, reading);
    for (const note of [...typed.notes, ...inRoute.notes]) notes.push(`${printableName(key)}: ${note}`);
    for (const limit of inRoute.limited) limited.push({ ...limit, of: key });
    const body = bodyRuleOf({ operation, method }, reading);
    const written = inRoute.args.size === 0 ? {} : { args: Object.fromEntries(inRoute.args) };
    const risk = RISKS.get(method) ?? 'high';
    const closed = inRoute.isClosed ? { otherArguments: 'deny' } : {};
    return [{ action: id, method: method.toUpperCase(), path: typed.path, risk, ...body, ...closed, ...written }];
  });
  if (effort.isSpent) return EFFORT_SPENT;
  if (routes.length === 0) return { problem: NO_ROUTES };
  return { server: { ...base.server, routes }, notes: [...chosen.notes, ...limitNotes(limited), ...notes] };
}

const NO_ROUTES = 'it has no `paths` that can be routes';

/** An operation of a document. */
interface Operation {
  readonly key: string;
  readonly name: string;
  readonly names: readonly string[];
  readonly method: string;
  readonly path: string;
  readonly operation: unknown;
  /** What all operations of its path share. */
  readonly item: unknown;
}

function operationsIn(document: unknown, { resolve }: Reading): readonly Operation[] {
  return membersOf(memberOf(document, 'paths')).flatMap(([path, given]) => {
    const item = resolve(given);
    return membersOf(item).flatMap(([method, operation]) => {
      if (!RISKS.has(method)) return [];
      const key = `${method.toUpperCase()} ${path}`;
      const operationId = memberOf(operation, 'operationId');
      const own = typeof operationId === 'string' ? operationId : null;
      const name = own ?? `${method}${path}`;
      const names = own === null ? [key] : [own, key];
      return [{ key, name, names, method, path, operation, item }];
    });
  });
}

/** The parameters of an operation and those of its path; its own override. None once the effort is spent. */
function parametersOf(
  { item, operation }: Pick<Operation, 'item' | 'operation'>,
  { resolve, effort }: Reading,
): readonly unknown[] {
  const lists = [item, operation].map((one) => itemsIn(memberOf(one, 'parameters')));
  if (!effort.take(1 + lists.reduce((sum, list) => sum + list.length, 0))) return [];
  const all = lists.flat().map(resolve);
  return [
    ...new Map(all.map((one) => [`${String(memberOf(one, 'in'))} ${String(memberOf(one, 'name'))}`, one])).values(),
  ];
}

/** A path with parameter types from their schemas: integers, UUIDs, and patterns that a path supports. */
function withTypes(
  path: string,
  parameters: readonly unknown[],
  reading: Reading,
): { readonly path: string; readonly notes: readonly string[] } {
  const notes: string[] = [];
  let typed = path;
  for (const parameter of parameters) {
    const name = memberOf(parameter, 'name');
    if (typeof name !== 'string' || memberOf(parameter, 'in') !== 'path') continue;
    const type = pathTypeOf(memberOf(parameter, 'schema'), reading);
    if ('problem' in type) notes.push(`the pattern of \`${printableName(name)}\` ${type.problem}`);
    else if (type.text !== '') typed = typed.replace(`{${name}}`, () => `{${name}:${type.text}}`);
  }
  return { path: typed, notes };
}

/** Longer than any pattern that a path supports. */
const MAX_PATTERN = 1000;

function pathTypeOf(schema: unknown, { read }: Reading): { readonly text: string } | { readonly problem: string } {
  const whole = read(schema);
  const { format, pattern } = whole.keywords;
  const shape = argumentShape(whole, read);
  if (!('problem' in shape) && shape.type === 'long') return { text: 'int' };
  if (format === 'uuid') return { text: 'uuid' };
  if (format === 'date') return { text: '[0-9]{4}-[0-9]{2}-[0-9]{2}' };
  if (typeof pattern !== 'string') return { text: '' };
  const inner = pattern.length > MAX_PATTERN ? undefined : /^\^([^]*)\$$/.exec(pattern)?.[1];
  const type = inner === undefined ? null : parameterTypeFrom(inner);
  return type === null || 'problem' in type
    ? { problem: 'is not supported in a path: give the parameter a type' }
    : type;
}

/** The body rule by the document: none, JSON, or another type, which Remit does not read. */
function bodyRuleOf(
  { operation, method }: Pick<Operation, 'operation' | 'method'>,
  { resolve, effort }: Reading,
): Entry {
  if (!isMethodWithBody(method.toUpperCase())) return {};
  const types = membersOf(memberOf(resolve(memberOf(operation, 'requestBody')), 'content')).map(([type]) => type);
  effort.take(types.length);
  if (types.length === 0) return { body: 'none' };
  return { body: types.includes('application/json') ? 'json' : 'opaque' };
}

/** Host, audience and path prefix from the first of `servers`; the host only if the server names it. */
function baseOf(document: unknown): { readonly server: Entry; readonly path: string } {
  const url = memberOf(itemsIn(memberOf(document, 'servers'))[0], 'url');
  if (typeof url !== 'string' || url.includes('{')) return { server: {}, path: '' };
  const parts = /^(?:https?:\/\/([A-Za-z0-9.-]+)(?::\d+)?)?(\/[^?#]*)?$/.exec(url);
  const host = parts?.[1]?.toLowerCase();
  const server = host === undefined ? {} : { hosts: [host], audience: `https://${host}` };
  return { server, path: withoutEnd(parts?.[2] ?? '', '/') };
}

function routeArguments(
  { operation, method }: Operation,
  parameters: readonly unknown[],
  { resolve, read, effort }: Reading,
): FoundArguments {
  const args = new Map<string, Entry>();
  const notes: string[] = [];
  const limited: Limited[] = [];
  for (const parameter of parameters) {
    const name = memberOf(parameter, 'name');
    const from = memberOf(parameter, 'in');
    if (typeof name !== 'string' || (from !== 'path' && from !== 'query')) continue;
    const shape = argumentShape(read(memberOf(parameter, 'schema')), read);
    if ('problem' in shape) notes.push(`\`${printableName(name)}\` in the ${from} ${shape.problem}`);
    else if (shape.type !== 'string' && shape.type !== 'long' && shape.type !== 'bool')
      notes.push(
        `\`${printableName(name)}\` in the ${from} has no matching argument type: \`${shape.type}\` is for JSON only`,
      );
    else if (from === 'query' || shape.type === 'bool') {
      args.set(name, {
        from,
        ...(shape.type === 'string' ? {} : { type: shape.type }),
        ...(shape.maxBytes === undefined ? {} : { maxBytes: shape.maxBytes }),
        ...(from === 'query' && memberOf(parameter, 'required') === true ? { required: true } : {}),
      });
      if (shape.beyond !== null) limited.push({ limit: shape.beyond, label: name });
    }
  }
  if (!isMethodWithBody(method.toUpperCase())) return { args, notes, limited, isClosed: false };
  const content = memberOf(resolve(memberOf(operation, 'requestBody')), 'content');
  const body = argumentsFromSchema(memberOf(memberOf(content, 'application/json'), 'schema'), read, { effort });
  const names = new Set(parameters.map((parameter) => memberOf(parameter, 'name')));
  for (const [name, entry] of body.args) {
    if (names.has(name)) args.set(`body.${name}`, { from: 'body', pointer: pointerOf([name]), ...entry });
    else args.set(name, { from: 'body', ...entry });
  }
  const isClosed = body.isClosed && notes.length === 0;
  return { args, notes: [...notes, ...body.notes], limited: [...limited, ...body.limited], isClosed };
}
