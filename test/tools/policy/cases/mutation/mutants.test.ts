import { describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../../../src/core/policy/cedar.ts';
import { policiesOf, placed } from '../../../../../src/core/policy/loading/policy-file.ts';
import { policyPartsOf } from '../../../../../src/tools/policy/explain/policy-parts.ts';
import { mutantsOf } from '../../../../../src/tools/policy/cases/mutation/mutants.ts';
import type { Mutant } from '../../../../../src/tools/policy/cases/mutation/mutants.ts';

const cedar = freshCedar();

function mutants(text: string): readonly Mutant[] {
  const { policies, findings } = policiesOf(placed({ name: 'a.cedar', file: 'a.cedar', text }), cedar);
  const [policy] = policies;
  const parts = policyPartsOf(policy?.text ?? '');
  if (policy === undefined || parts === null) throw new Error(JSON.stringify(findings));
  return mutantsOf({ policy, parts });
}

const HEAD = 'permit (principal, action, resource)';

/** `$` is short for the context. */
const written = (text: string): string => text.replaceAll('$', 'context.');

/** The clause of each mutant. */
const clauses = (clause: string): readonly string[] =>
  mutants(`@id("a")\n${HEAD} ${clause};`).flatMap(({ text }) =>
    text === null ? [] : [text.slice(HEAD.length, -1).trim()],
  );

const idsOf = (text: string): readonly string[] =>
  mutants(text)
    .slice(1)
    .map(({ id }) => id);

describe('mutantsOf', () => {
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    [
      'each condition, and the kind of the clause',
      'when { $b && $c }',
      ['unless { $b && $c }', 'when { true && $c }', 'when { $b && true }'],
    ],
    [
      'each alternative, and the clause, which no alternative stands for',
      'when { $b || $c }',
      ['', 'unless { $b || $c }', 'when { false || $c }', 'when { $b || false }'],
    ],
    [
      'an unless, the other way round',
      'unless { $b || $c }',
      ['when { $b || $c }', 'unless { false || $c }', 'unless { $b || false }'],
    ],
    [
      'a group in brackets, and what is in it',
      'when { $b && ($c || $d) }',
      [
        'unless { $b && ($c || $d) }',
        'when { true && ($c || $d) }',
        'when { $b && (true) }',
        'when { $b && (false || $d) }',
        'when { $b && ($c || false) }',
      ],
    ],
    ['a bound, and both sides of it', 'when { $n < 5 }', ['', 'unless { $n < 5 }', 'when { $n <= 5 }']],
    ['an equality', 'when { $a == $b }', ['', 'unless { $a == $b }', 'when { $a != $b }']],
    ['a negation', 'when { !$b }', ['', 'unless { !$b }', 'when { $b }']],
    [
      'a method of decimals',
      'when { $d.lessThan(decimal("1.0")) }',
      ['', 'unless { $d.lessThan(decimal("1.0")) }', 'when { $d.lessThanOrEqual(decimal("1.0")) }'],
    ],
    [
      'each member of a list, but not the last member left',
      'when { [1, 2, 3].contains($n) && [1].contains($n) }',
      [
        'unless { [1, 2, 3].contains($n) && [1].contains($n) }',
        'when { true && [1].contains($n) }',
        'when { [2, 3].contains($n) && [1].contains($n) }',
        'when { [1, 3].contains($n) && [1].contains($n) }',
        'when { [1, 2].contains($n) && [1].contains($n) }',
        'when { [1, 2, 3].contains($n) && true }',
      ],
    ],
    [
      'a conditional',
      'when { if $b then $c else $d }',
      ['', 'unless { if $b then $c else $d }', 'when { if true then $c else $d }', 'when { if false then $c else $d }'],
    ],
  ];
  it.each(rows)('changes %s', (_name, clause, expected) => {
    expect(clauses(written(clause)).toSorted()).toEqual(expected.map(written).toSorted());
  });

  it('removes each part of the scope, each action of a list, and the policy', () => {
    const text =
      '@id("a")\nforbid (principal is A in B::"b", action in [Action::"c", Action::"d"], resource == C::"e");';
    expect(mutants(text).map((mutant) => mutant.text)).toEqual([
      null,
      'forbid (principal, action in [Action::"c", Action::"d"], resource == C::"e");',
      'forbid (principal is A , action in [Action::"c", Action::"d"], resource == C::"e");',
      'forbid (principal is A in B::"b", action, resource == C::"e");',
      'forbid (principal is A in B::"b", action in [Action::"d"], resource == C::"e");',
      'forbid (principal is A in B::"b", action in [Action::"c"], resource == C::"e");',
      'forbid (principal is A in B::"b", action in [Action::"c", Action::"d"], resource);',
    ]);
  });

  it('makes policies that parse and have different texts', () => {
    const text = `@id("a")\n${HEAD}\nwhen { context.a && !(context.b || [1, 2].contains(context.n + 1)) }\nunless { if context.c then context.n >= 2 else context.d like "x*" };`;
    const all = mutants(text).flatMap((mutant) => (mutant.text === null ? [] : [mutant.text]));
    expect(all.filter((mutant) => cedar.policyToJson(mutant).type === 'failure')).toEqual([]);
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBeGreaterThan(10);
  });

  it('gives a mutant an id that depends on its changed text only', () => {
    const plain = idsOf(`@id("a")\n${HEAD} when { context.n < 5 && context.b };`);
    const moved = idsOf(`// new\n@id("a") @reason("r")\n${HEAD}\nwhen {\n  context.n   < 5\n  && context.b };`);
    expect(moved).toEqual(plain);
    expect(plain.every((id) => /^mutant-[0-9a-f]{8}$/.test(id))).toBe(true);
    const other = idsOf(`@id("a")\n${HEAD} when { context.n < 6 && context.b };`);
    expect(other.filter((id) => plain.includes(id))).toHaveLength(1);
  });
});
