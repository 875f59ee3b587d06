import { type Deny, deny } from '../../../core/decision/decision.ts';
import type { HeaderLine } from './header-line.ts';
import { MESSAGE_LIMITS } from '../limits.ts';

/** The header lines of a request together. */
export interface Headers {
  /** Regular headers by lower-case name, values in the order received. */
  readonly byName: ReadonlyMap<string, readonly string[]>;
  /** Pseudo-header fields by name; no others are accepted. */
  readonly pseudo: ReadonlyMap<string, readonly string[]>;
  /** Lines that override method or path. */
  readonly replacing: readonly HeaderLine[];
}

/** Connection options without effect on other headers; any other word removes the header of that name in transit. */
const CONNECTION_WORDS: ReadonlySet<string> = new Set(['', 'close', 'keep-alive', 'te']);

const NONE: readonly string[] = [];

const TUNNELS = ['upgrade', 'http2-settings'] as const;

/**
 * Combines header lines. Denies with `request.too-large` above the limits; with the problem of any line; with
 * `request.not-canonical` for a repeated header that must be unique, or a `connection` that removes headers; and with
 * `request.unsupported` for anything that opens a tunnel, behind which nothing can be inspected.
 */
export function headersFrom(lines: readonly HeaderLine[]): Headers | Deny {
  if (lines.length > MESSAGE_LIMITS.headers) return tooLarge(`more than ${MESSAGE_LIMITS.headers} headers`);
  const byName = new Map<string, readonly string[]>();
  const pseudo = new Map<string, readonly string[]>();
  const replacing: HeaderLine[] = [];
  let repeated: HeaderLine | null = null;
  let chars = 0;
  for (const line of lines) {
    const { name, value, values, isPseudo, problem, isSingle, replaces } = line;
    chars += name.length + value.length;
    if (chars > MESSAGE_LIMITS.headerChars)
      return tooLarge(`headers of more than ${MESSAGE_LIMITS.headerChars} characters`);
    if (problem !== null) return problem;
    const into = isPseudo ? pseudo : byName;
    const before = into.get(name);
    into.set(name, before === undefined ? values : [...before, value]);
    if (replaces !== null) replacing.push(line);
    // The map form of a request joins repeated headers with commas; pseudo-header fields are never joined, and `:path` may contain a comma.
    const isRepeated = before === undefined ? isSingle && value.includes(',') : isSingle || isPseudo;
    if (isRepeated) repeated ??= line;
  }
  if (repeated !== null) return notCanonical(`the header \`${repeated.name}\` has more than one value`);
  const headers = { byName, pseudo, replacing };
  return connectionProblem(headers) ?? headers;
}

function connectionProblem({ byName, pseudo }: Headers): Deny | null {
  const values = byName.get('connection');
  const words = values === undefined ? NONE : values.join(',').toLowerCase().split(',');
  const connection = words.map((word) => word.trim());
  if (pseudo.has(':protocol') || TUNNELS.some((name) => byName.has(name)) || connection.includes('upgrade')) {
    return deny('request.unsupported', 'the request asks to upgrade the connection');
  }
  return connection.every((word) => CONNECTION_WORDS.has(word))
    ? null
    : notCanonical('the header `connection` removes other headers');
}

const notCanonical = (detail: string): Deny => deny('request.not-canonical', detail);
const tooLarge = (detail: string): Deny => deny('request.too-large', detail);
