import type { CedarToken } from '../cedar-text.ts';

/**
 * Deepest accepted nesting. Measured on cedar-wasm 4.13: it traps beyond 100 nested records, 120 sets or calls, 130
 * parentheses, and during evaluation beyond 350 chained operators, accesses or clauses. The limit is about half of each.
 */
export const MAX_POLICY_DEPTH = 150;

/** Stack cost of a bracket, in chained operators. */
const BRACKET_COST = 3;
type Kind = 'opening' | 'closing' | 'separator' | 'conditional' | 'clause' | 'chained' | 'and' | 'or';
const KINDS: ReadonlyMap<string, Kind> = new Map(
  (
    [
      ['opening', '( [ {'],
      ['closing', ') ] }'],
      ['separator', ', ; :'],
      ['conditional', 'if then else'],
      ['clause', 'when unless'],
      ['chained', '. + - * ! < > <= >= == != in has like is'],
      ['and', '&&'],
      ['or', '||'],
    ] as const
  ).flatMap(([kind, words]) => words.split(' ').map((word) => [word, kind] as const)),
);

const LONGEST = Math.max(...Array.from(KINDS.keys(), (word) => word.length));

/** Depth counters within one bracket. `a || b && c.d` is as deep as its deepest operand plus the length of each chain. */
interface Frame {
  /** Deepest element so far; separators end an element. */
  element: number;
  /** Links of the conditional chain of the current element. */
  conditional: number;
  /** Deepest part of the conditional chain. */
  part: number;
  or: number;
  /** Deepest operand of `||`. */
  disjunct: number;
  and: number;
  /** Deepest operand of `&&`. */
  conjunct: number;
  chained: number;
  /** Deepest bracket within the current operand. */
  inner: number;
}

const emptyFrame = (): Frame => ({
  element: 0,
  conditional: 0,
  part: 0,
  or: 0,
  disjunct: 0,
  and: 0,
  conjunct: 0,
  chained: 0,
  inner: 0,
});

/**
 * An upper bound of the depth of a policy's syntax tree, computed from its tokens, so that no text that could trap the engine
 * reaches it. Linear in the number of tokens.
 */
export function policyDepth(tokens: readonly CedarToken[]): number {
  const outer: Frame[] = [];
  let frame = emptyFrame();
  let clauses = 0;
  for (const { text } of tokens) {
    // Most tokens are names and strings.
    const kind = text.length > LONGEST ? undefined : KINDS.get(text);
    if (kind === undefined) continue;
    if (kind === 'opening') {
      outer.push(frame);
      frame = emptyFrame();
    } else if (kind === 'closing') {
      const within = BRACKET_COST + closeElement(frame);
      frame = outer.pop() ?? emptyFrame();
      frame.inner = Math.max(frame.inner, within);
      // A bracket after an operand (a call, an index) lengthens its chain by 1.
      frame.chained += 1;
    } else if (outer.length === 0 && kind === 'clause') {
      clauses += 1;
      closeElement(frame);
    } else count(frame, kind);
  }
  // Unclosed brackets: the parser refuses them, but only after descending.
  const unclosed = outer.reduceRight((within, open) => {
    open.inner = Math.max(open.inner, within);
    return BRACKET_COST + closeElement(open);
  }, closeElement(frame));
  return clauses + unclosed;
}

function count(frame: Frame, kind: Kind): void {
  if (kind === 'and') {
    closeConjunct(frame);
    frame.and += 1;
  } else if (kind === 'or') {
    closeDisjunct(frame);
    frame.or += 1;
  } else if (kind === 'conditional') {
    closePart(frame);
    frame.conditional += 1;
  } else if (kind === 'separator') closeElement(frame);
  else if (kind === 'chained') frame.chained += 1;
}

function closeConjunct(frame: Frame): void {
  frame.conjunct = Math.max(frame.conjunct, frame.chained + frame.inner);
  frame.chained = 0;
  frame.inner = 0;
}

function closeDisjunct(frame: Frame): void {
  closeConjunct(frame);
  frame.disjunct = Math.max(frame.disjunct, frame.and + frame.conjunct);
  frame.and = 0;
  frame.conjunct = 0;
}

function closePart(frame: Frame): void {
  closeDisjunct(frame);
  frame.part = Math.max(frame.part, frame.or + frame.disjunct);
  frame.or = 0;
  frame.disjunct = 0;
}

function closeElement(frame: Frame): number {
  closePart(frame);
  frame.element = Math.max(frame.element, frame.conditional + frame.part);
  frame.conditional = 0;
  frame.part = 0;
  return frame.element;
}
