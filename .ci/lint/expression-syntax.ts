/** The characters that one place of an expression takes, a bit for each. */
export type CharSet = bigint;

/** A regular expression, without what does not matter to its cost: names and captures of groups, and whether a repetition is lazy. */
export type Expression =
  | { readonly kind: 'set'; readonly chars: CharSet }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly part: Expression; readonly least: number; readonly most: number }
  /** `^` without the flag `m`. */
  | { readonly kind: 'start' }
  /** `$`, `\b` and the like, which take no character and can fail. */
  | { readonly kind: 'edge' }
  | { readonly kind: 'look'; readonly way: 'ahead' | 'behind'; readonly part: Expression }
  /** A reference to a group, which no automaton has. */
  | { readonly kind: 'reference' };

/** Parses the source of a regular expression that JavaScript accepts. */
export function expressionFrom(source: string, flags: string): Expression {
  const reader = { source, flags, at: 0 };
  return choice(reader);
}

interface Reader {
  readonly source: string;
  readonly flags: string;
  at: number;
}

function choice(reader: Reader): Expression {
  const parts = [sequence(reader)];
  while (reader.source[reader.at] === '|') {
    reader.at += 1;
    parts.push(sequence(reader));
  }
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : { kind: 'choice', parts };
}

function sequence(reader: Reader): Expression {
  const parts: Expression[] = [];
  while (reader.at < reader.source.length && !'|)'.includes(reader.source[reader.at] ?? ''))
    parts.push(repeated(reader, atom(reader)));
  return { kind: 'sequence', parts };
}

const COUNT = /(?:([*+?])|\{(\d{1,9})(,?)(\d{0,9})\})\??/y;

function repeated(reader: Reader, part: Expression): Expression {
  COUNT.lastIndex = reader.at;
  const found = COUNT.exec(reader.source);
  if (found === null) return part;
  reader.at = COUNT.lastIndex;
  const [, sign, least, comma, most] = found;
  if (sign !== undefined)
    return { kind: 'repeat', part, least: sign === '+' ? 1 : 0, most: sign === '?' ? 1 : Infinity };
  const from = Number(least);
  return { kind: 'repeat', part, least: from, most: comma === '' ? from : most === '' ? Infinity : Number(most) };
}

const GROUP = /\((?:\?(?:(<?[=!])|:|<[A-Za-z_$][\w$]{0,64}>|[ims-]{0,8}:))?/y;
const ESCAPE =
  /\\(?:u\{[0-9A-Fa-f]{1,6}\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|c[A-Za-z]|[pP]\{[^}]{1,64}\}|k<[^>]{1,64}>|[^])/y;

function atom(reader: Reader): Expression {
  const { source, flags, at } = reader;
  const first = source[at];
  if (first === '(') return group(reader);
  if (first === '[') return set(reader, classEnd(source, at));
  if (first === '^' || first === '$') {
    reader.at += 1;
    return first === '^' && !flags.includes('m') ? { kind: 'start' } : { kind: 'edge' };
  }
  if (first !== '\\') return set(reader, at + String.fromCodePoint(source.codePointAt(at) ?? 0).length);
  ESCAPE.lastIndex = at;
  const [escape = source.slice(at, at + 2)] = ESCAPE.exec(source) ?? [];
  if (/^\\[bB]/.test(escape) || /^\\(?:[1-9]|k<)/.test(escape)) {
    reader.at += escape.length;
    return { kind: /^\\[bB]/.test(escape) ? 'edge' : 'reference' };
  }
  return set(reader, at + escape.length);
}

function group(reader: Reader): Expression {
  GROUP.lastIndex = reader.at;
  const [opening = '(', look] = GROUP.exec(reader.source) ?? [];
  reader.at += opening.length;
  const part = choice(reader);
  reader.at += 1;
  return look === undefined ? part : { kind: 'look', way: look.startsWith('<') ? 'behind' : 'ahead', part };
}

function classEnd(source: string, from: number): number {
  let depth = 0;
  for (let at = from; at < source.length; at += 1) {
    if (source[at] === '\\') at += 1;
    else if (source[at] === '[') depth += depth === 0 ? 1 : 0;
    else if (source[at] === ']') return at + 1;
  }
  return source.length;
}

/** ASCII, and characters that stand for all others: letters, folded ones, blanks, marks, symbols and surrogates. */
const CHARACTERS = [
  ...Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)),
  'é',
  'ſ',
  'İ',
  '漢',
  '\u2028',
  '\u00a0',
  '\u0301',
  '😀',
  '\ud800',
];
/** All of them. */
export const EVERY: CharSet = (1n << BigInt(CHARACTERS.length)) - 1n;

function set(reader: Reader, to: number): Expression {
  const one = new RegExp(`^(?:${reader.source.slice(reader.at, to)})$`, reader.flags.replaceAll(/[gmyd]/g, ''));
  reader.at = to;
  const chars = CHARACTERS.reduce((taken, char, bit) => (one.test(char) ? taken | (1n << BigInt(bit)) : taken), 0n);
  return { kind: 'set', chars };
}
