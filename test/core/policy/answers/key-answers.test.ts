import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { freshCedar } from '../../../../src/core/policy/cedar.ts';
import { keyFunction } from '../../../../src/core/policy/answers/key.ts';
import type { Keyed } from '../../../../src/core/policy/answers/key.ts';
import { readsAsLines } from '../../../../src/core/policy/answers/key-reads.ts';
import { trimmerFor } from '../../../../src/core/policy/answers/trim-question.ts';
import type { TrimmedQuestion } from '../../../../src/core/policy/answers/trim-question.ts';
import { readsTogether } from '../../../../src/core/policy/answers/reads.ts';
import { datetime, decimal, entity, question, user } from './keyed.ts';
import { policyFrom } from '../policies.ts';
import { thoroughly } from '../../../thoroughly.ts';

const RUNS = thoroughly(150, 40);

describe('keyFunction over random policies', () => {
  const values = {
    n: [undefined, 4, 5, 6, 7, '5', true],
    s: [undefined, 'x', 'y', '', 5],
    r: [undefined, { x: 1 }, { x: 1, y: 'a' }, { x: 2 }, { x: { z: 1 } }, 'r'],
    now: [undefined, ...['2025-06-01', '2026-01-01', '2026-01-01T00:00:01Z', '2026-06-01T10:00:00Z'].map(datetime), 3],
    d: [undefined, ...['1.4', '1.5', '1.50', '-2.0'].map(decimal), 2],
    o: [undefined, entity('alice'), entity('bob'), entity('gone'), { type: 'x' }],
    t: [undefined, ['a'], ['b', 'a'], ['a', 'b'], [], 'a'],
    u: [undefined, 1, 2, { v: 1 }],
  };
  const context = fc.record(
    Object.fromEntries(Object.entries(values).map(([name, of]) => [name, fc.constantFrom<unknown>(...of)])),
  );
  const atoms = [
    'context has n',
    'context has r.x',
    'context has r.x.z',
    'context has o.name',
    'context has u',
    'context.n > 5',
    'context.n == 5',
    '6 <= context.n',
    'context.n != 4',
    'context.n + 1 > 6',
    'context.n < context.r.x',
    'context.s == "x"',
    'context.s like "*x*"',
    'context.s == context.r.y',
    'context.r == {x: 1}',
    'context.r.x == 1',
    'context.now < datetime("2026-01-01")',
    'context.now == datetime("2026-01-01")',
    'context.now.toTime() > duration("9h")',
    'context.d.lessThan(decimal("1.5"))',
    'context.d == decimal("1.5")',
    'context.d.greaterThanOrEqual(decimal("-2.0"))',
    'context.o == User::"alice"',
    'context.o in Group::"payers"',
    'context.o.name == "Alice"',
    'context.o is User',
    'context.o is User in Group::"payers"',
    'context.o.hasTag("k")',
    'context.o.getTag(context.s) == "v"',
    'principal in Group::"payers"',
    'principal.name == "Alice"',
    'principal in context.o',
    'context.o.boss.name == "Bob"',
    'context.t.contains("a")',
    'context.t.containsAll(["a", "b"])',
    'context.t.isEmpty()',
    '[context.n].contains(5)',
    '{a: context.n, b: context.r}.b.x == 1',
    '(if context has n then context.o else principal).name == "Bob"',
    '(if context has s then context.n else 7) > 6',
    '{a: context.r} has a.y',
    'User::"bob".name == context.s',
  ];
  const condition = fc.letrec<{ all: string }>((tie) => ({
    all: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.constantFrom(...atoms),
      fc.tuple(tie('all'), tie('all')).map(([left, right]) => `(${left}) && (${right})`),
      fc.tuple(tie('all'), tie('all')).map(([left, right]) => `(${left}) || (${right})`),
      tie('all').map((one) => `!(${one})`),
      fc.tuple(tie('all'), tie('all'), tie('all')).map(([one, yes, no]) => `if ${one} then ${yes} else ${no}`),
    ),
  })).all;
  const entities = [
    {
      uid: user('alice'),
      attrs: { name: 'Alice', boss: entity('bob') },
      parents: [{ type: 'Group', id: 'payers' }],
      tags: { x: 'v', k: 'w' },
    },
    { uid: user('bob'), attrs: { name: 'Bob' }, parents: [], tags: { y: 'v' } },
  ];
  const cedar = freshCedar();
  const answerTo = (asked: Keyed, projected: TrimmedQuestion = { context: asked.context, entities }): string => {
    const { principal, action, resource } = asked;
    const call = {
      principal,
      action,
      resource,
      context: projected.context as never,
      preparsedPolicySetId: 'p',
      entities: projected.entities as never,
    };
    const answer = cedar.statefulIsAuthorized(call);
    if (answer.type === 'failure') return 'failure';
    const { decision, diagnostics } = answer.response;
    return JSON.stringify([
      decision,
      diagnostics.reason.toSorted(),
      diagnostics.errors.map((one) => one.policyId).sort(),
    ]);
  };

  it('gives equal keys only to questions with equal answers, and ignores unread values', () => {
    let equal = 0;
    let projected = 0;
    let allowed = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('permit', 'forbid'), condition), { minLength: 1, maxLength: 2 }),
        fc.array(fc.tuple(context, fc.constantFrom('alice', 'bob')), { minLength: 6, maxLength: 6 }),
        (texts, asks) => {
          const policies = texts.map(([effect, body], index) =>
            policyFrom(`p${index}`, `${effect} (principal, action, resource) when { ${body} };`),
          );
          const staticPolicies = Object.fromEntries(policies.map(({ id, text }) => [id, text]));
          expect(cedar.preparsePolicySet('p', { staticPolicies }).type).toBe('success');
          const reads = readsTogether(policies.map((policy) => policy.reads));
          const keyOf = keyFunction(reads, { generation: 'g', slice: '0' });
          const project = trimmerFor(reads);
          const answers = new Map<string, string>();
          // Each question, and variants that differ in one value.
          const questions = asks.flatMap(([given, who]) => [
            question(given, { principal: user(who) }),
            ...Object.entries(values).flatMap(([name, of]) =>
              of.slice(0, 4).map((value) => question({ ...given, [name]: value }, { principal: user(who) })),
            ),
          ]);
          for (const asked of questions) {
            const key = keyOf(asked)?.key;
            if (key === undefined) throw new Error('a key');
            const answer = answerTo(asked);
            if (answer === 'failure') continue;
            const before = answers.get(key);
            if (before !== undefined) equal += 1;
            if (answer.startsWith('["allow"')) allowed += 1;
            expect(answer).toBe(before ?? answer);
            answers.set(key, answer);
            const less = project(asked);
            if (less === null) continue;
            projected += 1;
            expect(keyOf({ ...asked, context: less.context })?.key).toBe(key);
            expect(answerTo(asked, less)).toBe(answer);
          }
        },
      ),
      { numRuns: RUNS },
    );
    // Without enough equal keys the test would prove nothing.
    expect(equal).toBeGreaterThan(30 * RUNS);
    expect(allowed).toBeGreaterThan(6 * RUNS);
    expect(projected).toBeGreaterThan(6 * RUNS);
  });

  it('keeps key and answer if an unread value changes', () => {
    let changes = 0;
    let allowed = 0;
    const other = fc.dictionary(
      fc.constantFrom(...Object.keys(values), 'unknown'),
      fc.constantFrom<unknown>(...Object.values(values).flat()),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('permit', 'forbid'), condition), { minLength: 1, maxLength: 2 }),
        fc.array(fc.tuple(context, other, fc.constantFrom('alice', 'bob')), { minLength: 20, maxLength: 20 }),
        (texts, asks) => {
          const policies = texts.map(([effect, body], index) =>
            policyFrom(`p${index}`, `${effect} (principal, action, resource) when { ${body} };`),
          );
          const staticPolicies = Object.fromEntries(policies.map(({ id, text }) => [id, text]));
          expect(cedar.preparsePolicySet('p', { staticPolicies }).type).toBe('success');
          const reads = readsTogether(policies.map((policy) => policy.reads));
          const lines = readsAsLines(reads);
          const isRead = (name: string): boolean => lines.some((line) => line.includes(`context.${name}`));
          const keyOf = keyFunction(reads, { generation: 'g', slice: '0' });
          for (const [given, changed, who] of asks) {
            const unread = Object.fromEntries(Object.entries(changed).filter(([name]) => !isRead(name)));
            const [before, after] = [given, { ...given, ...unread }].map((of) =>
              question(of, { principal: user(who) }),
            ) as [Keyed, Keyed];
            const answers = [answerTo(before), answerTo(after)];
            if (answers.includes('failure')) continue;
            changes += Object.keys(unread).length;
            if (answers[0]?.startsWith('["allow"') === true) allowed += 1;
            expect(keyOf(after)).toEqual(keyOf(before));
            expect(answers[1]).toBe(answers[0]);
          }
        },
      ),
      { numRuns: RUNS },
    );
    expect(changes).toBeGreaterThan(13 * RUNS);
    expect(allowed).toBeGreaterThan(RUNS / 2);
  });
});
