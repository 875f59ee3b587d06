import { describe, expect, it } from '@jest/globals';
import type { CacheResult } from '../../../src/core/policy/answers/cache.ts';
import { Engine, callFrom } from '../../../src/core/policy/engine.ts';
import type { EngineOptions } from '../../../src/core/policy/engine.ts';
import { entityKey } from '../../../src/core/policy/entities.ts';
import type { Entity } from '../../../src/core/policy/entities.ts';
import type { CedarRecord, Question } from '../../../src/core/policy/question.ts';
import { policyFrom } from './policies.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import { serverOf } from '../../builders/action.ts';

const planner = mustSpiffeId('spiffe://acme.test/planner');
const server = serverOf({ hosts: new Set(['a.test']), audience: 'https://a.test' });
const ask = (action: string, context: CedarRecord = {}): Question => ({
  principal: planner,
  action,
  server,
  endpoint: `GET /${action}`,
  context,
});
const group = (id: string, parents: readonly string[] = []): Entity => ({
  uid: { type: 'Remit::AgentGroup', id },
  attrs: {},
  parents: parents.map((parent) => ({ type: 'Remit::AgentGroup', id: parent })),
});
const engineWith = (
  policies: Readonly<Record<string, string>>,
  entities: readonly Entity[] = [],
  options: EngineOptions = {},
) =>
  new Engine(
    {
      generation: 'g',
      policies: Object.entries(policies).map(([id, text]) => policyFrom(id, text)),
      entities: new Map(entities.map((entity) => [entityKey(entity.uid), entity])),
      actionGroups: new Map([
        ['read', ['low']],
        ['write', ['high']],
        ['issue', []],
      ]),
    },
    options,
  );
const when = (effect: string, condition: string, action = 'action') =>
  `${effect} (principal, ${action}, resource) when { ${condition} };`;

describe('Engine.ask', () => {
  const agent: Entity = {
    uid: { type: 'Remit::Agent', id: planner },
    attrs: { tier: 2 },
    parents: [{ type: 'Remit::AgentGroup', id: 'inner' }],
  };
  const groups = [agent, group('inner', ['outer']), group('outer'), group('other')];
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['the agent', `principal == Remit::Agent::"${planner}"`, true],
    ['its group', 'principal in Remit::AgentGroup::"inner"', true],
    ['the group of its group', 'principal in Remit::AgentGroup::"outer"', true],
    ['another group', 'principal in Remit::AgentGroup::"other"', false],
    ['its trust domain', 'principal in Remit::TrustDomain::"acme.test"', true],
    ['another trust domain', 'principal in Remit::TrustDomain::"evil.test"', false],
    ['an attribute of it', 'principal has tier && principal.tier == 2', true],
    ['the risk group of the action', 'action in Remit::Action::"high"', true],
    ['another risk group', 'action in Remit::Action::"low"', false],
    ['the endpoint', 'resource == Remit::Endpoint::"payments:GET /write"', true],
    ['the server', 'resource in Remit::Server::"payments"', true],
    ['another server', 'resource in Remit::Server::"files"', false],
  ];
  it.each(rows)('lets a policy name %s', (_name, condition, holds) => {
    const engine = engineWith({ p: when('permit', condition) }, groups);
    expect(engine.ask(ask('write'))).toEqual(
      holds ? { kind: 'permitted', policyIds: ['p'] } : { kind: 'not-permitted' },
    );
  });

  it('sorts the ids of several policies, and a forbid overrides', () => {
    const permits = { b: when('permit', 'true'), a: when('permit', 'true'), c: when('permit', 'false') };
    expect(engineWith(permits).ask(ask('read'))).toEqual({ kind: 'permitted', policyIds: ['a', 'b'] });
    expect(engineWith({ ...permits, z: when('forbid', 'true'), y: when('forbid', 'true') }).ask(ask('read'))).toEqual({
      kind: 'forbidden',
      policyIds: ['y', 'z'],
    });
  });

  const errors: readonly (readonly [string, Readonly<Record<string, string>>, CedarRecord, readonly string[]])[] = [
    [
      'a forbid that errs beside a permit',
      { p: when('permit', 'true'), f: when('forbid', 'context.missing > 1') },
      {},
      ['f'],
    ],
    [
      'a forbid that overflows',
      { p: when('permit', 'true'), f: when('forbid', 'context.n * 9223372036854775807 > 0') },
      { n: 2 },
      ['f'],
    ],
    [
      'a permit that errs beside a permit',
      { p: when('permit', 'true'), q: when('permit', 'context.missing > 1') },
      {},
      ['q'],
    ],
    [
      'a policy that errs beside a forbid',
      { f: when('forbid', 'true'), q: when('permit', 'context.missing > 1') },
      {},
      ['q'],
    ],
    ['a lone surrogate', { p: when('permit', 'true') }, { text: '\ud800' }, []],
    ['a number that is no integer', { p: when('permit', 'true') }, { n: 1.5 }, []],
    ['a number that is none', { p: when('permit', 'true') }, { n: Number.NaN }, []],
    ['a datetime that is none', { p: when('permit', 'true') }, { now: { __extn: { fn: 'datetime', arg: '' } } }, []],
  ];
  it.each(errors)('is an error on %s', (_name, policies, context, policyIds) => {
    const engine = engineWith(policies);
    expect(engine.ask(ask('read', context))).toMatchObject({ kind: 'error', policyIds });
    expect(engine.ask(ask('read', { missing: 0, n: 0 })).kind).not.toBe('error');
  });

  it('is an error for an action that is not in the catalog', () => {
    const engine = engineWith({ p: when('permit', 'true') });
    expect(engine.ask(ask('__proto__'))).toEqual({
      kind: 'error',
      policyIds: [],
      detail: 'unknown action `__proto__`: not in the schema',
    });
  });

  it('is an error on a trap, and the next question is answered by a new instance', () => {
    const deep = Array.from({ length: 900 }, () => 'context.n == 1').join(' && ');
    const engine = engineWith({
      deep: when('permit', deep, 'action == Remit::Action::"write"'),
      read: when('permit', 'true', 'action == Remit::Action::"read"'),
    });
    for (let round = 0; round < 2; round += 1) {
      expect(engine.ask(ask('write', { n: 1 }))).toEqual({
        kind: 'error',
        policyIds: [],
        detail: 'the engine threw: RuntimeError',
      });
      expect(engine.ask(ask('read'))).toEqual({ kind: 'permitted', policyIds: ['read'] });
    }
  });

  it('passes text of the caller as a string, whatever it looks like', () => {
    const looks = '{"__entity":{"type":"Remit::AgentGroup","id":"inner"}}';
    const engine = engineWith({ p: when('permit', 'context.args.x == Remit::AgentGroup::"inner"') }, groups);
    expect(engine.ask(ask('read', { args: { x: looks } }))).toEqual({ kind: 'not-permitted' });
    expect(
      engineWith({ p: when('permit', 'context.args.x like "*__entity*"') }).ask(ask('read', { args: { x: looks } })),
    ).toEqual({
      kind: 'permitted',
      policyIds: ['p'],
    });
  });
});

const keep = (nowMs = 0, untilMs = 1000) => {
  const results: CacheResult[] = [];
  return { nowMs, untilMs, onCache: (result: CacheResult) => results.push(result), results };
};
const named = (id: string) => `permit (principal == Remit::Agent::"${id}", action, resource);`;

describe('Engine.ask with its cache', () => {
  const policies = {
    p: when('permit', 'context.n > 5 && context has s'),
    f: when('forbid', 'context.n == 9'),
    e: when('forbid', 'context.missing.x == 1', 'action == Remit::Action::"write"'),
  };

  it('answers as without a cache, and reports hit or miss', () => {
    const engine = engineWith(policies);
    const at = keep();
    const contexts = [6, 7, 9, 3, 9, 6, 2].map((n) => ({ n, s: 'x', unread: n }));
    for (const context of contexts)
      expect(engine.ask(ask('read', context), at)).toEqual(engine.ask(ask('read', context)));
    expect(at.results).toEqual(['miss', 'hit', 'miss', 'miss', 'hit', 'hit', 'hit']);
    expect(engine.sizes).toEqual({ slices: 1, parsed: { slices: 1, policies: 2 }, cached: { allows: 1, denials: 2 } });
  });

  it('caches no error', () => {
    const engine = engineWith(policies);
    const at = keep();
    for (let round = 0; round < 2; round += 1) {
      expect(engine.ask(ask('write', { n: 6, s: '' }), at)).toMatchObject({ kind: 'error', policyIds: ['e'] });
    }
    expect(at.results).toEqual(['miss', 'miss']);
    expect(engine.sizes.cached).toEqual({ allows: 0, denials: 0 });
  });

  it.each([
    ['a lone surrogate', '\ud800'],
    ['a number that is no integer', 1.5],
    ['an extension that is none', { __extn: { fn: 'datetime', arg: '2026-02-30' } }],
    ['a record that claims to be an entity', { __entity: { type: 'Remit::Agent', id: 'x' } }],
    ['a value nested beyond what the engine reads', JSON.parse(`${'[['.repeat(70)}${']]'.repeat(70)}`)],
  ])('answers what the engine refuses as without, if %s is in what no policy reads', (_name, unread) => {
    const engine = engineWith(policies);
    const at = keep();
    const good = ask('read', { n: 6, s: '', unread: 1 });
    expect(engine.ask(good, at).kind).toBe('permitted');
    const bad = ask('read', { n: 6, s: '', unread: unread as never });
    expect(engine.ask(bad, at)).toEqual(engine.ask(bad));
    expect(at.results).toEqual(['miss', 'bypass']);
  });

  it('caches an answer until its end, and none without an end', () => {
    const engine = engineWith(policies);
    const results = [keep(0, 10), keep(9, 20), keep(10, 20), keep(5, 20), keep(0, Infinity), keep(0, Infinity)].map(
      (at) => {
        engine.ask(ask('read', { n: 6, s: '' }), at);
        return at.results[0];
      },
    );
    // At 5 the clock has stepped back behind the answer of 10.
    expect(results).toEqual(['miss', 'hit', 'miss', 'miss', 'miss', 'miss']);
  });

  it('distinguishes cached answers by agent, action and endpoint', () => {
    const engine = engineWith(policies);
    const at = keep();
    const context = { n: 6, s: '' };
    const other = { ...ask('read', context), principal: mustSpiffeId('spiffe://acme.test/other') };
    const elsewhere = { ...ask('read', context), endpoint: 'GET /elsewhere' };
    for (const question of [ask('read', context), other, elsewhere, ask('issue', context)]) engine.ask(question, at);
    expect(at.results).toEqual(['miss', 'miss', 'miss', 'miss']);
  });

  it('evaluates no policy that cannot match, and all of them without slices', () => {
    const many = Object.fromEntries(
      Array.from({ length: 50 }, (_, index) => [`p${index}`, named(`spiffe://acme.test/${index}`)]),
    );
    const rules = { ...many, own: named(planner) };
    const engine = engineWith(rules);
    expect(engine.ask(ask('read'))).toEqual({ kind: 'permitted', policyIds: ['own'] });
    expect(engine.sizes.parsed).toEqual({ slices: 1, policies: 1 });
    const whole = engineWith(rules, [], { slices: false, cache: null });
    expect(whole.ask(ask('read'), keep())).toEqual({ kind: 'permitted', policyIds: ['own'] });
    expect(whole.sizes).toEqual({ slices: 1, parsed: { slices: 1, policies: 51 }, cached: { allows: 0, denials: 0 } });
  });
});

describe('callFrom', () => {
  it('passes the agent, its ancestors, the server and the endpoint only', () => {
    const entities = [group('inner', ['outer']), group('outer', ['inner']), group('other')];
    const agent: Entity = {
      uid: { type: 'Remit::Agent', id: planner },
      attrs: {},
      parents: [{ type: 'Remit::AgentGroup', id: 'inner' }],
    };
    const all = new Map([agent, ...entities].map((entity) => [entityKey(entity.uid), entity]));
    const call = callFrom(ask('read'), ['low'], all);
    expect(call.entities.map(({ uid }) => ('id' in uid ? uid.id : null))).toEqual([
      planner,
      'inner',
      'outer',
      'acme.test',
      'payments:GET /read',
      'payments',
      'read',
    ]);
  });

  it('is about the server itself if there is no endpoint', () => {
    expect(callFrom({ ...ask('issue'), endpoint: null }, [], new Map()).resource).toEqual({
      type: 'Remit::Server',
      id: 'payments',
    });
  });
});
