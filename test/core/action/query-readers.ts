import qs from 'qs';

type Fields = Readonly<Record<string, unknown>>;

const unescaped = (text: string): string => {
  const bytes = text
    .replaceAll('+', ' ')
    .replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
};

const split = (field: string): readonly [string, string] => {
  const equals = field.indexOf('=');
  return equals === -1 ? [field, ''] : [field.slice(0, equals), field.slice(equals + 1)];
};

/** Sets a value at `name[key][]`, as PHP and Rack do; a conflicting value is replaced. */
function put(into: Record<string, unknown>, name: string, { keys, value }: { keys: readonly string[]; value: string }) {
  let at: Record<string, unknown> = into;
  let key = name;
  for (const next of keys) {
    const inner = at[key];
    const object: Record<string, unknown> =
      typeof inner === 'object' && inner !== null ? Object.assign(inner) : Object.create(null);
    at[key] = object;
    at = object;
    key = next === '' ? String(Object.keys(object).length) : next;
  }
  at[key] = value;
}

/**
 * `$_GET` of PHP: leading spaces of a name removed, truncated at NUL, dots and spaces become `_`, an open bracket becomes `_`,
 * the last of equal names wins, at most 1,000 fields.
 *
 * @see php-src main/php_variables.c, php_register_variable_ex
 */
function php(query: string): Fields {
  const fields: Record<string, unknown> = Object.create(null);
  for (const field of query
    .split('&')
    .filter((each) => each !== '')
    .slice(0, 1000)) {
    const [key, value] = split(field).map(unescaped);
    const [name = ''] = (key ?? '').replace(/^ +/, '').split('\0');
    const bracket = name.indexOf('[');
    if (name === '' || bracket === 0) continue;
    const closing = name.indexOf(']', bracket);
    const isList = bracket !== -1 && closing !== -1;
    const root = (isList ? name.slice(0, bracket) : name.replace('[', '_')).replaceAll(/[. ]/g, '_');
    const keys = isList ? Array.from(name.slice(bracket).matchAll(/\[([^\]]*)\]/g), ([, one = '']) => one) : [];
    put(fields, root, { keys, value: value ?? '' });
  }
  return fields;
}

/** `params` of Rack 2, used by Rails up to 7: `;` separates too, leading brackets of a name are removed. */
function rack2(query: string): Fields {
  const fields: Record<string, unknown> = Object.create(null);
  for (const field of query.split(/[&;] */)) {
    if (field === '') continue;
    const [key = '', value = ''] = split(field).map(unescaped);
    const [whole = '', name = ''] = /^[[\]]*([^[\]]+)\]*/.exec(key) ?? [];
    if (name === '') continue;
    const keys = Array.from(key.slice(whole.length).matchAll(/\[([^[\]]*)\]/g), ([, one = '']) => one);
    put(fields, name, { keys, value });
  }
  return fields;
}

/** Spring's data binder: `_x` and `!x` give defaults of an absent `x`; dots lead into objects. */
function spring(query: string): Fields {
  const fields: Record<string, unknown> = Object.create(null);
  const pairs = query
    .split('&')
    .filter((each) => each !== '')
    .map((field) => split(field).map(unescaped));
  for (const [key = '', value = ''] of pairs) {
    const [name = '', ...keys] = key.split(/[.[]/).map((part) => part.replace(/\]$/, ''));
    if (!(name in fields) || keys.length > 0) put(fields, name, { keys, value });
  }
  for (const [key = '', value = ''] of pairs) {
    const name = key.slice(1);
    if (/^[_!]/.test(key) && name !== 'method' && !(name in fields)) fields[name] = key.startsWith('!') ? value : '';
  }
  return fields;
}

/** Ignores the case of names, as ASP.NET does, and joins repeated values. */
function ignoringCase(query: string): Fields {
  const fields: Record<string, unknown> = Object.create(null);
  for (const [key, value] of new URLSearchParams(query)) {
    const name = key.toLowerCase();
    put(fields, name.replace(/\[.*$/, ''), {
      keys: Array.from(name.matchAll(/\[([^[\]]*)\]/g), ([, one = '']) => one),
      value,
    });
  }
  return fields;
}

/** Query parsers by the framework they model; the first two are the real ones. */
export const readers: Readonly<Record<string, (query: string) => Fields>> = {
  qs: (query) => qs.parse(query),
  'qs with dots': (query) => qs.parse(query, { allowDots: true }),
  PHP: php,
  'Rack 2': rack2,
  Spring: spring,
  'a reader that ignores case': ignoringCase,
};
