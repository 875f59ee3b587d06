import type { Problem } from '../../runtime/problem.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Deepest nesting of objects and arrays. */
export const MAX_JSON_DEPTH = 32;

/**
 * Parses JSON strictly, so that no two parsers can disagree: valid UTF-8 without a byte order mark, no duplicate member names
 * at any depth, no U+0000 and no lone surrogates in strings, nesting of at most `MAX_JSON_DEPTH`. Linear time; the caller
 * bounds the length. The problem never quotes the text.
 *
 * @see RFC 8259, RFC 7493 (I-JSON), RFC 7519 section 4
 */
export function strictJsonFrom(bytes: Uint8Array): { readonly value: unknown } | Problem {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return { problem: 'is not valid UTF-8' };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: 'is not valid JSON' };
  }
  const problem = ambiguityOf(text);
  return problem === null ? { value } : { problem };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/**
 * The member names of an object so far: `null` for no name, the name itself for a single name, else a set. A text of 64 KiB can hold 21,000
 * objects, and a `Set` for each would cost ten times the parsing.
 */
type MemberNames = Set<string> | string | null;

/** Adds a name; `null` if it is a duplicate. */
function withName(names: MemberNames, name: string): Exclude<MemberNames, null> | null {
  if (names === null) return name;
  if (typeof names === 'string') return names === name ? null : new Set([names, name]);
  return names.has(name) ? null : names.add(name);
}

/** One pass over text that `JSON.parse` accepted, in which a string followed by a colon is a member name. */
function ambiguityOf(text: string): string | null {
  const open: MemberNames[] = [];
  for (let index = 0; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case OPEN_BRACE:
      case OPEN_BRACKET:
        if (open.length === MAX_JSON_DEPTH) return `nests deeper than ${MAX_JSON_DEPTH}`;
        open.push(null);
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        open.pop();
        break;
      case QUOTE: {
        const end = endOfString(text, index);
        const string = unquoted(text.slice(index, end));
        if (string.includes('\0')) return 'has U+0000 in a string';
        if (!string.isWellFormed()) return 'has a lone surrogate in a string';
        if (isBeforeColon(text, end)) {
          const names = withName(open.at(-1) ?? null, string);
          if (names === null) return 'has a duplicate member name';
          open[open.length - 1] = names;
        }
        index = end - 1;
        break;
      }
    }
  }
  return null;
}

/** Index after the closing quote of the string that starts at `start`. */
function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (index < text.length && text.charCodeAt(index) !== QUOTE) {
    index += text.charCodeAt(index) === BACKSLASH ? 2 : 1;
  }
  return index + 1;
}

function unquoted(literal: string): string {
  return literal.includes('\\') ? String(JSON.parse(literal)) : literal.slice(1, -1);
}

function isBeforeColon(text: string, from: number): boolean {
  let index = from;
  while (index < text.length && ' \t\n\r'.includes(text.charAt(index))) index++;
  return text.charCodeAt(index) === COLON;
}
