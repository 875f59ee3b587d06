import { otherArgument } from '../arguments/argument-refusal.ts';
import type { ArgumentRefusal } from '../arguments/argument-refusal.ts';
import { isPlainKey, looseKey, rootOfKey } from './query-key.ts';

/** What a route declares about its query. */
export interface QueryNames {
  /** The exact keys of arguments from the query. */
  readonly wanted: Iterable<string>;
  /** Arguments from path or body. Frameworks merge the query with those, so no key may be confused with them. */
  readonly elsewhere: Iterable<string>;
  /** Whether there may be other keys. */
  readonly takesOthers: boolean;
}

/** Most fields. Parsers stop at 1,000 or fewer, and would not see what follows. */
const MAX_FIELDS = 256;

/**
 * The values of the wanted keys in a form-encoded query, decoded once (`+` is a space, WHATWG URL section 5.1). Absent keys are
 * absent. Other keys, if permitted, may have any value, but an ambiguous query is a problem: a repeated wanted key; an unwanted
 * key that is not plain (`isPlainKey`) or can be confused with an argument (`looseKey`); a bare `;`, which some parsers read as
 * `&`; a wanted value with `]=`; a key or wanted value that is not UTF-8; more than 256 fields. Linear time.
 */
export function queryValues(query: string, names: QueryNames): ReadonlyMap<string, string> | ArgumentRefusal {
  const values = new Map<string, string>();
  if (query === '') return values;
  if (query.includes(';')) return { problem: 'the query has a bare `;`, which has more than one reading' };
  const fields = query.split('&');
  if (fields.length > MAX_FIELDS) return { problem: `the query has more than ${MAX_FIELDS} fields` };
  const wanted = new Set(names.wanted);
  // For `filter[state]` also `filter`, which parsers merge with it.
  const loose = new Map(
    [...wanted].flatMap((name) => [name, rootOfKey(name)].map((key) => [looseKey(key), name] as const)),
  );
  const elsewhere = new Map(Array.from(names.elsewhere, (name) => [looseKey(name), name]));
  for (const field of fields) {
    if (field === '') continue;
    const equals = field.indexOf('=');
    const key = decoded(equals === -1 ? field : field.slice(0, equals));
    if (key === null) return { problem: 'a key of the query must be percent-encoded UTF-8' };
    if (!wanted.has(key)) {
      if (!names.takesOthers) return otherArgument(key);
      const problem = otherKeyProblem(key, loose, elsewhere);
      if (problem !== null) return { problem };
      continue;
    }
    if (values.has(key)) return { problem: `\`${key}\` appears twice in the query` };
    const raw = equals === -1 ? '' : field.slice(equals + 1);
    // qs ends the key at the first `]=`, wherever that is.
    if (raw.includes(']='))
      return { problem: `\`${key}\` has a \`]=\` in its value, which can be taken for the end of the key` };
    const value = decoded(raw);
    if (value === null) return { problem: `\`${key}\` must be percent-encoded UTF-8` };
    values.set(key, value);
  }
  return values;
}

type Loose = ReadonlyMap<string, string>;

/** Why a key that is not a query argument is ambiguous. */
function otherKeyProblem(key: string, loose: Loose, elsewhere: Loose): string | null {
  const folded = looseKey(key);
  const name = loose.get(folded);
  if (name !== undefined) return `a key of the query can be taken for \`${name}\`, but is spelt differently`;
  const other = elsewhere.get(folded);
  if (other !== undefined)
    return `a key of the query can be taken for \`${other}\`, which comes from elsewhere in the call`;
  return isPlainKey(key)
    ? null
    : 'a key of the query that the catalog does not name must have letters, digits, `_`, `-` and `$` only';
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return null;
  }
}
