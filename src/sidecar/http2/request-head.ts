import type { HeaderField } from './header-field.ts';

/** The head of a request. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  /** Regular header fields by lower-case name; repeated fields are joined to a list. */
  readonly headers: ReadonlyMap<string, string>;
}

/** Connection-specific fields, which HTTP/2 forbids. @see RFC 9113 section 8.2.2 */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** The head in a list of fields; `null` if the request is malformed. @see RFC 9113 sections 8.2 and 8.3 */
export function requestHeadFrom(fields: readonly HeaderField[]): RequestHead | null {
  const pseudo: Record<string, string | null> = { ':method': null, ':path': null, ':scheme': null, ':authority': null };
  const headers = new Map<string, string>();
  for (const { name, value, isSound } of fields) {
    if (!isSound) return null;
    if (name.startsWith(':')) {
      // `undefined` for an unknown pseudo-header field.
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

/** Whether the fields are valid trailers. */
export const areTrailers = (fields: readonly HeaderField[]): boolean =>
  fields.every(({ name, isSound }) => isSound && !name.startsWith(':'));

/** The `content-length` in bytes; `null` if it is absent, `malformed` if it is invalid. */
export type ContentLength = number | null | 'malformed';

/** The `content-length` of a request. */
export function contentLengthOf({ headers }: RequestHead): ContentLength {
  const text = headers.get('content-length');
  if (text === undefined) return null;
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : 'malformed';
}
