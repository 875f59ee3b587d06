/** A token of Cedar text: a word, string or operator, with its place in UTF-16 code units. */
export interface CedarToken {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** White space and comments. */
// oxlint-disable-next-line remit/linear-expression -- a round that fails ends the repetition, and nothing can fail after it
const SKIPPED = /(?:\s|\/\/[^\n]*)*/uy;
// In order: strings, words, two-letter signs, any other single character.
const TOKEN = /"(?:[^"\\]|\\[^])*"?|[A-Za-z0-9_]+|&&|\|\||[=!<>]=|::|[^]/uy;

/** The end of a sticky pattern's match at an offset. Allocates no match object: a large folder has a million matches. */
function endOfMatch(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

/** The tokens of a policy or schema text. Total: text that is not Cedar becomes single characters, which the parser refuses. */
export function cedarTokens(text: string): readonly CedarToken[] {
  const tokens: CedarToken[] = [];
  for (let start = endOfMatch(SKIPPED, text, 0); start < text.length;) {
    const end = endOfMatch(TOKEN, text, start);
    tokens.push({ text: text.slice(start, end), start, end });
    start = endOfMatch(SKIPPED, text, end);
  }
  return tokens;
}

/** The comments of a text, in order, without trailing white space. */
export function cedarComments(text: string): readonly string[] {
  const tokens = cedarTokens(text);
  return [...tokens, { start: text.length }]
    .map(({ start }, at) => text.slice(tokens[at - 1]?.end ?? 0, start))
    .flatMap((skipped) => skipped.split('\n').map((line) => line.trim()))
    .filter((line) => line !== '');
}

/** One policy of a file, from its first token to its `;`. */
export interface CedarStatement {
  readonly text: string;
  readonly start: number;
  readonly tokens: readonly CedarToken[];
}

/** The statements of a policy file in order; the last statement may lack its `;`. */
export function cedarStatements(text: string): readonly CedarStatement[] {
  const statements: CedarStatement[] = [];
  let current: CedarToken[] = [];
  const close = (): void => {
    const [first] = current;
    const last = current.at(-1);
    if (first === undefined || last === undefined) return;
    statements.push({ text: text.slice(first.start, last.end), start: first.start, tokens: current });
    current = [];
  };
  for (const token of cedarTokens(text)) {
    current.push(token);
    if (token.text === ';') close();
  }
  close();
  return statements;
}

/** Text as a Cedar string literal, also for attribute names that are not identifiers. */
export const cedarString = (text: string): string =>
  `"${text.replaceAll(/["\\\p{C}\p{Z}]/gu, (character) => (character === ' ' ? ' ' : escaped(character)))}"`;

const escaped = (character: string): string =>
  character === '"' || character === '\\' ? `\\${character}` : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;

/** Converts a byte offset, which Cedar reports, to an offset in UTF-16 code units. */
export const offsetOfByte = (text: string, byte: number): number =>
  Buffer.from(text).subarray(0, byte).toString().length;
