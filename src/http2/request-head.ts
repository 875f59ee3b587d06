import type { HeaderField } from './header-field.ts';

/** What a request begins with. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  /** Without the pseudo headers, by name in lower case; what came more than once is one list. */
  readonly headers: ReadonlyMap<string, string>;
}

/** They are of a connection, and HTTP/2 has its own ways. */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** The head in these fields; `null` for a request that is malformed. @see RFC 9113 sections 8.2 and 8.3 */
export function requestHeadFrom(fields: readonly HeaderField[]): RequestHead | null {
  const pseudo: Record<string, string | null> = { ':method': null, ':path': null, ':scheme': null, ':authority': null };
  const headers = new Map<string, string>();
  for (const { name, value, isSound } of fields) {
    if (!isSound) return null;
    if (name.startsWith(':')) {
      // `undefined` for one that is none.
      if (headers.size > 0 || pseudo[name] !== null) return null;
      pseudo[name] = value;
      continue;
    }
    if (CONNECTION_HEADERS.has(name) || (name === 'te' && value !== 'trailers')) return null;
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`);
  }
  const { ':method': method, ':path': path, ':scheme': scheme } = pseudo;
  return method && path && scheme !== null ? { method, path, headers } : null;
}

/** Whether fields may come after a request. */
export const areTrailers = (fields: readonly HeaderField[]): boolean =>
  fields.every(({ name, isSound }) => isSound && !name.startsWith(':'));

/** How long a request says its content is, in bytes; `null` where it does not, `malformed` where it says no length. */
export type ContentLength = number | null | 'malformed';

/** How long the content of a request is, by its head. */
export function contentLengthOf({ headers }: RequestHead): ContentLength {
  const text = headers.get('content-length');
  if (text === undefined) return null;
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : 'malformed';
}
