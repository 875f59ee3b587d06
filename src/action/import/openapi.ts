import { isMethodWithBody } from '../body.ts';
import { parameterTypeFrom } from '../parameter-type.ts';
import { pathTemplateFrom } from '../template.ts';
import { actionIds, itemsIn, memberOf, membersOf } from './entry.ts';
import type { Entry, Imported } from './entry.ts';
import { argumentsFromSchema, shown, typeOf } from './schema-arguments.ts';
import type { Resolve } from './schema-arguments.ts';

const RISKS: ReadonlyMap<string, string> = new Map([
  ['get', 'low'],
  ['head', 'low'],
  ['options', 'low'],
  ['post', 'medium'],
  ['put', 'medium'],
  ['patch', 'medium'],
  ['delete', 'high'],
]);
const MAX_REFERENCES = 16;

/**
 * A server of the catalog from an OpenAPI 3 document: a route for each operation, with the arguments of path, query and JSON
 * body that have a type of the catalog. The risk is by the method, to be judged by who reviews it. References into other
 * documents are not followed. The problem where there are no paths in it.
 */
export function importedOpenApi(document: unknown, id: string): Imported | { readonly problem: string } {
  const version = memberOf(document, 'openapi');
  if (typeof version !== 'string' || !version.startsWith('3.')) return { problem: 'it is no OpenAPI 3 document' };
  const notes: string[] = [];
  const resolve = resolverOf(document);
  const base = baseOf(document);
  const idFor = actionIds(id);
  const routes = membersOf(memberOf(document, 'paths')).flatMap(([path, item]) =>
    membersOf(resolve(item)).flatMap(([method, operation]) => {
      const risk = RISKS.get(method);
      if (risk === undefined) return [];
      const endpoint = `${method.toUpperCase()} ${shown(path)}`;
      const parameters = [
        ...itemsIn(memberOf(resolve(item), 'parameters')),
        ...itemsIn(memberOf(operation, 'parameters')),
      ];
      const typed = withTypes(`${base.path}${path}`, parameters, resolve);
      const template = pathTemplateFrom(typed.path);
      if ('problem' in template) {
        notes.push(`${endpoint} is left out: ${template.problem}`);
        return [];
      }
      notes.push(...typed.notes.map((note) => `${endpoint}: ${note}`));
      const { args, notes: more } = routeArguments({ operation, parameters, method }, resolve);
      const body = bodyRuleOf({ operation, method }, resolve);
      notes.push(...more.map((note) => `${endpoint}: ${note}`));
      const operationId = memberOf(operation, 'operationId');
      const action = idFor(typeof operationId === 'string' ? operationId : `${method}${path}`);
      const written = args.size === 0 ? {} : { args: Object.fromEntries(args) };
      return [{ action, method: method.toUpperCase(), path: typed.path, risk, ...body, ...written }];
    }),
  );
  if (routes.length === 0) return { problem: 'there are no `paths` in it that can be routes' };
  return { server: { ...base.server, routes }, notes };
}

/** A path with the types that its parameters have by their schemas: of integers, of UUIDs, and of a pattern that a path can have. */
function withTypes(
  path: string,
  parameters: readonly unknown[],
  resolve: Resolve,
): { readonly path: string; readonly notes: readonly string[] } {
  const notes: string[] = [];
  let typed = path;
  for (const parameter of parameters.map(resolve)) {
    const name = memberOf(parameter, 'name');
    if (typeof name !== 'string' || memberOf(parameter, 'in') !== 'path') continue;
    const type = pathTypeOf(resolve(memberOf(parameter, 'schema')));
    if ('problem' in type) notes.push(`the pattern of \`${shown(name)}\` ${type.problem}`);
    else if (type.text !== '') typed = typed.replace(`{${name}}`, () => `{${name}:${type.text}}`);
  }
  return { path: typed, notes };
}

function pathTypeOf(schema: unknown): { readonly text: string } | { readonly problem: string } {
  const [type, format, pattern] = ['type', 'format', 'pattern'].map((name) => memberOf(schema, name));
  if (type === 'integer') return { text: 'int' };
  if (format === 'uuid') return { text: 'uuid' };
  if (format === 'date') return { text: '[0-9]{4}-[0-9]{2}-[0-9]{2}' };
  if (typeof pattern !== 'string') return { text: '' };
  const whole = /^\^([^]*)\$$/.exec(pattern)?.[1];
  const read = whole === undefined ? null : parameterTypeFrom(whole);
  return read === null || 'problem' in read
    ? { problem: 'is none that a path can have: give the parameter a type' }
    : read;
}

/** What the document says of the body: none, JSON, or another kind, whose content is nothing that Remit reads. */
function bodyRuleOf(
  { operation, method }: { readonly operation: unknown; readonly method: string },
  resolve: Resolve,
): Entry {
  if (!isMethodWithBody(method.toUpperCase())) return {};
  const types = membersOf(memberOf(resolve(memberOf(operation, 'requestBody')), 'content')).map(([type]) => type);
  if (types.length === 0) return { body: 'none' };
  return { body: types.includes('application/json') ? 'json' : 'opaque' };
}

/** Host, audience and path in front of every route, from the first of `servers`; the host only where it names one. */
function baseOf(document: unknown): { readonly server: Entry; readonly path: string } {
  const url = memberOf(itemsIn(memberOf(document, 'servers'))[0], 'url');
  if (typeof url !== 'string' || url.includes('{')) return { server: {}, path: '' };
  const parts = /^(?:https?:\/\/([A-Za-z0-9.-]+)(?::\d+)?)?(\/[^?#]*)?$/.exec(url);
  const host = parts?.[1]?.toLowerCase();
  const server = host === undefined ? {} : { hosts: [host], audience: `https://${host}` };
  return { server, path: (parts?.[2] ?? '').replace(/\/+$/, '') };
}

function resolverOf(document: unknown): Resolve {
  return (value) => {
    let found = value;
    for (let hop = 0; hop < MAX_REFERENCES; hop++) {
      const reference = memberOf(found, '$ref');
      if (typeof reference !== 'string') return found;
      if (!reference.startsWith('#/')) return undefined;
      const names = reference
        .slice(2)
        .split('/')
        .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
      found = names.reduce<unknown>((object, name) => memberOf(object, name), document);
    }
    return undefined;
  };
}

function routeArguments(
  of: { readonly operation: unknown; readonly parameters: readonly unknown[]; readonly method: string },
  resolve: Resolve,
): { readonly args: ReadonlyMap<string, Entry>; readonly notes: readonly string[] } {
  const args = new Map<string, Entry>();
  const notes: string[] = [];
  for (const parameter of of.parameters.map(resolve)) {
    const name = memberOf(parameter, 'name');
    const from = memberOf(parameter, 'in');
    if (typeof name !== 'string' || (from !== 'path' && from !== 'query')) continue;
    const { type } = typeOf(resolve(memberOf(parameter, 'schema')), resolve);
    if (type !== 'string' && type !== 'long' && type !== 'bool')
      notes.push(`\`${shown(name)}\` in the ${from} has no type of an argument`);
    else if (from === 'query' || type === 'bool')
      args.set(name, {
        from,
        ...(type === 'string' ? {} : { type }),
        ...(from === 'query' && memberOf(parameter, 'required') === true ? { required: true } : {}),
      });
  }
  if (!isMethodWithBody(of.method.toUpperCase())) return { args, notes };
  const content = memberOf(resolve(memberOf(of.operation, 'requestBody')), 'content');
  const body = argumentsFromSchema(memberOf(memberOf(content, 'application/json'), 'schema'), resolve);
  const parameters = new Set(of.parameters.map((parameter) => memberOf(resolve(parameter), 'name')));
  for (const [name, entry] of body.args) {
    const pointer = `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (parameters.has(name)) args.set(`body.${name}`, { from: 'body', pointer, ...entry });
    else args.set(name, { from: 'body', ...entry });
  }
  return { args, notes: [...notes, ...body.notes] };
}
