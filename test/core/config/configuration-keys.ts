import { configFrom } from '../../../src/core/config/config.ts';
import { addressText } from '../../../src/core/config/values.ts';
import { must } from '../../builders/must.ts';

/** A key of the configuration, as the code reads it. */
export interface ConfigurationKey {
  /** Its path; `[]` stands for each entry of a list, `NAME` for a name chosen by the operator. */
  readonly key: string;
  /** Accepted values, in the words of the error message; empty for a section. */
  readonly values: string;
  /** Its default; `required` where it has none. */
  readonly byDefault: string;
}

const FOLDER = '/etc/remit';
/** No known key is near it, so the error lists all known keys. */
const UNKNOWN = 'zzzzzzzzzzzzzzzz';

/** What a section requires, so that the defaults of its other keys show. */
const needed = {
  trustDomains: ['acme.test'],
  svid: { certificate: 'svid.pem', key: 'svid.key', bundle: 'bundle.pem' },
  acceptedIssuers: [{ issuer: 'https://idp.acme.test', jwks: 'idp.json' }],
  issuer: {
    url: 'https://remit.acme.test',
    subjectIssuers: [{ issuer: 'https://idp.acme.test', jwks: 'idp.json', kind: 'access-token' }],
    signals: { transmitters: [{ issuer: 'https://idp.acme.test', jwks: 'idp.json' }] },
  },
};
const bundle = { policies: { bundle: { from: 'prod.jws', name: 'prod', keys: 'keys.json' } } };

type Json = string | number | readonly Json[] | { readonly [name: string]: Json };

/** A document with one value at a path. */
const documentOf = (path: readonly string[], value: Json): Json =>
  path.reduceRight<Json>((inner, name) => (name === '[]' ? [inner] : { [name]: inner }), value);

const read = (document: Json) => configFrom(JSON.stringify(document), { file: 'f', folder: FOLDER, environment: {} });

/** The errors at a path and below it, by the rest of their paths. */
function problemsAt(path: readonly string[], value: Json): ReadonlyMap<string, string> {
  const result = read(documentOf(path, value));
  const at = textOf(path).replaceAll('[]', '[0]');
  const problems = 'problems' in result ? result.problems : [];
  return new Map(
    problems.flatMap(({ field, message }) =>
      field.startsWith(at) ? [[field.slice(at.length), message] as const] : [],
    ),
  );
}

const textOf = (path: readonly string[]): string => path.join('.').replaceAll('.[]', '[]');

const KNOWN = /known: (.*)$/;
const keysIn = (message: string | undefined): readonly string[] | null =>
  KNOWN.exec(message ?? '')?.[1]?.split(', ') ?? null;

/** The accepted values of a field, from the error for an invalid value. */
const valuesIn = (message: string): string =>
  message.replace(/^must be (?:one of )?/, '').replace(/^a whole number from (\d+) to (\d+)$/, '$1 to $2');

function* keysBelow(path: readonly string[], keys: readonly string[]): Generator<ConfigurationKey> {
  const missing = problemsAt(path, {});
  for (const name of keys) {
    const own = [...path, name];
    const key = textOf(own);
    const dot = path.length === 0 ? name : `.${name}`;
    const byDefault = missing.get(dot) === 'is required' ? 'required' : defaultAt(own);
    const inMap = problemsAt(own, { [UNKNOWN]: 1 }).get(`.${UNKNOWN}`);
    const inList = problemsAt([...own, '[]'], { [UNKNOWN]: 1 });
    const below = keysIn(inMap);
    const entry = keysIn(inList.get(`.${UNKNOWN}`));
    const one = inList.get('');
    if (entry !== null) {
      yield { key, values: 'list', byDefault };
      yield* keysBelow([...own, '[]'], entry);
    } else if (below !== null) {
      yield { key, values: 'section', byDefault };
      yield* keysBelow(own, below);
    } else if (inMap !== undefined) {
      yield { key: `${key}.NAME`, values: valuesIn(inMap), byDefault };
    } else if (one !== undefined) {
      yield { key, values: `list: ${valuesIn(one)}`, byDefault };
    } else {
      yield { key, values: valuesIn(problemsAt(own, {}).get('') ?? ''), byDefault };
    }
  }
}

function defaultAt(path: readonly string[]): string {
  // Its keys have no defaults, and depend on each other.
  if (path[0] === 'svid') return '';
  const result = must(read(path.includes('bundle') ? { ...needed, ...bundle } : needed));
  const without = must(path.length === 1 || path.at(-1) === 'bundle' ? read({ trustDomains: ['acme.test'] }) : result);
  let value: unknown = without.written;
  for (const name of path) {
    const inside: unknown = name === '[]' ? 0 : name;
    value = typeof value === 'object' && value !== null ? Reflect.get(value, inside as PropertyKey) : undefined;
  }
  return defaultText(value);
}

function defaultText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (value instanceof Map) return value.size === 0 ? '' : 'set';
  if (Array.isArray(value)) return value.map(defaultText).join(', ');
  if (typeof value === 'string') return `\`${value.replace(`${FOLDER}/`, '')}\``;
  if (typeof value !== 'object') return `\`${JSON.stringify(value)}\``;
  return 'kind' in value && (value.kind === 'unix' || value.kind === 'tcp')
    ? `\`${addressText(value as Parameters<typeof addressText>[0])}\``
    : '';
}

/** Every key of the configuration, found by reading documents with mistakes: their errors name what is right. */
export const configurationKeys = (): readonly ConfigurationKey[] => [
  ...keysBelow([], keysIn(problemsAt([], { [UNKNOWN]: 1 }).get(UNKNOWN)) ?? []),
];
