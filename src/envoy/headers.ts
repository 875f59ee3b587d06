import { type Deny, deny } from '../decision/decision.ts';
import type { HeaderLine } from './header-line.ts';
import { MESSAGE_LIMITS } from './limits.ts';

/** The header lines of a request, together. */
export interface Headers {
  /** By name in lower case, each with its values in the order received; without the pseudo headers. */
  readonly byName: ReadonlyMap<string, readonly string[]>;
  /** By name; no other may be there. */
  readonly pseudo: ReadonlyMap<string, readonly string[]>;
  /** Lines that say something in the place of the method or the path. */
  readonly replacing: readonly HeaderLine[];
}

/** What `connection` may say of the connection itself; any other word removes the header of that name on the way. */
const CONNECTION_WORDS: ReadonlySet<string> = new Set(['', 'close', 'keep-alive', 'te']);

const NONE: readonly string[] = [];

const TUNNELS = ['upgrade', 'http2-settings'] as const;

/**
 * Puts header lines together. Denies with `request.too-large` over the limits, with what is wrong with a line by itself,
 * `request.not-canonical` for a header of which there must be one and are several, or a `connection` that takes other headers
 * away; and `request.unsupported` for anything that turns the connection into a tunnel, since nothing after that could be seen.
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
    // A comma is how the map form of a request joins repeated headers; pseudo headers are never joined, and `:path` may have one.
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
    : notCanonical('the header `connection` takes other headers away');
}

const notCanonical = (detail: string): Deny => deny('request.not-canonical', detail);
const tooLarge = (detail: string): Deny => deny('request.too-large', detail);
