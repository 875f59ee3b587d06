import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { freshCedar } from '../../../../src/core/policy/cedar.ts';
import { policyPartsOf } from '../../../../src/tools/policy/explain/policy-parts.ts';

const HEAD = '@id("a") @description("permit (x)")\npermit (principal, action, resource)';

const termsOf = (clauses: string): readonly (readonly string[])[] =>
  policyPartsOf(`${HEAD} ${clauses};`)?.clauses.map(({ kind, terms }) =>
    Array.of<string>(kind).concat(terms.map(({ text }) => text)),
  ) ?? [];

const cedar = freshCedar();

const decides = (policy: string, context: Record<string, boolean>): string => {
  const uid = { type: 'A', id: 'a' };
  cedar.preparsePolicySet('p', { staticPolicies: { p: policy } });
  const call = { principal: uid, action: uid, resource: uid, entities: [], context, preparsedPolicySetId: 'p' };
  const answer = cedar.statefulIsAuthorized(call);
  if (answer.type === 'failure') throw new Error(answer.errors[0]?.message);
  return `${answer.response.decision} ${answer.response.diagnostics.errors.length}`;
};

describe('policyPartsOf', () => {
  const rows: readonly (readonly [string, string, readonly (readonly string[])[]])[] = [
    ['no clause', '', []],
    ['what `&&` joins in a when', 'when { a && b && !c }', [['when', 'a', 'b', '!c']]],
    ['nothing that `||` joins in a when', 'when { a && b || c }', [['when', 'a && b || c']]],
    ['what `||` joins in an unless', 'unless { a && b || c }', [['unless', 'a && b', 'c']]],
    ['nothing that `&&` joins in an unless', 'unless { a && b }', [['unless', 'a && b']]],
    [
      'joints in brackets',
      'when { (a && (b && c)) && [d && e].contains(f) }',
      [['when', 'a', 'b', 'c', '[d && e].contains(f)']],
    ],
    ['an alternative in brackets as one', 'when { (a || b) && c }', [['when', 'a || b', 'c']]],
    ['a conditional whole', 'when { if a then b else c && d }', [['when', 'if a then b else c && d']]],
    ['a conditional in brackets as one', 'when { (if a then b else c) && d }', [['when', 'if a then b else c', 'd']]],
    ['brackets in text', 'when { a == "&& } (" && b }', [['when', 'a == "&& } ("', 'b']]],
    [
      'every clause in its order',
      'when { a } unless { b }\nwhen { c }',
      [
        ['when', 'a'],
        ['unless', 'b'],
        ['when', 'c'],
      ],
    ],
    ['a comment within a term', 'when { a // && b\n == c }', [['when', 'a // && b\n == c']]],
  ];
  it.each(rows)('takes %s', (_name, clauses, expected) => {
    expect(termsOf(clauses)).toEqual(expected);
  });

  it('splits the scope at its own commas, with offsets', () => {
    const text =
      '@x @id("a")\nforbid (\n  principal == A::"b",\n  action in [B::"c", B::"d"],\n  resource is C in D::"e",\n);';
    const parts = policyPartsOf(text);
    expect(parts).toMatchObject({
      principal: { text: 'principal == A::"b"' },
      action: { text: 'action in [B::"c", B::"d"]' },
      resource: { text: 'resource is C in D::"e"' },
      clauses: [],
    });
    for (const piece of [parts?.principal, parts?.action, parts?.resource]) {
      expect(text.slice(piece?.offset).startsWith(piece?.text ?? '-')).toBe(true);
    }
  });

  it.each(['', 'permit', 'permit (principal, action);', 'permit (a, b, c, d);', '@id("a")'])(
    'returns null for `%s`',
    (text) => {
      expect(policyPartsOf(text)).toBeNull();
    },
  );

  it('keeps more than 64 terms together', () => {
    const many = Array.from({ length: 65 }, (_, index) => `context.a${index}`).join(' && ');
    expect(termsOf(`when { ${many} }`)).toEqual([['when', many]]);
  });

  const atom = fc.constantFrom('context.a', 'context.b', 'context.c', '!context.a', 'context.b == context.c');
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { maxDepth: 4 },
      atom,
      fc.tuple(tie('expression'), fc.constantFrom('&&', '||'), tie('expression')).map((parts) => parts.join(' ')),
      tie('expression').map((inner) => `(${inner})`),
      fc
        .tuple(tie('expression'), tie('expression'), tie('expression'))
        .map(([a, b, c]) => `(if ${a} then ${b} else ${c})`),
    ),
  }));

  it('splits clauses so that a policy with one clause per term decides the same', () => {
    const context = fc.record({ a: fc.boolean(), b: fc.boolean(), c: fc.boolean() }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.constantFrom('when', 'unless'), expression, context, (kind, body, given) => {
        const whole = `permit (principal, action, resource) ${kind} { ${body} };`;
        const [clause] = policyPartsOf(whole)?.clauses ?? [];
        const cut = clause?.terms.map(({ text }) => `${kind} { ${text} }`).join(' ') ?? '';
        const known = Object.fromEntries(
          Object.entries(given).flatMap(([name, is]) => (is === undefined ? [] : [[name, is]])),
        );
        expect(decides(`permit (principal, action, resource) ${cut};`, known)).toBe(decides(whole, known));
      }),
      { numRuns: 300 },
    );
  });
});
