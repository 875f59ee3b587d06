import { describe, expect, it } from '@jest/globals';
import { DENIAL_CEILING_MS } from '../../../../src/core/policy/answers/cache.ts';
import type { FullAnswer } from '../../../../src/core/policy/answers/cache.ts';
import { freshCedar } from '../../../../src/core/policy/cedar.ts';
import type { Cedar } from '../../../../src/core/policy/cedar.ts';
import { Engine } from '../../../../src/core/policy/engine.ts';
import type { EngineAnswer, EngineOptions } from '../../../../src/core/policy/engine.ts';
import {
  splitByVolatility,
  readsAny,
  combinedAnswer,
} from '../../../../src/core/policy/answers/split-by-volatility.ts';
import type { ContextPath } from '../../../../src/core/policy/answers/split-by-volatility.ts';
import { SlicePool } from '../../../../src/core/policy/pool.ts';
import { PER_CALL } from '../../../../src/core/policy/use-question.ts';
import type { CedarRecord } from '../../../../src/core/policy/question.ts';
import { policyFrom } from '../policies.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';
import { serverOf } from '../../../builders/action.ts';

/** A context of a call with one argument. */
const named = (name: string, risk = 'low'): CedarRecord => ({ args: { name }, risk });
const answer = (
  decision: FullAnswer['decision'],
  reason: readonly string[],
  errors: readonly string[] = [],
): FullAnswer => ({ decision, reason, errors });
const policyOn = (condition: string, effect = 'permit', id = 'p') =>
  policyFrom(id, `${effect} (principal, action, resource) when { ${condition} };`);

const variesByCall = (condition: string): boolean => readsAny(policyOn(condition).reads, PER_CALL);

describe('readsAny', () => {
  const paths: readonly ContextPath[] = [['args'], ['credential', 'uses']];

  it.each([
    ['the value of an argument', 'context.args.name like "a*"', true],
    ['the arguments as a whole', 'context.args == {}', true],
    ['a value below an argument', 'context.args.one.two == "x"', true],
    ['a tag of an argument', 'context.args.file.hasTag("k")', true],
    ['what an argument is in', 'context.args.file in User::"x"', true],
    ['the context as a whole', 'context == {}', true],
    ['the record that the path goes through', '{a: context.credential}.a == {}', true],
    ['how often a token was used, in a sum', 'context.credential.uses + 1 > 2', true],
    ['whether an argument is there', 'context.args has name', false],
    ['whether there are arguments', 'context has args', false],
    ['on which side of a bound an argument is', 'context.args.amount < 100', false],
    ['on which side of a bound a number of uses is', 'context.credential.uses < 3', false],
    ['another member of the same record', 'context.credential.binding == "dpop"', false],
    ['another member of the same name further down', 'context.intent.args == "x"', false],
    ['an entity', 'principal.args == "x"', false],
    ['nothing', 'true', false],
  ])('says of policies that read %s whether they look there', (_name, condition, expected) => {
    expect(readsAny(policyOn(condition).reads, paths)).toBe(expected);
  });

  it('is true for policies that may read anything', () => {
    expect(readsAny({ everything: true, roots: new Map() }, paths)).toBe(true);
    expect(readsAny(policyOn('context.args.name == "x"').reads, [])).toBe(false);
  });

  it('knows the context values that differ with each call', () => {
    const [varying, steady] = [
      [
        'context.args.name == "x"',
        'context.request.path like "/v1/*"',
        'context.now.toTime() > duration("9h")',
        'context.intent.ageSeconds * 2 > 10',
        'context.credential.uses == context.credential.secondsLeft',
      ],
      [
        'context.now < datetime("2027-01-01")',
        'context.intent.ageSeconds > 60',
        'context.intent.purpose == "x" && context.risk == "high"',
        'context.credential.reuse.contains("other-node")',
        'context.task.labels.contains("x")',
      ],
    ];
    expect([...varying, ...steady].map(variesByCall)).toEqual([...varying.map(() => true), ...steady.map(() => false)]);
  });
});

describe('splitByVolatility', () => {
  it('splits policies and keeps their order', () => {
    expect(splitByVolatility([1, 4, 5, 9], (index) => index % 2 === 0)).toEqual({ steady: [1, 5, 9], varying: [4] });
  });

  it.each([
    ['all vary', [1, 2], () => true],
    ['none does', [1, 2], () => false],
    ['there are none', [], () => true],
  ])('has none if %s', (_name, members: readonly number[], isVarying) => {
    expect(splitByVolatility(members, isVarying)).toBeNull();
  });
});

describe('combinedAnswer', () => {
  const rows: readonly (readonly [string, FullAnswer, FullAnswer, FullAnswer])[] = [
    ['both permit', answer('allow', ['c', 'd']), answer('allow', ['a']), answer('allow', ['a', 'c', 'd'])],
    ['only the first permits', answer('allow', ['a']), answer('deny', []), answer('allow', ['a'])],
    ['only the second forbids', answer('allow', ['a']), answer('deny', ['b']), answer('deny', ['b'])],
    ['both forbid', answer('deny', ['b']), answer('deny', ['a']), answer('deny', ['a', 'b'])],
    ['nothing holds', answer('deny', []), answer('deny', []), answer('deny', [])],
    ['both err', answer('allow', ['a'], ['z']), answer('deny', [], ['y']), answer('allow', ['a'], ['y', 'z'])],
  ];

  it.each(rows)('equals the answer of all policies if %s', (_name, left, right, expected) => {
    expect(combinedAnswer(left, right)).toEqual(expected);
    expect(combinedAnswer(right, left)).toEqual(expected);
  });
});

describe('Engine with slices split by volatility', () => {
  const planner = mustSpiffeId('spiffe://acme.test/planner');
  const server = serverOf({ id: 'files', hosts: new Set(['a.test']), audience: 'https://a.test' });
  const policies = [
    policyOn('true', 'permit', 'everyone'),
    policyOn('context.args.name like "private-*"', 'forbid', 'private'),
    policyOn('context.risk == "high"', 'forbid', 'risk'),
  ];

  /** An engine, with the number of policies of each call to Cedar. */
  function watched(of = policies, options: EngineOptions = {}) {
    const put: number[] = [];
    const sizes = new Map<string, number>();
    const fresh = (): Cedar => {
      const cedar = freshCedar();
      return {
        ...cedar,
        preparsePolicySet: (name, set) => {
          sizes.set(name, Object.keys(set.staticPolicies ?? {}).length);
          return cedar.preparsePolicySet(name, set);
        },
        statefulIsAuthorized: (call) => {
          put.push(sizes.get(call.preparsedPolicySetId) ?? 0);
          return cedar.statefulIsAuthorized(call);
        },
      };
    };
    const rules = { generation: 'g', policies: of, entities: new Map(), actionGroups: new Map([['read', []]]) };
    const engine = new Engine(rules, { pool: new SlicePool(fresh), ...options });
    const ask = (context: CedarRecord, nowMs = 0, untilMs = nowMs + 60_000): EngineAnswer =>
      engine.ask(
        { principal: planner, action: 'read', server, endpoint: 'GET /', context },
        { nowMs, untilMs, onCache: () => {} },
      );
    /** Numbers of policies in the calls to Cedar since the last look. */
    const asked = (): readonly number[] => put.splice(0);
    return { ask, asked };
  }

  it('evaluates only the volatile policies for a question whose steady answer is cached', () => {
    const { ask, asked } = watched();
    expect(ask(named('a'))).toEqual({ kind: 'permitted', policyIds: ['everyone'] });
    expect(asked()).toEqual([2, 1]);
    expect(ask(named('b'))).toEqual({ kind: 'permitted', policyIds: ['everyone'] });
    expect(ask(named('private-c'))).toEqual({ kind: 'forbidden', policyIds: ['private'] });
    expect(asked()).toEqual([1, 1]);
    expect(ask(named('b'))).toEqual({ kind: 'permitted', policyIds: ['everyone'] });
    expect(asked()).toEqual([]);
    expect(ask(named('private-c', 'high'))).toEqual({ kind: 'forbidden', policyIds: ['private', 'risk'] });
    expect(asked()).toEqual([2, 1]);
  });

  it('evaluates all policies together without a split', () => {
    const { ask, asked } = watched(policies, { varies: () => false });
    ask(named('a'));
    ask(named('b'));
    expect(asked()).toEqual([3, 3]);
  });

  it('caches no answer longer than the answer it derives from', () => {
    const { ask, asked } = watched();
    ask(named('a'), 0, 60_000);
    expect(asked()).toEqual([2, 1]);
    ask(named('b'), 25_000, 85_000);
    expect(asked()).toEqual([1]);
    ask(named('b'), 59_999, 119_999);
    expect(asked()).toEqual([]);
    // By itself it would be cached until 85 s.
    ask(named('b'), 60_000, 120_000);
    expect(asked()).toEqual([2, 1]);
  });

  it('evaluates a steady answer again near its end, instead of deriving short-lived answers', () => {
    const { ask, asked } = watched();
    ask(named('a'), 0, 1_000);
    ask(named('b'), 0, 2_000);
    expect(asked()).toEqual([2, 1, 1]);
    ask(named('c'), 0, 2_001);
    expect(asked()).toEqual([2, 1]);
    ask(named('d'), 0, 2_001);
    expect(asked()).toEqual([1]);
  });

  it('evaluates again after a denial expired, with a steady answer that has not', () => {
    const { ask, asked } = watched();
    ask(named('a', 'high'));
    expect(asked()).toEqual([2, 1]);
    expect(ask(named('a', 'high'), DENIAL_CEILING_MS)).toEqual({ kind: 'forbidden', policyIds: ['risk'] });
    expect(asked()).toEqual([1]);
  });

  it.each([
    ['steady', policyOn('context.nothing == "x"', 'forbid', 'errs'), [2, 1, 2, 1]],
    ['varying', policyOn('context.args.nothing == "x"', 'forbid', 'errs'), [1, 2, 2]],
  ])('says that a policy of the %s half errs, and does not keep that', (_name, errs, expected) => {
    const { ask, asked } = watched([...policies.slice(0, 2), errs]);
    const answers = [ask(named('a')), ask(named('a'))];
    expect(answers.map((answer) => (answer.kind === 'error' ? answer.policyIds : []))).toEqual([['errs'], ['errs']]);
    expect(asked()).toEqual(expected);
  });

  it('returns an error if Cedar fails, and an answer again afterwards', () => {
    let isBroken = false;
    const cedar = freshCedar();
    const fresh = (): Cedar => ({
      ...cedar,
      statefulIsAuthorized: (call) =>
        isBroken ? { type: 'failure', errors: [], warnings: [] } : cedar.statefulIsAuthorized(call),
    });
    const { ask } = watched(policies, { pool: new SlicePool(fresh) });
    expect(ask(named('a')).kind).toBe('permitted');
    isBroken = true;
    expect(ask(named('b')).kind).toBe('error');
    isBroken = false;
    expect(ask(named('b')).kind).toBe('permitted');
  });
});
