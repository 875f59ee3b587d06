import type { CedarToken } from '../../../core/policy/cedar-text.ts';

/** A run of tokens. */
export type Tokens = readonly CedarToken[];

const OPENING = new Set(['(', '[', '{']);
const CLOSING = new Set([')', ']', '}']);

/** Index of the bracket that closes the bracket at `open`. If no bracket does, the number of tokens. */
export function closingBracket(tokens: Tokens, open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at += 1) {
    depth += depthOf(tokens[at]);
    if (depth === 0) return at;
  }
  return tokens.length;
}

/** 1 for an opening bracket, -1 for a closing bracket, 0 for any other token. */
export const depthOf = (token: CedarToken | undefined): number =>
  token === undefined || token.text.length > 1 ? 0 : Number(OPENING.has(token.text)) - Number(CLOSING.has(token.text));

/** Splits tokens at separators outside of brackets. */
export function split(tokens: Tokens, separator: string): readonly Tokens[] {
  const parts: CedarToken[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    depth += depthOf(token);
    if (depth === 0 && token.text === separator) parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}
