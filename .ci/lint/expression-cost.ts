import { EVERY, expressionFrom } from './expression-syntax.ts';
import type { CharSet, Expression } from './expression-syntax.ts';

/** A repetition of at most so many is a constant factor; what repeats more often counts as without end. */
const FEW = 64;

/**
 * Why a regular expression can take more than linear time in its text; `null` if it cannot. An expression that is not anchored is tried at
 * each character, as if it began with one more repetition of any character.
 *
 * It is slow if one stretch of text can be read in two ways and the match can still fail after it: two different places of repetitions of
 * which the first can go round, the first can go on to the second, and the second can go round, all on that stretch (polynomial
 * ambiguity of a position automaton).
 *
 * @see Weber and Seidl, On the degree of ambiguity of finite automata, 1991, criterion IDA
 */
export function expressionProblem(source: string, flags: string): string | null {
  const expression = expressionFrom(source, flags);
  const isSticky = flags.includes('y');
  return (
    unreadable(expression, isSticky) ??
    (isAmbiguous(withStart(expression, isSticky))
      ? 'a stretch of text can be read in two ways and still not match'
      : null)
  );
}

/** What the automaton does not express: references, and looks with repetitions that are tried at many places. */
function unreadable(expression: Expression, isSticky: boolean): string | null {
  const seek = (one: Expression, isOnce: boolean): string | null => {
    if (one.kind === 'reference') return 'it refers to a group';
    if (one.kind === 'look' && isEndless(one.part)) {
      if (!isOnce || one.way === 'behind') return 'it looks ahead or behind over any length at each place';
      return isAmbiguous(automatonOf(one.part)) ? 'what it looks ahead for can be read in two ways' : null;
    }
    if (one.kind === 'repeat') return seek(one.part, isOnce && one.most <= 1);
    if (one.kind === 'look') return seek(one.part, isOnce);
    if (one.kind !== 'sequence' && one.kind !== 'choice') return null;
    return one.parts.map((part) => seek(part, isOnce)).find((problem) => problem !== null) ?? null;
  };
  return (
    branchesOf(expression)
      .map((branch) => seek(branch, isSticky || isAnchored(branch)))
      .find((problem) => problem !== null) ?? null
  );
}

const branchesOf = (expression: Expression): readonly Expression[] =>
  expression.kind === 'choice' ? expression.parts.flatMap(branchesOf) : [expression];

function isAnchored(expression: Expression): boolean {
  if (expression.kind === 'start') return true;
  if (expression.kind === 'choice') return expression.parts.every(isAnchored);
  if (expression.kind !== 'sequence') return false;
  const first = expression.parts.find(({ kind }) => kind !== 'look');
  return first !== undefined && isAnchored(first);
}

const isEndless = (expression: Expression): boolean => {
  if (expression.kind === 'repeat') return expression.most > FEW || isEndless(expression.part);
  if (expression.kind === 'sequence' || expression.kind === 'choice') return expression.parts.some(isEndless);
  return expression.kind === 'look' && isEndless(expression.part);
};

/** Branches that are not anchored begin with any text. */
function withStart(expression: Expression, isSticky: boolean): Automaton {
  const anywhere: Expression = { kind: 'repeat', part: { kind: 'set', chars: EVERY }, least: 0, most: Infinity };
  const parts = branchesOf(expression).map((branch): Expression =>
    isSticky || isAnchored(branch) ? branch : { kind: 'sequence', parts: [anywhere, branch] },
  );
  return automatonOf({ kind: 'choice', parts });
}

/** A position automaton: a state for each set of the expression. */
interface Automaton {
  readonly sets: CharSet[];
  /** The states that can follow each state. */
  readonly next: number[][];
  /** States after which the match is certain, so that nothing is tried again. */
  readonly certain: Set<number>;
  /** Whether one step can be taken for a round of two repetitions, one within the other. */
  isNested: boolean;
}

/** A part of an automaton. `sure`: last states behind which nothing can fail any more. */
interface Fragment {
  readonly isEmpty: boolean;
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly sure: readonly number[];
  /** Whether it is passed without a character and without a condition. */
  readonly isSurelyEmpty: boolean;
}

const NOTHING: Fragment = { isEmpty: true, first: [], last: [], sure: [], isSurelyEmpty: true };

function automatonOf(expression: Expression): Automaton {
  const automaton: Automaton = { sets: [], next: [], certain: new Set(), isNested: false };
  for (const state of fragmentOf(automaton, expression).sure) automaton.certain.add(state);
  return automaton;
}

function fragmentOf(automaton: Automaton, expression: Expression): Fragment {
  switch (expression.kind) {
    case 'set': {
      const state = automaton.sets.push(expression.chars) - 1;
      automaton.next.push([]);
      return { isEmpty: false, first: [state], last: [state], sure: [state], isSurelyEmpty: false };
    }
    case 'sequence':
      return expression.parts.reduce(
        (left: Fragment, part) => joined(automaton, left, fragmentOf(automaton, part)),
        NOTHING,
      );
    case 'choice': {
      const parts = expression.parts.map((part) => fragmentOf(automaton, part));
      return {
        isEmpty: parts.some(({ isEmpty }) => isEmpty),
        first: parts.flatMap(({ first }) => first),
        last: parts.flatMap(({ last }) => last),
        sure: parts.flatMap(({ sure }) => sure),
        isSurelyEmpty: parts.some(({ isSurelyEmpty }) => isSurelyEmpty),
      };
    }
    case 'repeat':
      return repetition(automaton, expression);
    case 'start':
    case 'edge':
    case 'look':
    case 'reference':
      return { ...NOTHING, isSurelyEmpty: false };
    default:
      return expression satisfies never;
  }
}

function joined(automaton: Automaton, left: Fragment, right: Fragment): Fragment {
  link(automaton, left.last, right.first);
  return {
    isEmpty: left.isEmpty && right.isEmpty,
    first: left.isEmpty ? [...left.first, ...right.first] : left.first,
    last: right.isEmpty ? [...left.last, ...right.last] : right.last,
    sure: right.isSurelyEmpty ? [...left.sure, ...right.sure] : right.sure,
    isSurelyEmpty: left.isSurelyEmpty && right.isSurelyEmpty,
  };
}

function repetition(automaton: Automaton, { part, least, most }: Expression & { kind: 'repeat' }): Fragment {
  const inner = fragmentOf(automaton, part);
  // A short repetition of a long one is as good as endless: its rounds can share the text in many ways.
  if (most > FEW || (most > 1 && isEndless(part))) link(automaton, inner.last, inner.first);
  return least > 0 ? inner : { ...inner, isEmpty: true, isSurelyEmpty: true };
}

function link(automaton: Automaton, from: readonly number[], to: readonly number[]): void {
  for (const state of from) {
    for (const other of to) {
      const known = automaton.next[state] ?? [];
      if (known.includes(other)) automaton.isNested = true;
      else known.push(other);
    }
  }
}

function isAmbiguous(automaton: Automaton): boolean {
  const { sets, certain, isNested } = automaton;
  if (isNested && certain.size < sets.length) return true;
  const loops = sets.flatMap((_, state) => (reaches(automaton, [state], [state]) ? [state] : []));
  return loops.some((one) =>
    loops.some(
      (other) =>
        one !== other &&
        !certain.has(other) &&
        reaches(automaton, [one], [other]) &&
        reaches(automaton, [one, one, other], [one, other, other]),
    ),
  );
}

/** Whether states can go to others on the same characters, in one step at least. */
function reaches({ sets, next }: Automaton, from: readonly number[], to: readonly number[]): boolean {
  const seen = new Set<string>();
  const wanted = to.join(' ');
  const waiting = [from];
  for (let states = waiting.pop(); states !== undefined; states = waiting.pop()) {
    for (const after of stepsOf(states.map((state) => next[state] ?? []))) {
      if (after.reduce((chars, state) => chars & (sets[state] ?? 0n), EVERY) === 0n) continue;
      const key = after.join(' ');
      if (key === wanted) return true;
      if (seen.has(key)) continue;
      seen.add(key);
      waiting.push(after);
    }
  }
  return false;
}

const stepsOf = (choices: readonly (readonly number[])[]): readonly (readonly number[])[] =>
  choices.reduce<readonly (readonly number[])[]>(
    (rows, choice) => rows.flatMap((row) => choice.map((state) => [...row, state])),
    [[]],
  );
