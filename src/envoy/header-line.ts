import { type Deny, deny } from '../decision/decision.ts';

/** One header line, looked at by itself: what it says does not hang on the others. */
export interface HeaderLine {
  /** In lower case. */
  readonly name: string;
  readonly value: string;
  /** The value alone, as the values of a name are kept. */
  readonly values: readonly [string];
  readonly isPseudo: boolean;
  /** Why a request with it cannot be judged; `null` where it can. */
  readonly problem: Deny | null;
  /** There must be one of its name, and of that one value. */
  readonly isSingle: boolean;
  /** What the header says in the place of, to servers and frameworks that obey it; `null` for every other header. */
  readonly replaces: 'method' | 'path' | null;
}

/** Headers whose meaning hangs on there being one of them. `authorization` is judged by the token stage. */
const SINGLE: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-length',
  'content-type',
  'dpop',
  'expect',
  'host',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
  'transfer-encoding',
  'txn-token',
]);

/** What HTTP/1 and HTTP/2 have together; no proxy hands on another one. */
const PSEUDO: ReadonlySet<string> = new Set([':method', ':path', ':authority', ':scheme', ':protocol']);

const REPLACEMENTS: ReadonlyMap<string, 'method' | 'path'> = new Map([
  ['x-http-method', 'method'],
  ['x-http-method-override', 'method'],
  ['x-method-override', 'method'],
  ['x-original-method', 'method'],
  ['x-forwarded-method', 'method'],
  ['x-original-uri', 'path'],
  ['x-original-url', 'path'],
  ['x-rewrite-url', 'path'],
  ['x-forwarded-uri', 'path'],
]);

/**
 * A header line as it was sent. `request.not-canonical` for a name that is no token, one with an underscore (to many servers `_`
 * and `-` are one letter), an unknown pseudo header, and a control character.
 */
export function headerLineFrom(rawName: string, value: string): HeaderLine {
  const name = rawName.toLowerCase();
  return {
    name,
    value,
    values: [value],
    isPseudo: name.startsWith(':'),
    problem: problemOf(name, value),
    isSingle: SINGLE.has(name),
    replaces: REPLACEMENTS.get(name) ?? null,
  };
}

function problemOf(name: string, value: string): Deny | null {
  if (!/^:?[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return notCanonical('a header name is not a token');
  if (name.includes('_')) return notCanonical('a header name has an underscore');
  if (name.startsWith(':') && !PSEUDO.has(name)) return notCanonical('a pseudo header is unknown');
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  const hasControl = /[\x00-\x08\x0a-\x1f\x7f]/.test(value);
  return hasControl ? notCanonical(`the header \`${name}\` has a control character`) : null;
}

const notCanonical = (detail: string): Deny => deny('request.not-canonical', detail);
