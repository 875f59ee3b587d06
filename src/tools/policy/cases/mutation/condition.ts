import { closingBracket, depthOf, split } from '../../explain/brackets.ts';
import type { Tokens } from '../../explain/brackets.ts';

/**
 * The structure of a condition down to its comparisons and tests; each part has its own tokens, without surrounding brackets.
 */
export type Condition = { readonly tokens: Tokens } & (
  | { readonly kind: 'all' | 'any' | 'conditional'; readonly parts: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  /** A comparison, test or value; `within` are the expressions in its brackets. */
  | { readonly kind: 'plain'; readonly within: readonly Bracketed[] }
);

/** The content of a pair of brackets. */
export interface Bracketed {
  /** `[` is a set or an index, `(` method arguments or a group, `{` a record. */
  readonly bracket: string;
  /** Separated by its commas. */
  readonly items: readonly Condition[];
}

const RELATIONS = new Set(['==', '!=', '<', '<=', '>', '>=', 'in', 'has', 'like', 'is']);

/** Splits an expression that parses. It only cuts, so that every part is the author's text. */
export function conditionIn(tokens: Tokens): Condition {
  const [first] = tokens;
  if (first?.text === '(' && closingBracket(tokens, 0) === tokens.length - 1) return conditionIn(tokens.slice(1, -1));
  if (first?.text === 'if') return { kind: 'conditional', tokens, parts: conditionalParts(tokens).map(conditionIn) };
  // An `if` further on can only be inside of brackets.
  for (const [kind, joint] of [['any', '||'] as const, ['all', '&&'] as const]) {
    const parts = split(tokens, joint);
    if (parts.length > 1) return { kind, tokens, parts: parts.map(conditionIn) };
  }
  const isNegated = first?.text === '!' && !outside(tokens).some(({ text }) => RELATIONS.has(text));
  if (isNegated) return { kind: 'not', tokens, of: conditionIn(tokens.slice(1)) };
  return { kind: 'plain', tokens, within: bracketsIn(tokens) };
}

/** The tokens outside of brackets. */
export function outside(tokens: Tokens): Tokens {
  let depth = 0;
  return tokens.filter((token) => {
    const step = depthOf(token);
    depth += step;
    return depth === 0 && step === 0;
  });
}

/** The parts of `if`, `then` and `else`; nested parts have their own keywords. */
function conditionalParts(tokens: Tokens): readonly Tokens[] {
  let nested = 0;
  const cuts = outside(tokens).filter(({ text }) => {
    if (text === 'if') nested += 1;
    const isOwn = nested === 1 && (text === 'then' || text === 'else');
    if (text === 'else') nested -= 1;
    return isOwn;
  });
  const [then, otherwise] = cuts.map((cut) => tokens.indexOf(cut));
  if (then === undefined || otherwise === undefined) return [];
  return [tokens.slice(1, then), tokens.slice(then + 1, otherwise), tokens.slice(otherwise + 1)];
}

function bracketsIn(tokens: Tokens): readonly Bracketed[] {
  const found: Bracketed[] = [];
  for (let at = 0; at < tokens.length; at += 1) {
    const open = tokens[at];
    if (open === undefined || depthOf(open) !== 1) continue;
    const close = closingBracket(tokens, at);
    const items = split(tokens.slice(at + 1, close), ',').filter((item) => item.length > 0);
    const values = open.text === '{' ? items.map(valueOf) : items;
    found.push({ bracket: open.text, items: values.map(conditionIn) });
    at = close;
  }
  return found;
}

/** The value of a record member, after its name. */
const valueOf = (member: Tokens): Tokens => member.slice(member.findIndex(({ text }) => text === ':') + 1);
