/** A word, string or sign of Cedar text, with its place in UTF-16 code units. */
export interface CedarToken {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

// In order: blanks and comments (skipped), strings, words, two-letter signs, any other single character.
const TOKEN = /(?:\s|\/\/[^\n]*)+|"(?:[^"\\]|\\[^])*"?|[A-Za-z0-9_]+|&&|\|\||[=!<>]=|::|[^]/gu;
const SKIPPED = /^(?:\s|\/\/)/;

/** The tokens of a policy or schema text. Total: what is no Cedar comes out as signs, for the parser to refuse. */
export function cedarTokens(text: string): readonly CedarToken[] {
  const tokens: CedarToken[] = [];
  for (const match of text.matchAll(TOKEN)) {
    if (SKIPPED.test(match[0])) continue;
    tokens.push({ text: match[0], start: match.index, end: match.index + match[0].length });
  }
  return tokens;
}

/** The comments of a text, in order, without what is blank at their end. */
export const cedarComments = (text: string): readonly string[] =>
  Array.from(text.matchAll(TOKEN), ([skipped]) => skipped)
    .filter((skipped) => SKIPPED.test(skipped))
    .flatMap((skipped) => skipped.split('\n').map((line) => line.trim()))
    .filter((line) => line !== '');

/** One policy of a file: from its first token to its `;`. */
export interface CedarStatement {
  readonly text: string;
  readonly start: number;
  readonly tokens: readonly CedarToken[];
}

/** The statements of a policy file, in order; a last one may lack its `;`. */
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

/** Text as a Cedar string literal, also as the name of an attribute that is no identifier. */
export const cedarString = (text: string): string =>
  `"${text.replaceAll(/["\\\p{C}\p{Z}]/gu, (character) => (character === ' ' ? ' ' : escaped(character)))}"`;

const escaped = (character: string): string =>
  character === '"' || character === '\\' ? `\\${character}` : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;

/** The offset in UTF-16 code units of a byte offset, which is what Cedar counts in. */
export const offsetOfByte = (text: string, byte: number): number =>
  Buffer.from(text).subarray(0, byte).toString().length;
