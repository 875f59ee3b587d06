import { describe, expect, it } from '@jest/globals';
import { cedarTokens } from '../../../../../src/core/policy/cedar-text.ts';
import { conditionIn } from '../../../../../src/tools/policy/cases/mutation/condition.ts';
import type { Condition } from '../../../../../src/tools/policy/cases/mutation/condition.ts';

/** A condition as nested text: `all(a, any(b, c))`. */
function shape(condition: Condition, text: string): string {
  const of = (parts: readonly Condition[]): string => parts.map((part) => shape(part, text)).join(', ');
  if (condition.kind === 'not') return `not(${shape(condition.of, text)})`;
  if (condition.kind !== 'plain') return `${condition.kind}(${of(condition.parts)})`;
  const { tokens, within } = condition;
  const own = text.slice(tokens[0]?.start, tokens.at(-1)?.end);
  return `${own}${within.map(({ bracket, items }) => ` ${bracket}${of(items)}`).join('')}`;
}

describe('conditionIn', () => {
  const rows: readonly (readonly [string, string, string])[] = [
    ['what is not joined', 'a.b == "x"', 'a.b == "x"'],
    ['what is joined, by how close it binds', 'a && b || c && d', 'any(all(a, b), all(c, d))'],
    ['brackets around a group', 'a && (b || c)', 'all(a, any(b, c))'],
    ['brackets around everything', '((a && b))', 'all(a, b)'],
    ['a negation of a group', '!(a && b) && c', 'all(not(all(a, b)), c)'],
    ['a negation of a comparison in brackets', '!(a == b)', 'not(a == b)'],
    ['a negation on one side of a comparison', '!a == b', '!a == b'],
    ['a double negation', '!!a', 'not(not(a))'],
    ['a conditional', 'if a && b then c else d || e', 'conditional(all(a, b), c, any(d, e))'],
    [
      'a conditional in a conditional',
      'if a then if b then c else d else e',
      'conditional(a, conditional(b, c, d), e)',
    ],
    ['joints in text', 'a == "b && c" && d', 'all(a == "b && c", d)'],
    [
      'what is within a set and arguments',
      '[a, b && c].contains(d || e)',
      '[a, b && c].contains(d || e) [a, all(b, c) (any(d, e)',
    ],
    [
      'what is within a record',
      'a.contains({ x: b && c, y: d })',
      'a.contains({ x: b && c, y: d }) ({ x: b && c, y: d } {all(b, c), d',
    ],
  ];
  it.each(rows)('splits %s', (_name, text, expected) => {
    expect(shape(conditionIn(cedarTokens(text)), text)).toBe(expected);
  });
});
