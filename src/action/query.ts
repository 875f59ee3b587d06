/** Percent-decoded text, or what is wrong with it. */
type Decoded = { readonly value: string } | { readonly problem: string };

/**
 * The values that the wanted keys have in a query of form fields, decoded once (`+` is a space, WHATWG URL section 5.1).
 * Absent keys are absent. Keys that nobody wants may hold anything, but a query that another reader could take
 * differently is a problem: a wanted key twice, in other letter case, with blanks around it or with a `[…]` suffix;
 * a bare `;`, which some take for `&`; bytes that are no UTF-8.
 */
export function queryValues(
  query: string,
  wanted: ReadonlySet<string>,
): ReadonlyMap<string, string> | { readonly problem: string } {
  const values = new Map<string, string>();
  if (wanted.size === 0 || query === '') return values;
  if (query.includes(';')) return { problem: 'the query has a bare `;`, which has more than one reading' };
  const readings = new Map([...wanted].map((name) => [loosely(name), name]));
  for (const field of query.split('&')) {
    const equals = field.indexOf('=');
    const key = decoded(equals === -1 ? field : field.slice(0, equals));
    if ('problem' in key) return { problem: `a key of the query ${key.problem}` };
    const name = readings.get(loosely(key.value));
    if (name === undefined) continue;
    if (key.value !== name)
      return { problem: `a key of the query can be taken for \`${name}\`, but is not equal to it` };
    if (values.has(name)) return { problem: `\`${name}\` appears twice in the query` };
    const value = decoded(equals === -1 ? '' : field.slice(equals + 1));
    if ('problem' in value) return { problem: `\`${name}\` ${value.problem}` };
    values.set(name, value.value);
  }
  return values;
}

/** The most generous reading of a key that servers in use are known to make. */
const loosely = (key: string): string => {
  const bracket = key.indexOf('[', 1);
  return (bracket === -1 ? key : key.slice(0, bracket)).trim().toLowerCase();
};

function decoded(text: string): Decoded {
  try {
    return { value: decodeURIComponent(text.replaceAll('+', ' ')) };
  } catch {
    return { problem: 'is no percent-encoded UTF-8' };
  }
}
