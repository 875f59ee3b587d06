import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { CacheResult } from '../../../src/core/policy/answers/cache.ts';
import { Engine } from '../../../src/core/policy/engine.ts';
import type { EngineAnswer, EngineOptions, EngineRules } from '../../../src/core/policy/engine.ts';
import { entityKey } from '../../../src/core/policy/entities.ts';
import type { Entity } from '../../../src/core/policy/entities.ts';
import { readsAny } from '../../../src/core/policy/answers/split-by-volatility.ts';
import { SlicePool } from '../../../src/core/policy/pool.ts';
import type { CedarRecord, CedarValue, Question } from '../../../src/core/policy/question.ts';
import { policyFrom } from './policies.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import { serverOf } from '../../builders/action.ts';

const agent = mustSpiffeId('spiffe://acme.test/a');
const agents = [agent, ...['spiffe://acme.test/b', 'spiffe://other.test/a'].map(mustSpiffeId)];
const serverAt = (id: string): Question['server'] =>
  serverOf({ id, hosts: new Set([`${id}.test`]), audience: `https://${id}.test` });
const [one, two] = [serverAt('one'), serverAt('two')];
/** A question to read at an endpoint of a server. */
const readAt = (server: Question['server'], endpoint: string | null): Question => ({
  principal: agent,
  action: 'read',
  server,
  endpoint,
  context: {},
});
const datetime = (arg: string): CedarRecord => ({ __extn: { fn: 'datetime', arg } });
const entity = (type: string, id: string, ...parents: readonly (readonly [string, string])[]): Entity => ({
  uid: { type: `Remit::${type}`, id },
  attrs: { tier: id.length },
  parents: parents.map(([parentType, parentId]) => ({ type: `Remit::${parentType}`, id: parentId })),
});
const entities = [
  entity('Agent', 'spiffe://acme.test/a', ['AgentGroup', 'inner']),
  entity('AgentGroup', 'inner', ['AgentGroup', 'outer']),
  entity('AgentGroup', 'outer'),
  entity('TrustDomain', 'other.test', ['AgentGroup', 'outer']),
  entity('Server', 'two', ['AgentGroup', 'inner']),
];

const values: Readonly<Record<string, readonly (CedarValue | undefined)[]>> = {
  n: [undefined, 4, 5, 6, '5', true],
  s: [undefined, 'x', 'y', ''],
  r: [undefined, { x: 1 }, { x: 1, y: 'a' }, 'r'],
  now: [undefined, ...['2025-06-01', '2026-01-01', '2026-01-01T00:00:01Z'].map(datetime)],
  unread: [undefined, 1, 'x', { y: ['z'] }],
};
const context = fc
  .record(Object.fromEntries(Object.entries(values).map(([name, of]) => [name, fc.constantFrom(...of)])))
  .map((of) => Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined)) as CedarRecord);
const question: fc.Arbitrary<Question> = fc.record({
  principal: fc.constantFrom(...agents),
  action: fc.constantFrom('read', 'write', 'issue'),
  server: fc.constantFrom(one, two),
  endpoint: fc.constantFrom(null, 'GET /x', 'GET /y'),
  context,
});

const scope = fc
  .tuple(
    fc.constantFrom(
      'principal',
      'principal == Remit::Agent::"spiffe://acme.test/a"',
      'principal in Remit::AgentGroup::"outer"',
      'principal in Remit::TrustDomain::"acme.test"',
      'principal is Remit::Agent in Remit::AgentGroup::"inner"',
      'principal is Remit::Server',
    ),
    fc.constantFrom(
      'action',
      'action == Remit::Action::"read"',
      'action in [Remit::Action::"high", Remit::Action::"issue"]',
    ),
    fc.constantFrom(
      'resource',
      'resource == Remit::Endpoint::"one:GET /x"',
      'resource in Remit::Server::"two"',
      'resource is Remit::Server',
    ),
  )
  .map((parts) => parts.join(', '));
const condition = fc
  .array(
    fc.constantFrom(
      'true',
      'context has n',
      'context.n > 5',
      'context.n == 5',
      'context.s == "x"',
      'context has r.y',
      'context.r.x == 1',
      'context.now < datetime("2026-01-01")',
      'principal.tier > 3',
      'principal in Remit::AgentGroup::"inner"',
      'principal in Remit::TrustDomain::"other.test"',
      'action in Remit::Action::"low"',
      'resource in Remit::AgentGroup::"outer"',
      'resource in principal',
    ),
    { minLength: 1, maxLength: 2 },
  )
  .map((terms) => terms.join(' && '));
const policies = fc
  .array(fc.tuple(fc.constantFrom('permit', 'forbid'), scope, condition), { minLength: 1, maxLength: 6 })
  .map((all) =>
    all.map(([effect, head, body], index) => policyFrom(`p${index}`, `${effect} (${head}) when { ${body} };`)),
  );

const pool = new SlicePool();
const rulesOf = (of: EngineRules['policies']): EngineRules => ({
  generation: 'g',
  policies: of,
  entities: new Map(entities.map((each) => [entityKey(each.uid), each])),
  actionGroups: new Map([
    ['read', ['low']],
    ['write', ['high']],
    ['issue', []],
  ]),
});
const plain: EngineOptions = { slices: false, cache: null, pool };

/** Asks with the cache, and returns the cache result too. */
function asked(engine: Engine, of: Question, at = { nowMs: 0, untilMs: 1000 }): readonly [EngineAnswer, CacheResult] {
  const results: CacheResult[] = [];
  const answer = engine.ask(of, { ...at, onCache: (result) => results.push(result) });
  const [result, ...more] = results;
  if (result === undefined || more.length > 0) throw new Error('told once what became of it');
  return [answer, result];
}

const counted = (): Record<CacheResult, number> => ({ hit: 0, miss: 0, bypass: 0 });

describe('Engine.ask over random policies', () => {
  it('answers equally from cache, slices and all policies', () => {
    const seen = counted();
    fc.assert(
      fc.property(policies, fc.array(question, { minLength: 30, maxLength: 30 }), (of, questions) => {
        // Half of the policies with conditions look at one of these, so that most slices have halves.
        const engine = new Engine(rulesOf(of), {
          pool,
          varies: (reads) => readsAny(reads, [['n'], ['s'], ['r', 'x']]),
        });
        const whole = new Engine(rulesOf(of), plain);
        for (const each of [...questions, ...questions]) {
          const [answer, result] = asked(engine, each);
          seen[result] += 1;
          expect(answer).toEqual(whole.ask(each));
          // Questions without matching policies are not evaluated, and errors are not cached.
          const isNone = engine.members(each).length === 0;
          expect(isNone ? [answer.kind, result] : ['not-permitted', 'bypass']).toEqual(['not-permitted', 'bypass']);
          expect(answer.kind === 'error' ? result : 'miss').toBe('miss');
        }
      }),
      // Ten hits in a run are usual, with a standard deviation of ten: too few for 500 of 100 runs are five deviations away.
      { numRuns: 100 },
    );
    // Without enough cache hits the test would prove nothing.
    expect(seen.hit).toBeGreaterThan(500);
    expect(seen.miss).toBeGreaterThan(300);
    expect(seen.bypass).toBeGreaterThan(500);
  });

  it('hits the cache for a question that differs in unread values only', () => {
    let hits = 0;
    fc.assert(
      fc.property(policies, question, fc.constantFrom(...(values['unread'] ?? [])), (of, asking, unread) => {
        const engine = new Engine(rulesOf(of), { pool });
        const other = { ...asking, context: { ...asking.context, ...(unread === undefined ? {} : { unread }) } };
        const [first, before] = asked(engine, asking);
        const [second, after] = asked(engine, other);
        const isKept = before === 'miss' && first.kind !== 'error';
        expect(isKept ? after : 'hit').toBe('hit');
        hits += Number(isKept);
        expect(second).toEqual(first);
        expect(second).toEqual(new Engine(rulesOf(of), plain).ask(other));
      }),
      { numRuns: 100 },
    );
    expect(hits).toBeGreaterThan(10);
  });

  it('expires an answer at the time that a policy compares the clock with', () => {
    const clock = policyFrom(
      'p',
      'permit (principal, action, resource) when { context.now < datetime("2026-01-01T00:00:10Z") };',
    );
    const engine = new Engine(rulesOf([clock]), { pool });
    const startMs = Date.UTC(2026, 0, 1);
    const of = (second: number): Question => ({
      ...readAt(one, null),
      context: { now: datetime(`${new Date(startMs + second * 1000).toISOString().slice(0, 19)}Z`) },
    });
    const at = (second: number) => ({ nowMs: startMs + second * 1000, untilMs: startMs + 60_000 });
    expect(asked(engine, of(0), at(0))).toEqual([{ kind: 'permitted', policyIds: ['p'] }, 'miss']);
    expect(asked(engine, of(9), at(9))).toEqual([{ kind: 'permitted', policyIds: ['p'] }, 'hit']);
    // At the end the answer is no longer cached, even for a question with the earlier time.
    expect(asked(engine, of(9), at(10))[1]).toBe('miss');
    expect(asked(engine, of(10), at(10))).toEqual([{ kind: 'not-permitted' }, 'miss']);
    // No bound lies ahead: the ceiling of denials applies.
    expect([11, 15, 16].map((second) => asked(engine, of(second), at(second))[1])).toEqual(['miss', 'hit', 'miss']);
  });

  it('answers equally beyond the number of memoised names', () => {
    const engine = new Engine(
      rulesOf([
        policyFrom('p', 'permit (principal, action, resource == Remit::Endpoint::"one:GET /7");'),
        policyFrom('q', 'permit (principal, action, resource in Remit::Server::"two");'),
      ]),
      { pool },
    );
    const round = () =>
      [readAt(one, 'GET /7'), readAt(one, 'GET /8'), readAt(two, 'GET /7'), readAt(two, null)].map((each) =>
        asked(engine, each),
      );
    const expected = [
      { kind: 'permitted', policyIds: ['p'] },
      { kind: 'not-permitted' },
      { kind: 'permitted', policyIds: ['q'] },
      { kind: 'permitted', policyIds: ['q'] },
    ];
    expect(round().map(([answer]) => answer)).toEqual(expected);
    for (let path = 0; path < 20_000; path += 1) engine.members(readAt(one, `GET /${path}`));
    const after = round();
    expect(after.map(([answer]) => answer)).toEqual(expected);
    expect(after.map(([, result]) => result)).toEqual(['hit', 'bypass', 'hit', 'hit']);
  });
});
