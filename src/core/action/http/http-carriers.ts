import { textOfBytes } from '../arguments/bytes-text.ts';
import { carriedFrom } from './carried.ts';
import type { Carried } from './carried.ts';
import type { HttpCall } from './call.ts';
import type { CatalogAction } from '../catalog/catalog.ts';
import { isAllNamed } from '../arguments/closed-arguments.ts';

/** Most fields of a form, and most lines of its parts, whose names are read. */
const MAX_FIELDS = 256;
/** Longest line of a part that names it. */
const MAX_LINE_CHARS = 1_024;

/**
 * What a call to an HTTP route, or to a gRPC method without arguments, carries beside its arguments, for its record: keys of the query and
 * members of a JSON body that the catalog does not name, and a body that is not read, with the names of the fields if it is a form. Pure,
 * linear time.
 *
 * @param json the parsed body; `null` if it was not parsed
 */
export function carriedByHttp(call: HttpCall, { args }: CatalogAction, json: object | null): Carried | undefined {
  const { body, query } = call;
  if (query === '' && json === null && (body === null || body.length === 0)) return undefined;
  const named = new Set(args.flatMap((spec) => (spec.from === 'query' ? [spec.name] : [])));
  const pointers = args.flatMap((spec) => (spec.from === 'body' ? [spec.pointer] : []));
  const carried = new Map<string, unknown>();
  for (const [key, values] of fieldsOf(query)) if (!named.has(key)) carried.set(`query/${key}`, values);
  if (json === null) addBody(carried, call);
  else
    for (const [name, value] of Object.entries(json))
      if (!isAllNamed(value, [name], pointers)) carried.set(`body/${name}`, value);
  return carriedFrom(carried);
}

/** A body that is not read: its fields if it is a short form, otherwise all of it, and the names of its parts. */
function addBody(carried: Map<string, unknown>, { body, headers }: HttpCall): void {
  if (body === null || body.length === 0) return;
  const text = textOfBytes(body);
  const type = headers.get('content-type')?.[0]?.trim().toLowerCase() ?? '';
  const fields = type.startsWith('application/x-www-form-urlencoded') ? fieldsOf(text) : NO_FIELDS;
  if (fields.size === 0) carried.set('body', text);
  for (const [key, values] of fields) carried.set(`body/${key}`, values);
  if (!type.startsWith('multipart/')) return;
  for (const part of partsOf(text)) carried.set(`body/${part}`, null);
}

const NO_FIELDS: ReadonlyMap<string, readonly string[]> = new Map();

/** The values of each key of a query or form; with more than 256 fields, all are under the empty key. */
function fieldsOf(text: string): ReadonlyMap<string, readonly string[]> {
  if (text === '') return NO_FIELDS;
  const fields = text.split('&', MAX_FIELDS + 1);
  if (fields.length > MAX_FIELDS) return new Map([['', [text]]]);
  const found = new Map<string, string[]>();
  for (const field of fields) {
    const [key, value] = pairOf(field);
    const known = found.get(key);
    if (known === undefined) found.set(key, [value]);
    else known.push(value);
  }
  return found;
}

function pairOf(field: string): readonly [key: string, value: string] {
  const equals = field.indexOf('=');
  return equals === -1 ? [readable(field), ''] : [readable(field.slice(0, equals)), readable(field.slice(equals + 1))];
}

/** Decoded, or as it was sent if it is not percent-encoded UTF-8. */
function readable(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

const DISPOSITION = 'content-disposition:';

/**
 * The `Content-Disposition` of each part of a form, such as `name="file"; filename="a.txt"`. Not parsed, since parsers differ.
 */
function partsOf(text: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (let at = 0; at !== -1 && found.size < MAX_FIELDS; at = nextLine(text, at)) {
    const line = text.slice(at, at + MAX_LINE_CHARS);
    if (line.slice(0, DISPOSITION.length).toLowerCase() !== DISPOSITION) continue;
    const end = line.search(/[\r\n]/);
    found.add(line.slice(DISPOSITION.length, end === -1 ? undefined : end).trim());
  }
  return found;
}

function nextLine(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end === -1 ? -1 : end + 1;
}
