import type { Problem } from '../token/members.ts';
import { isPlainKey, looseKey, rootOfKey } from './query-key.ts';

/** What a route says of its query. */
export interface QueryNames {
  /** The arguments that come from the query: the keys, exactly. */
  readonly wanted: Iterable<string>;
  /** Arguments that come from the path or the body. Frameworks merge the query with those, so no key may be taken for one. */
  readonly elsewhere: Iterable<string>;
}

/** Parsers stop at 1,000 fields or sooner, and what follows would be seen here alone. */
const MAX_FIELDS = 256;

/**
 * The values that the wanted keys have in a query of form fields, decoded once (`+` is a space, WHATWG URL section 5.1).
 * Absent keys are absent. Other keys may hold anything, but a query that another parser could take differently is a problem:
 * a wanted key twice; a key that is no wanted one and not plain (`isPlainKey`), or that can be taken for an argument
 * (`looseKey`); a bare `;`, which some take for `&`; a key or a wanted value that is no UTF-8; more than 256 fields. Linear.
 */
export function queryValues(query: string, names: QueryNames): ReadonlyMap<string, string> | Problem {
  const values = new Map<string, string>();
  if (query === '') return values;
  if (query.includes(';')) return { problem: 'the query has a bare `;`, which has more than one reading' };
  const fields = query.split('&');
  if (fields.length > MAX_FIELDS) return { problem: `the query has more than ${MAX_FIELDS} fields` };
  const wanted = new Set(names.wanted);
  // Of `filter[state]` also `filter`, which parsers merge with it.
  const loose = new Map(
    [...wanted].flatMap((name) => [name, rootOfKey(name)].map((key) => [looseKey(key), name] as const)),
  );
  const elsewhere = new Map(Array.from(names.elsewhere, (name) => [looseKey(name), name]));
  for (const field of fields) {
    if (field === '') continue;
    const equals = field.indexOf('=');
    const key = decoded(equals === -1 ? field : field.slice(0, equals));
    if (key === null) return { problem: 'a key of the query is no percent-encoded UTF-8' };
    if (!wanted.has(key)) {
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
    if (value === null) return { problem: `\`${key}\` is no percent-encoded UTF-8` };
    values.set(key, value);
  }
  return values;
}

type Loose = ReadonlyMap<string, string>;

/** What is wrong with a key that is no argument of the query. */
function otherKeyProblem(key: string, loose: Loose, elsewhere: Loose): string | null {
  const folded = looseKey(key);
  const name = loose.get(folded);
  if (name !== undefined) return `a key of the query can be taken for \`${name}\`, but is not equal to it`;
  const other = elsewhere.get(folded);
  if (other !== undefined)
    return `a key of the query can be taken for \`${other}\`, which comes from elsewhere in the call`;
  return isPlainKey(key)
    ? null
    : 'a key of the query has other characters than letters, digits, `_`, `-` and `$`, and the catalog does not name it';
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return null;
  }
}
