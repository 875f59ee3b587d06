import { closingBracket, split } from './brackets.ts';
import type { Tokens } from './brackets.ts';
import { cedarTokens } from '../../../core/policy/cedar-text.ts';

/** A piece of a policy, as written. */
export interface PolicyPiece {
  readonly text: string;
  /** Its start in the policy's text, in UTF-16 code units. */
  readonly offset: number;
}

/** A `when` or `unless` clause. */
export interface PolicyClause extends PolicyPiece {
  readonly kind: 'when' | 'unless';
  /** The tokens between its braces. */
  readonly body: Tokens;
  /**
   * Its terms in order, such that a policy with one clause per term decides the same: the operands of `&&` in a `when`, those of
   * `||` in an `unless`; otherwise the whole body.
   */
  readonly terms: readonly PolicyPiece[];
}

/** A policy split into the pieces that decide whether it matches. */
export interface PolicyParts {
  /** `permit` or `forbid`, after the annotations. */
  readonly effect: PolicyPiece;
  readonly principal: PolicyPiece;
  readonly action: PolicyPiece;
  readonly resource: PolicyPiece;
  readonly clauses: readonly PolicyClause[];
}

/** Most terms per clause; a clause with more stays whole. */
const MAX_TERMS = 64;

/**
 * Splits a policy. It only cuts, so every piece is the author's text. `null` for text that is not a policy with the three parts
 * of a scope, which a proved policy always has.
 */
export function policyPartsOf(text: string): PolicyParts | null {
  const tokens = cedarTokens(text);
  const effect = endOfAnnotations(tokens);
  const end = closingBracket(tokens, effect + 1);
  const scope = split(tokens.slice(effect + 2, end), ',').filter((part) => part.length > 0);
  const [principal, action, resource, ...more] = scope.map((part) => pieceOf(text, part));
  if (principal === undefined || action === undefined || resource === undefined || more.length > 0) return null;
  const clauses: PolicyClause[] = [];
  for (let at = end + 1; ;) {
    const kind = tokens[at]?.text;
    if (kind !== 'when' && kind !== 'unless')
      return { effect: pieceOf(text, tokens.slice(effect, effect + 1)), principal, action, resource, clauses };
    const close = closingBracket(tokens, at + 1);
    const body = tokens.slice(at + 2, close);
    const terms = termsOf(body, kind === 'when' ? '&&' : '||');
    const pieces = terms.map((term) => pieceOf(text, term));
    clauses.push({ kind, ...pieceOf(text, tokens.slice(at, close + 1)), body, terms: pieces });
    at = close + 1;
  }
}

function endOfAnnotations(tokens: Tokens): number {
  let at = 0;
  while (tokens[at]?.text === '@') at = tokens[at + 2]?.text === '(' ? closingBracket(tokens, at + 2) + 1 : at + 2;
  return at;
}

function termsOf(body: Tokens, joint: '&&' | '||'): readonly Tokens[] {
  const whole = closingBracket(body, 0) === body.length - 1 && body[0]?.text === '(' ? body.slice(1, -1) : body;
  // Precedence: `&&`, then `||`, then `if … then … else`, whose last part extends to the end.
  const isJoinedOtherwise = (joint === '&&' && split(whole, '||').length > 1) || split(whole, 'if').length > 1;
  const parts = isJoinedOtherwise ? [whole] : split(whole, joint);
  if (parts.length === 1) return whole.length < body.length ? termsOf(whole, joint) : [body];
  const terms = parts.flatMap((part) => termsOf(part, joint));
  return terms.length > MAX_TERMS ? [body] : terms;
}

function pieceOf(text: string, tokens: Tokens): PolicyPiece {
  const start = tokens[0]?.start ?? 0;
  return { text: text.slice(start, tokens.at(-1)?.end ?? start), offset: start };
}
