import { Writable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { carriedFrom } from '../../../src/core/action/http/carried.ts';
import { deny } from '../../../src/core/decision/decision.ts';
import type { Decision } from '../../../src/core/decision/decision.ts';
import { decisionLine, decisionLog, isLogged } from '../../../src/core/telemetry/decision-log.ts';
import type { FinishedCheck } from '../../../src/core/telemetry/finished-check.ts';

const allow: Decision = {
  ...deny('internal', ''),
  kind: 'allow' as never,
  observed: null,
  policyIds: ['payments-read'],
};
const unread = deny('request.malformed', 'no `:path`');

const facts = {
  call: {
    method: 'GET',
    host: 'payments.acme.test',
    path: '/v1/payments/p-1',
    query: 'api_key=in-the-query',
    headers: new Map([['authorization', ['Bearer eyJ.in-the-header']]]),
    body: Buffer.from('in-the-body'),
  },
  caller: { id: 'spiffe://acme.test/planner' },
  credential: {
    kind: 'task-token',
    taskId: 't-1',
    tokenId: 'in-the-token',
    intentHash: 'sha-256:intent',
    useKey: 'd',
  },
  action: { id: 'payments.read' },
  secrets: [],
  use: 2,
  reuse: ['same-trace'],
  nowMs: 1_500,
};

const finished = (decision: Decision, change: object = {}): FinishedCheck =>
  ({
    decisionId: 'd-1',
    decision,
    policySet: 'sha-256:set',
    policyGeneration: 1,
    cache: 'miss',
    traceId: 'a'.repeat(32),
    took: { gatherMs: 0.25, decideMs: 0.5, settleMs: 0.123456 },
    facts: { ...facts, ...change },
  }) as unknown as FinishedCheck;

const nothing = { call: unread, caller: unread, credential: unread, action: unread, use: 0, reuse: [] };
const lineOf = (check: FinishedCheck): Record<string, unknown> =>
  JSON.parse(decisionLine(check)) as Record<string, unknown>;

describe('decisionLine', () => {
  it('says of an observed call its entry, its shape and what enforcing would have answered', () => {
    const shape = { protocol: 'http', query: ['page'] };
    const passed = { ...allow, observed: deny('action.unknown', 'no route'), policyIds: [] } as Decision;
    const line = lineOf(Object.assign(finished(passed, { action: unread }), { mode: { id: 'legacy' }, shape }));
    expect(line).toMatchObject({
      decision: 'allow',
      reason: null,
      policyIds: [],
      mode: 'observe',
      entry: 'legacy',
      would: { decision: 'deny', reason: 'action.unknown', detail: 'no route', policyIds: [] },
      shape,
    });
    for (const name of ['mode', 'entry', 'would', 'shape']) expect(lineOf(finished(allow))).not.toHaveProperty(name);
  });

  it('contains caller, call, task, decision and duration', () => {
    expect(lineOf(finished(allow))).toEqual({
      kind: 'decision',
      at: 1_500,
      refusedCaller: null,
      decisionId: 'd-1',
      task: 't-1',
      agent: 'spiffe://acme.test/planner',
      credential: 'task-token',
      action: 'payments.read',
      decision: 'allow',
      reason: null,
      reuse: ['same-trace'],
      policyIds: ['payments-read'],
      policySet: 'sha-256:set',
      policyGeneration: 1,
      tokenUse: 2,
      jtiDigest: expect.stringMatching(/^[\w-]{43}$/),
      host: 'payments.acme.test',
      method: 'GET',
      path: '/v1/payments/p-1',
      detail: null,
      intentHash: 'sha-256:intent',
      staticSecrets: [],
      traceId: 'a'.repeat(32),
      durationMs: 0.873,
    });
  });

  it.each([
    ['a denial', finished(deny('policy.forbidden', 'by `x`'))],
    ['a request that could not be read', finished(unread, nothing)],
  ])('has the same fields for %s as for an allow', (_name, check) => {
    expect(Object.keys(lineOf(check))).toEqual(Object.keys(lineOf(finished(allow))));
  });

  it('contains reason and cause of a denial', () => {
    expect(lineOf(finished(unread, nothing))).toMatchObject({
      decision: 'deny',
      reason: 'request.malformed',
      detail: 'no `:path`',
      task: null,
      agent: null,
      action: null,
    });
  });

  it('contains nothing of query, headers, body or the id of the token', () => {
    expect(decisionLine(finished(allow))).not.toMatch(/in-the-|eyJ/);
  });

  it('has the names of what a call carried, and no digest from which a value could be guessed', () => {
    const values = [{ pin: '1234' }, { 'x-user-id': ['7'], cookie: ['id=1'] }];
    const [carried, otherHeaders] = values.map((of) => carriedFrom(new Map(Object.entries(of))));
    const line = lineOf(finished(allow, { action: { id: 'payments.read', carried, otherHeaders } }));
    expect(line['carried']).toEqual({
      names: ['pin'],
      headers: { names: ['x-user-id', 'cookie'], withheld: 'secret' },
    });
  });

  it('names a static secret only by kind and place', () => {
    const secrets = [{ kind: 'api-key', where: 'header', name: 'x-api-key', digest: 'sha-256:s' }];
    expect(lineOf(finished(deny('token.static-secret', 'it'), { secrets }))['staticSecrets']).toEqual([
      'api-key in header x-api-key',
    ]);
  });

  it.each([
    ['a line end', 'p\n{"decision":"allow"}'],
    ['an escape sequence', 'p\u001b[2K'],
    ['a line separator', 'p\u2028'],
    ['a bidirectional override', 'p\u202e'],
  ])('is one printable line for a path with %s', (_name, path) => {
    const line = decisionLine(finished(allow, { call: { ...facts.call, path } }));
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(JSON.parse(line)).toMatchObject({ path, decision: 'allow' });
  });

  it('truncates a long path, and adds its digest', () => {
    const path = `/${'x'.repeat(10_000)}`;
    const line = decisionLine(finished(allow, { call: { ...facts.call, path } }));
    expect(line.length).toBeLessThan(3_000);
    expect(line).toMatch(/x… sha-256:[\w-]{43}"/);
  });
});

// Issue 41: what is observed and would be denied was in no log.
describe('isLogged', () => {
  const passed = { ...allow, observed: deny('action.unknown', 'no route'), policyIds: [] } as Decision;
  it.each<['none' | 'denials' | 'stdout', readonly boolean[]]>([
    ['none', [false, false, false]],
    ['denials', [true, true, false]],
    ['stdout', [true, true, true]],
  ])(
    'with `decisionLog: %s` says so of a denial, of a would-be denial that passes, and of an allow',
    (which, logged) => {
      expect([unread, passed, allow].map((decision) => isLogged({ decision }, which))).toEqual(logged);
    },
  );
});

describe('decisionLog', () => {
  it('writes the lines of checks that were answered together at once, in their order', async () => {
    const written: string[] = [];
    const sink = new Writable({ write: (chunk, _encoding, done) => (written.push(String(chunk)), done()) });
    const log = decisionLog(sink, () => undefined);
    for (const decisionId of ['1', '2', '3']) log({ ...finished(allow), decisionId });
    await Promise.resolve();
    log({ ...finished(allow), decisionId: '4' });
    await Promise.resolve();
    expect(written.map((text) => text.match(/(?<="decisionId":")\d/g))).toEqual([['1', '2', '3'], ['4']]);
  });

  it('drops and counts lines beyond 1 MiB unread, and goes on when the reader does', async () => {
    const taken: (() => void)[] = [];
    const slow = new Writable({ write: (_chunk, _encoding, done) => void taken.push(done) });
    let dropped = 0;
    const log = decisionLog(slow, () => (dropped += 1));
    const size = decisionLine(finished(allow)).length + 1;
    const fitting = Math.ceil(1_048_576 / size);
    for (const beyond of [10, 20]) {
      for (let n = 0; n < (beyond === 10 ? fitting + 10 : 10); n++) log(finished(allow));
      expect(dropped).toBe(beyond);
      await Promise.resolve();
    }
    expect(slow.writableLength).toBeLessThan(1_048_576 + size);
    taken[0]?.();
    log(finished(allow));
    expect(dropped).toBe(20);
  });

  it('drops everything once the stream is closed, and does not throw', () => {
    const closed = new Writable({ write: (_chunk, _encoding, done) => done() });
    closed.on('error', () => undefined).destroy();
    let dropped = 0;
    decisionLog(closed, () => (dropped += 1))(finished(allow));
    expect(dropped).toBe(1);
  });
});
