/** Method, path and authority of a request, canonical or refused. */
import { namesMethod } from '../../../core/action/http/query-key.ts';
import { type Deny, deny, isDeny } from '../../../core/decision/decision.ts';
import { BoundedMemo } from '../../../core/runtime/collections/bounded-memo.ts';
import { MESSAGE_LIMITS } from '../limits.ts';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY']);

/**
 * The request method, exactly as sent. Methods are case-sensitive, so `get` is ambiguous (`request.not-canonical`); CONNECT,
 * TRACE and unknown methods are `request.unsupported`.
 */
export function methodFrom(text: string): string | Deny {
  if (METHODS.has(text)) return text;
  if (!/^[A-Z]{1,32}$/.test(text)) return notCanonical('the method must be in upper-case letters');
  return unsupported(`the method \`${text}\` is not supported`);
}

/** A parsed, unambiguous request target. */
export interface RequestTarget {
  /** As received, up to the first `?`. */
  readonly path: string;
  /** The path's segments, percent-decoded once; none for `/`; the last segment is empty for a trailing `/`. */
  readonly segments: readonly string[];
  /** As received, after the first `?`. */
  readonly query: string;
}

/**
 * Splits a request target at the first `?`. Not parsed as a URL, where `//admin` would be a host. Denies everything that two
 * servers could read differently with `request.not-canonical`: non-printable or non-ASCII characters, `#`, `\`, `//`, `;`, dot
 * segments, incomplete escapes, escaped `/`, `\`, `.`, `%`, `;`, `?`, `#` or control characters, escapes that are not UTF-8 or
 * not needed, blanks at the edge of a segment, letters that compatibility normalisation turns into one of these, and a query
 * that overrides the method (`namesMethod`).
 *
 * @see CVE-2026-26205 (opa-envoy-plugin), CVE-2026-32811 (Heimdall), CVE-2021-29492 (Envoy)
 */
export function targetFrom(text: string): RequestTarget | Deny {
  if (text.length > MESSAGE_LIMITS.targetChars)
    return tooLarge(`the path is longer than ${MESSAGE_LIMITS.targetChars} characters`);
  if (text === '*') return unsupported('the target `*` is not supported');
  const problem = targetProblem(text);
  if (problem !== null) return notCanonical(problem);
  const mark = text.indexOf('?');
  const asSent = mark === -1 ? text : text.slice(0, mark);
  const read = MAY_HOLD_SECRET.test(asSent) ? pathFrom(asSent) : paths.of(asSent, pathFrom);
  if (isDeny(read)) return read;
  const { path, segments } = read;
  const query = mark === -1 ? '' : text.slice(mark + 1);
  return namesMethod(query) ? notCanonical('the query names another method') : { path, segments, query };
}

type Path = Pick<RequestTarget, 'path' | 'segments'>;

/**
 * Memoised paths, which repeat. Queries do not repeat and may contain secrets; so may a path with a long word, which is not
 * kept either.
 */
const paths = new BoundedMemo<Path | Deny>();
const MAY_HOLD_SECRET = /[A-Za-z0-9_~+=.%-]{20}/;

function pathFrom(path: string): Path | Deny {
  const problem = MAY_BREAK_A_RULE.test(path) ? PATH_RULES.find(([pattern]) => pattern.test(path)) : undefined;
  if (problem !== undefined) return notCanonical(problem[1]);
  const segments = decodedSegments(path);
  if (segments === null) return notCanonical('the escapes in the path are not UTF-8');
  const letter = segments.map(letterProblem).find((problem) => problem !== null);
  return letter === undefined ? { path, segments } : notCanonical(letter);
}

/** Prefilter: every rule below needs one of these. */
const MAY_BREAK_A_RULE = /[\\;%]|\/[/.]/;

/**
 * Compatibility normalisation (NFKC), which some file systems and frameworks apply, turns letters into syntax: `／` becomes `/`,
 * and `．．` becomes `..`. Others trim blanks. Control characters beyond ASCII are refused like those within.
 */
const letterProblem = (segment: string): string | null => {
  if (/^[\x21-\x7e]*$/.test(segment)) return null;
  const folded = segment.normalize('NFKC');
  if (folded !== folded.trim()) return 'the path has a segment with a blank at its edge';
  return /[/\\;?#%\p{Cc}\u2044\u2215\u2216\u29f5\u29f8]/u.test(folded) || /^\.{1,2}$/.test(folded)
    ? 'the path has a letter that some take for `/`, `\\`, `.` or the like'
    : null;
};

const targetProblem = (text: string): string | null => {
  if (!text.startsWith('/')) return 'the path must start with `/`';
  if (!/^[\x21-\x7e]*$/.test(text)) return 'the path has a character that is not printable ASCII';
  return text.includes('#') ? 'the path has a fragment' : null;
};

const PATH_RULES: readonly (readonly [RegExp, string])[] = [
  [/\\/, 'the path has a backslash'],
  [/\/\//, 'the path has an empty segment'],
  [/;/, 'the path has a parameter'],
  [/%(?![0-9a-f]{2})/i, 'the path has an incomplete escape'],
  [/%(?:2f|5c|25|2e)/i, 'the path has an escaped `/`, `\\`, `.` or `%`'],
  [/%(?:3[0-9]|[46][1-9a-f]|[57][0-9a]|2d|5f|7e)/i, 'the path has an escape that is not needed'],
  [/%(?:3b|3f|23)/i, 'the path has an escaped `;`, `?` or `#`'],
  [/%(?:[01][0-9a-f]|7f)/i, 'the path has an escaped control character'],
  [/\/\.{1,2}(?:\/|$)/, 'the path has a dot segment'],
];

const decodedSegments = (path: string): readonly string[] | null => {
  if (path === '/') return [];
  const segments = path.slice(1).split('/');
  if (!path.includes('%')) return segments;
  try {
    return segments.map((segment) => decodeURIComponent(segment));
  } catch {
    return null;
  }
};

/** A parsed authority. */
export interface RequestAuthority {
  /** Lower case, without port, trailing dot and user; an IPv6 address keeps its brackets. */
  readonly host: string;
  /** 1 to 65535; `null` if there is none. */
  readonly port: number | null;
}

/** Parses an `:authority`. Denies user information, lists, spaces and invalid ports with `request.not-canonical`. */
export function authorityFrom(text: string): RequestAuthority | Deny {
  if (text.length > MESSAGE_LIMITS.hostChars)
    return tooLarge(`the host is longer than ${MESSAGE_LIMITS.hostChars} characters`);
  return authorities.of(text, readAuthority);
}

const authorities = new BoundedMemo<RequestAuthority | Deny>();

function readAuthority(text: string): RequestAuthority | Deny {
  const match = /^(\[[0-9a-f:.]+\]|[0-9a-z_-]+(?:\.[0-9a-z_-]+)*)\.?(?::([1-9][0-9]{0,4}))?$/.exec(text.toLowerCase());
  const host = match?.[1];
  if (host === undefined) return notCanonical('the host must be a plain name or address with an optional port');
  const port = match?.[2] === undefined ? null : Number(match[2]);
  return port !== null && port > 65_535 ? notCanonical('the port is out of range') : { host, port };
}

const notCanonical = (detail: string): Deny => deny('request.not-canonical', detail);
const unsupported = (detail: string): Deny => deny('request.unsupported', detail);
const tooLarge = (detail: string): Deny => deny('request.too-large', detail);
