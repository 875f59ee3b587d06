import type { Arrived } from './bypass-wire.ts';

/** Headers that lax servers obey instead of the request line. */
const METHOD_HEADERS: readonly string[] = [
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-method',
  'x-forwarded-method',
];
const PATH_HEADERS: readonly string[] = ['x-original-url', 'x-original-uri', 'x-rewrite-url', 'x-forwarded-uri'];

/**
 * Every call that some upstream could read a request as, in the form `METHOD host/path`. Paths are decoded zero, one and two times, with
 * overlong sequences and compatibility forms, `\` as `/`, truncated at NUL, `#` and `?`, without parameters, doubled slashes and dot
 * segments, the last segment with and without what follows a dot or a colon, all in lower case. Methods come from every place where
 * frameworks look for them, with underscores read as hyphens.
 */
export function readingsOf({ method, target, headers }: Arrived): ReadonlySet<string> {
  const loose = headers.map(([name, value]) => [name.replaceAll('_', '-'), value] as const);
  const valuesOf = (names: readonly string[]) =>
    loose.filter(([name]) => names.includes(name)).map(([, value]) => value);
  const query = percentDecoded(target.slice(target.indexOf('?'))).replaceAll('+', ' ');
  const inQuery = [...query.matchAll(/[?&;][[\s]*[_.]method[^=&;]*=([^&;]*)/gi)].map(([, value = '']) => value);
  const methods = [method, ...valuesOf(METHOD_HEADERS), ...inQuery].map((text) => text.trim().toUpperCase());
  const whole = [target, ...valuesOf(PATH_HEADERS)].flatMap(pathsOf);
  const paths = [...whole, ...whole.map((path) => path.replace(/(\/[^/.:]+)[.:][^/]*$/, '$1'))];
  const hosts = valuesOf(['host']).map((host) => host.toLowerCase().replace(/\.?(?::\d+)?$/, ''));
  return new Set(methods.flatMap((m) => hosts.flatMap((host) => paths.map((path) => `${m} ${host}${path}`))));
}

/** The paths that one request target can be read as: not decoded, decoded once, and decoded twice. */
export function pathsOf(target: string): readonly string[] {
  const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '');
  const [beforeQuery = ''] = path.split('?');
  const once = percentDecoded(beforeQuery);
  return [beforeQuery, once, percentDecoded(once)].map(simplified);
}

function percentDecoded(text: string): string {
  const bytes = Buffer.from(
    text
      .replaceAll(/%u00([0-9a-f]{2})/gi, '%$1')
      .replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
  // Two bytes for an ASCII character: a lax decoder reads `%c0%af` as `/`.
  return bytes
    .toString('latin1')
    .replaceAll(/[\u00c0\u00c1][\u0080-\u00bf]/g, ([first = '', second = '']) =>
      String.fromCharCode(((first.charCodeAt(0) & 0x1f) << 6) | (second.charCodeAt(0) & 0x3f)),
    );
}

function simplified(text: string): string {
  const folded = Buffer.from(text, 'latin1').toString('utf8').normalize('NFKC');
  const [path = ''] = folded
    .replaceAll(/[\u2215\u2044]/g, '/')
    .replaceAll('\\', '/')
    .split(/[\0?#]/);
  const segments: string[] = [];
  for (const part of path.toLowerCase().split('/')) {
    const segment = part.replace(/;.*$/, '').trim();
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}
