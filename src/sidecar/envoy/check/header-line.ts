import { type Deny, deny } from '../../../core/decision/decision.ts';

/** A header line, checked independently of the others. */
export interface HeaderLine {
  /** In lower case. */
  readonly name: string;
  readonly value: string;
  /** The value as a list with a single element. */
  readonly values: readonly [string];
  readonly isPseudo: boolean;
  /** Why a request with this line is refused; `null` if it is acceptable. */
  readonly problem: Deny | null;
  /** Whether the header must occur once and have a single value. */
  readonly isSingle: boolean;
  /** What the header overrides in servers and frameworks that honour it; `null` for all others. */
  readonly replaces: 'method' | 'path' | null;
}

/** Headers that must be unique. The token stage handles `authorization`. */
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

/** The pseudo-header fields of HTTP/1 and HTTP/2; proxies forward no others. */
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
 * Parses a header line. `request.not-canonical` for a name that is not a token or has an underscore (which many servers treat
 * as `-`), an unknown pseudo-header field, and control characters.
 */
export function headerLineFrom(rawName: string, value: string): HeaderLine {
  const name = rawName.toLowerCase();
  return {
    name,
    value,
    values: [value],
    isPseudo: name.startsWith(':'),
    problem: headerProblem(name, value),
    isSingle: SINGLE.has(name),
    replaces: REPLACEMENTS.get(name) ?? null,
  };
}

function headerProblem(name: string, value: string): Deny | null {
  if (!/^:?[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return notCanonical('a header name is not a token');
  if (name.includes('_')) return notCanonical('a header name has an underscore');
  if (name.startsWith(':') && !PSEUDO.has(name)) return notCanonical('a pseudo header is unknown');
  // oxlint-disable-next-line no-control-regex -- matches control characters on purpose
  const hasControl = /[\x00-\x08\x0a-\x1f\x7f]/.test(value);
  return hasControl ? notCanonical(`the header \`${name}\` has a control character`) : null;
}

const notCanonical = (detail: string): Deny => deny('request.not-canonical', detail);
