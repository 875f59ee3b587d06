import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { policyExplain } from '../../../src/cli/policy/policy-explain.ts';
import { shopSet } from '../../core/action/grpc/protobuf/shop.ts';
import { cures } from '../../../src/core/decision/cures.ts';
import type { IntentRecord, UseRecord } from '../../../src/core/ledger/record.ts';
import { commandRun } from '../../builders/command-run.ts';
import { encoded, useRecord } from '../../builders/ledger-record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { planner, reporter } from '../../tools/policy/cases/folder.ts';

const folder = testFolders();
let state: string;
const NOW = Date.UTC(2026, 0, 15, 12);

const use = (change: Partial<UseRecord>): UseRecord =>
  useRecord({
    at: NOW,
    decisionId: '019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55',
    task: taskNumber(1).id,
    agent: reporter,
    credential: 'task-token',
    action: 'payments.refund',
    decision: 'deny',
    reason: 'policy.not-permitted',
    policySet: 'sha-256:other',
    policyGeneration: 1,
    tokenUse: 1,
    reuse: ['first'],
    jtiDigest: 'd',
    method: 'POST',
    path: '/v1/payments/7/refund',
    ...change,
  });

/** The refusal of an intent. */
const intent: IntentRecord = {
  kind: 'intent',
  decisionId: '00000000-0000-7000-8000-000000000005',
  detail: 'no policy permits `payments.create`',
  at: NOW,
  task: null,
  agent: reporter,
  subject: null,
  parent: null,
  purpose: 'pay',
  intentHash: null,
  details: null,
  claimed: null,
  deadline: null,
  decision: 'deny',
  error: 'invalid_authorization_details',
  reason: 'policy.not-permitted',
  policyIds: [],
  policySet: null,
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
};

beforeAll(() => {
  state = join(folder(), 'state.db');
  const store = mustOpen(state);
  const details = [{ type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.*'] }];
  const task = taskNumber(1, {
    agent: reporter,
    subject: reporter,
    purpose: 'refund',
    createdAtMs: NOW - 5000,
    detailsJson: JSON.stringify(details),
  });
  const records = [
    use({
      decisionId: '00000000-0000-7000-8000-000000000001',
      action: 'payments.list',
      decision: 'allow',
      reason: null,
      path: '/v1/payments',
      policyIds: ['payments-read'],
    }),
    use({}),
    use({
      decisionId: '00000000-0000-7000-8000-000000000003',
      action: 'payments.create',
      path: '/v1/payments',
      reason: 'action.arguments',
      detail: 'arguments of `payments.create`: `amount` must be a whole number',
    }),
    use({
      decisionId: '00000000-0000-7000-8000-000000000004',
      action: 'payments.create',
      path: '/v1/payments',
      decision: 'allow',
      reason: null,
    }),
    intent,
    use({ decisionId: '00000000-0000-7000-8000-000000000002', agent: null, reason: 'identity.missing', task: null }),
  ];
  const failure = store.insertTask(task, tokenNumber(1), []);
  if (failure !== null) throw new Error(JSON.stringify(failure));
  store.close();
  const log = mustOpenLog(settingsIn(dirname(state)));
  log.append(
    records.map(encoded).map(({ bytes }) => ({ bytes, outbox: null })),
    'f'.repeat(32),
  );
  log.close();
});

const run = (...args: readonly string[]) => commandRun(policyExplain, args);

const LIST = ['GET', 'https://payments.acme.test/v1/payments'];

/** The lines about caching an answer. */
const keptLines = async (...args: readonly string[]): Promise<readonly string[]> => {
  const { out } = await run(...args);
  const from = out.findIndex((line) => line.startsWith('kept for ') || line.startsWith('not kept: '));
  return out.slice(
    from,
    out.findIndex((line) => line.startsWith('for another decision')),
  );
};

/** The same with `--json`. */
const keptJson = async (...args: readonly string[]): Promise<unknown> => {
  const { keyReads, keptMs, notKept } = JSON.parse((await run(...args, '--json')).out.join('')) as Record<
    string,
    unknown
  >;
  return { keyReads, keptMs, notKept };
};

describe('remit policy explain', () => {
  it('explains an allow', async () => {
    const { code, out, err } = await run(...LIST, '--agent', reporter);
    expect({ code, err, out: out.slice(0, 8) }).toEqual({
      code: 0,
      err: [],
      out: [
        'allow by payments-read',
        'action: payments.list, of low risk, at payments',
        `agent: ${reporter}`,
        'matched:',
        '  payments-read (permit), cedar-policies/policies/payments.cedar:3:1',
        'near misses, each with what prevented a match:',
        '  home-domain (forbid), cedar-policies/policies/risk.cedar:27:1',
        '    needs not `principal in Remit::TrustDomain::"acme.test"` (principal is in AgentGroup::"agents", TrustDomain::"acme.test")',
      ],
    });
  });

  it('prints the key and lifetime of a cached answer, or why it is not cached', async () => {
    const stranger = 'spiffe://evil.test/x';
    const example = ['--policies', 'cedar-policies/examples/least-privilege', '--base', 'cedar-policies'];
    expect(await keptLines(...LIST, '--agent', reporter)).toEqual([
      'kept for at most 60 s by agent, action, target and:',
      '  action in …',
      '  context.labels',
      '  context.risk',
      '  context.task.labels',
      '  principal in …',
      '  resource in …',
    ]);
    expect((await keptLines(...LIST, '--agent', stranger))[0]).toBe(
      'kept for at most 5 s by agent, action, target and:',
    );
    expect(await keptLines(...LIST, '--agent', stranger, ...example)).toEqual([
      'not kept: no policy in force can match, so none is asked',
    ]);
    expect(await keptLines('--cases', 'cedar-policies/tests/issue.test.yaml')).toEqual([
      'not kept: the policies are asked again for every token',
    ]);
  });

  it('explains a denial made before any policy', async () => {
    expect(await run('DELETE', 'https://payments.acme.test/v1/payments', '--agent', reporter)).toEqual({
      code: 1,
      out: [
        'deny action.unknown (no route of the server `payments` matches `DELETE /v1/payments`)',
        'action: no action of the catalog',
        'no policy was evaluated: the action is not known',
        'for another decision:',
        `  ${cures['action.unknown']}`,
      ],
      err: [],
    });
  });

  it('explains a case of a suite', async () => {
    const { code, out } = await run('--cases', 'cedar-policies/tests/payments.test.yaml', '--filter', 'dollars');
    expect([code, out[0], ...out.slice(-2)]).toEqual([
      1,
      'deny policy.forbidden by payments-euro-only',
      '  `payments-euro-only` forbids it as long as all of this holds: `context.args has currency` (context.args.currency is "USD"); `context.args.currency != "EUR"` (context.args.currency is "USD")',
      '  tried with no context.args.currency: allow',
    ]);
  });

  it('explains what limits over all tasks count, and a denial by one', async () => {
    const limited = join(folder(), 'limited');
    cpSync('cedar-policies', limited, { recursive: true });
    writeFileSync(
      join(limited, 'limits.yaml'),
      `limits:
  - id: a-day
    agents: ['*']
    actions: [payments.create]
    per: [agent]
    window: 1d
    amount: { argument: amount, limit: 500, currency: { argument: currency, value: EUR } }
`,
    );
    const pay = ['--action', 'payments.create', '--args', '{"amount": 20, "currency": "EUR"}', '--agent', planner];
    const at = (amount: number) => ['--policies', limited, '--limits', `{"a-day": {"amount": ${amount}}}`];
    const section = async (...args: readonly string[]) => {
      const { code, out } = await run(...pay, ...args);
      const from = out.indexOf('limits over all tasks:');
      return [
        code,
        out[0],
        ...out.slice(from, from + 2),
        ...out.slice(out.indexOf('for another decision:')).slice(0, 2),
      ];
    };
    expect((await section(...at(480))).slice(0, 4)).toEqual([
      0,
      'allow by payments-write',
      'limits over all tasks:',
      `  a-day: amount EUR, 480 before and 20 by this, of 500 until 2026-01-16T00:00:00Z, counted for ["${planner}"]`,
    ]);
    expect(await section(...at(481))).toEqual([
      1,
      'deny limit.exceeded (limit `a-day` of amount EUR: 481 of 500 used, until 2026-01-16T00:00:00Z)',
      'limits over all tasks:',
      `  a-day: amount EUR, 481 before and 20 by this, which is more than its 500 until 2026-01-16T00:00:00Z, counted for ["${planner}"]`,
      'for another decision:',
      `  ${cures['limit.exceeded']}`,
    ]);
    expect(JSON.parse((await run(...pay, ...at(1), '--json')).out.join(''))).toMatchObject({
      limits: [{ limit: 'a-day', counts: 'amount EUR', used: 1, takes: 20, max: 500, ends: '2026-01-16T00:00:00Z' }],
    });
    expect((await run(...pay, '--policies', limited, '--limits', '{"a-week": {"calls": 1}}')).err).toEqual([
      'remit policy explain: `limits.yaml` has no limit `a-week`',
    ]);
  });

  it('accepts a body and a purpose', async () => {
    const base = ['--policies', 'cedar-policies/examples/least-privilege', '--base', 'cedar-policies'];
    expect(await run(...LIST, '--agent', reporter, '--purpose', 'report: May', ...base)).toMatchObject({ code: 0 });
    const body =
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_ticket","arguments":{"title":"a","priority":1}}}';
    const { out } = await run('POST', 'https://tickets.acme.test/mcp', '--body', body, '--agent', reporter);
    expect(out[0]).toBe('deny policy.forbidden by tickets-urgent');
  });

  it('accepts the message of a gRPC method as JSON', async () => {
    const shop = join(folder(), 'shop');
    mkdirSync(shop);
    cpSync('cedar-policies/base.cedarschema', join(shop, 'base.cedarschema'));
    writeFileSync(join(shop, 'shop.binpb'), shopSet);
    writeFileSync(
      join(shop, 'actions.yaml'),
      `servers:
  shop:
    hosts: [shop.acme.test]
    audience: https://shop.acme.test
    grpc:
      descriptorSet: shop.binpb
      services:
        acme.shop.v1.Shop:
          methods:
            PlaceOrder: { action: shop.order, risk: low, args: { amount: { field: order.amount_cents, type: long, required: true } } }
`,
    );
    writeFileSync(
      join(shop, 'a.cedar'),
      '@id("small") permit (principal, action == Remit::Action::"shop.order", resource) when { context.args.amount <= 100 };',
    );
    const order = ['--grpc', 'acme.shop.v1.Shop/PlaceOrder', '--agent', planner, '--policies', shop];
    const small = await run(...order, '--args', '{"customer":"ada","order":{"amountCents":"100"}}');
    expect([small.code, small.out[0]]).toEqual([0, 'allow by small']);
    const large = await run(...order, '--args', '{"order":{"amount_cents":101}}');
    expect([large.code, large.out[0]]).toEqual([1, 'deny policy.not-permitted (no policy permits `shop.order`)']);
    expect(large.out.join('\n')).toContain('context.args.amount is 101');
    const wrong = await run(...order, '--args', '{"amount":1}');
    expect([wrong.code, wrong.err.join('')]).toEqual([
      2,
      expect.stringContaining('does not fit: message acme.shop.v1.PlaceOrderRequest: key "amount" is unknown'),
    ]);
  });

  it('accepts tools, methods, actions and tokens with their arguments, and circumstances, as options', async () => {
    const ticket = await run('--mcp', 'create_ticket', '--args', '{"title":"a","priority":1}', '--agent', reporter);
    expect([ticket.code, ticket.out[0]]).toEqual([1, 'deny policy.forbidden by tickets-urgent']);
    const create = ['--action', 'payments.create', '--agent', planner, '--args', '{"amount":5}'];
    expect((await run(...create)).out[0]).toBe('allow by payments-write');
    expect((await run(...create, '--risk', 'high')).out[0]).toBe('deny policy.forbidden by risk-raised');
    const issue = await run('--issue', 'payments.create', '--agent', reporter);
    expect(issue.out.slice(0, 2)).toEqual([
      'deny policy.not-permitted (no policy permits `issue`)',
      'action: issue payments.create, of high risk, at payments',
    ]);
    const by = 'spiffe://acme.test/ns/finance/sa/approvals';
    const said = ['--claimed', 'team=a', '--claimed', 'b=c=d', '--attested', `approval=finance@${by}`];
    const { out } = await run(...create, ...said, '--purpose', 'pay', '--json');
    expect(JSON.parse(out.join('')).asked.context).toMatchObject({
      intent: { purpose: 'pay' },
      claimed: ['b=c=d', 'team=a'],
      attested: [{ name: 'approval', value: 'finance', by }],
    });
    const bounded = ['--constraints', '{"max_calls":3,"max_amount":{"argument":"amount","limit":5}}', '--json'];
    const asked = await run('--issue', 'payments.create', '--agent', reporter, ...bounded);
    expect(JSON.parse(asked.out.join('')).asked.context.requested).toEqual({
      action: 'payments.create',
      risk: 'high',
      constraints: { singleUse: false, maxCalls: 3, maxAmount: { argument: 'amount', limit: 5 } },
    });
    const forAnn = ['--subject', 'ann', '--subject-attributes', '{"groups":["finance"],"tenant":"acme"}', '--json'];
    expect(JSON.parse((await run(...create, ...forAnn)).out.join('')).asked.context).toMatchObject({
      subject: 'ann',
      subjectAttributes: { groups: ['finance'], tenant: 'acme' },
    });
    const inSummer = await run(...create, '--now', '2026-07-15T23:30:00+02:00', '--json');
    expect(JSON.parse(inSummer.out.join('')).asked.context).toMatchObject({
      now: { __extn: { fn: 'datetime', arg: '2026-07-15T21:30:00Z' } },
      time: { office: { weekday: 3, minuteOfDay: 1410, date: { __extn: { fn: 'datetime', arg: '2026-07-15' } } } },
    });
    expect((await run(...LIST, '--agent', reporter, '--risk', 'high')).out[0]).toMatch(/^deny .* by risk-raised$/);
  });

  it('explains a recorded decision by its record', async () => {
    const { code, out } = await run('019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55', '--state', state);
    expect([code, ...out.slice(0, 8)]).toEqual([
      1,
      'recorded 2026-01-15T12:00:00.000Z: deny policy.not-permitted',
      `  POST https://payments.acme.test/v1/payments/7/refund, trace ${'a'.repeat(32)}`,
      '  the policies have changed since',
      '  query, headers and body are not recorded',
      '  the context is that of the task now',
      'such a call now:',
      'deny policy.not-permitted (no policy permits `payments.refund`)',
      'action: payments.refund, of high risk, at payments',
    ]);
  });

  it('explains the newest decision of a trace', async () => {
    const { code, err } = await run('a'.repeat(32), '--state', state);
    expect([code, err]).toEqual([
      1,
      ['remit policy explain: the caller of the recorded call was not known: identity.missing'],
    ]);
  });

  it('prints the recorded cause if arguments decided, and makes up none', async () => {
    const id = '00000000-0000-7000-8000-000000000003';
    const because = 'not decided again: that takes arguments of the call, which are not recorded';
    const { code, out } = await run(id, '--state', state);
    const detail = 'arguments of `payments.create`: `amount` must be a whole number';
    expect([code, out[0], out.at(-1)]).toEqual([
      1,
      `recorded 2026-01-15T12:00:00.000Z: deny action.arguments (${detail})`,
      because,
    ]);
    expect(JSON.parse((await run(id, '--state', state, '--json')).out.join(''))).toMatchObject({
      decision: 'deny',
      reason: 'action.arguments',
      detail,
      notKept: because,
      matched: [],
    });
    const allowed = await run('00000000-0000-7000-8000-000000000004', '--state', state);
    expect([allowed.code, allowed.out.at(-1)]).toEqual([0, because]);
    expect(allowed.out.join('\n')).not.toContain('action.arguments');
  });

  it('prints why an intent was refused', async () => {
    expect(await run(intent.decisionId, '--state', state)).toEqual({
      code: 1,
      out: [
        'recorded 2026-01-15T12:00:00.000Z: deny policy.not-permitted (no policy permits `payments.create`)',
        `  intent of ${reporter}: pay`,
        'an intent is not decided again',
      ],
      err: [],
    });
    expect((await run(intent.decisionId, '--state', state, '--as-test')).err).toEqual([
      'remit policy explain: the decision about an intent makes no test case',
    ]);
  });

  it('makes a test case of a recorded decision, with the earlier history of its task', async () => {
    const { code, out } = await run('019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55', '--state', state, '--as-test');
    const text = out.join('\n');
    expect(code).toBe(0);
    expect(text).toContain('history:\n      actions:\n        - payments.list\n      labels: []\n');
    const file = join(folder(), 'made.test.yaml');
    writeFileSync(file, text);
    expect((await run('--cases', file)).out[0]).toBe('deny policy.not-permitted (no policy permits `payments.refund`)');
  });

  it('prints one object with --json', async () => {
    const { code, out } = await run(
      'POST',
      'https://payments.acme.test/v1/payments',
      '--body',
      '{"amount":501}',
      '--agent',
      planner,
      '--json',
    );
    expect(code).toBe(1);
    expect(JSON.parse(out.join(''))).toMatchObject({
      decision: 'deny',
      reason: 'policy.forbidden',
      policies: ['payments-limit'],
      target: { action: 'payments.create', risk: 'high', issue: false },
      asked: { principal: planner, action: 'payments.create', context: { args: { amount: 501 } } },
      matched: [
        { id: 'payments-write' },
        { id: 'payments-limit', pieces: [{ part: 'when', standing: 'holds', line: 28, column: 8 }] },
      ],
      needed: [expect.stringContaining('`payments-limit` forbids it'), 'tried with context.args.amount 500: allow'],
      keyReads: expect.arrayContaining(['context.args.amount against long 500', 'context.args.currency']),
      keptMs: 1000,
      notKept: null,
      recorded: [],
    });
  });

  it('prints no key with --json if there is none', async () => {
    expect(await keptJson('--cases', 'cedar-policies/tests/issue.test.yaml')).toEqual({
      keyReads: null,
      keptMs: null,
      notKept: 'the policies are asked again for every token',
    });
    expect(await keptJson('DELETE', LIST[1] ?? '', '--agent', reporter)).toEqual({
      keyReads: null,
      keptMs: null,
      notKept: null,
    });
  });

  const bad: readonly (readonly [string, readonly string[], number, string])[] = [
    ['nothing', [], 2, 'METHOD and URL, `--cases` or a DECISION-ID is required'],
    ['a method alone', ['GET'], 2, '`GET` is neither a decision id nor a trace id, and METHOD needs a URL'],
    ['no agent', LIST, 2, '`--agent` is required'],
    ['an invalid agent', [...LIST, '--agent', 'planner'], 2, '`--agent`: a spiffe id must begin with `spiffe://`'],
    ['a call together with a case', ['--cases', 'x', ...LIST], 2, '`--cases` takes no call and no `--as-test`'],
    ['a test of something that is not a record', [...LIST, '--as-test'], 2, '`--as-test` takes a DECISION-ID'],
    ['missing cases', ['--cases', 'no/such'], 2, 'cannot read `no/such`: ENOENT'],
    ['invalid cases', ['--cases', 'package.json'], 2, 'package.json:2:3: unknown key `name` in a suite'],
    [
      'an unknown case name',
      ['--cases', 'cedar-policies/tests/payments.test.yaml', '--filter', 'cows'],
      2,
      'no case of `cedar-policies/tests/payments.test.yaml` has that in its name',
    ],
    [
      'missing policies',
      [...LIST, '--policies', 'no/such'],
      2,
      'no/such:1:1: the policy folder could not be read: ENOENT',
    ],
    ['a missing ledger', ['019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55', '--state', 'no/such'], 2, 'no/ledger'],
    ['arguments of a call', [...LIST, '--agent', reporter, '--args', '{}'], 2, '`--args` goes with `--action`'],
    ['invalid arguments', ['--action', 'files.read', '--agent', reporter, '--args', '[]'], 2, 'a JSON object'],
    ['invalid constraints', ['--issue', 'files.read', '--agent', reporter, '--constraints', '3'], 2, 'a JSON object'],
    ['two attempts', ['--action', 'a', '--mcp', 'b', '--agent', reporter], 2, 'exactly one of `--action`'],
    ['an invalid risk', [...LIST, '--agent', reporter, '--risk', 'huge'], 2, '`risk`'],
    ['an instant without a zone', [...LIST, '--agent', reporter, '--now', '2026-07-15T23:30:00'], 2, '`now`'],
    ['a claim without a value', [...LIST, '--agent', reporter, '--claimed', 'x'], 2, '`name=value`'],
    [
      'an attestation without an attester',
      [...LIST, '--agent', reporter, '--attested', 'x=y'],
      2,
      '`name=value@SPIFFE-ID`',
    ],
    ['an unknown option', ['--why'], 2, "Unknown option '--why'"],
  ];
  it.each(bad)('refuses %s', async (_name, args, code, message) => {
    const result = await run(...args);
    expect([result.code, result.out]).toEqual([code, []]);
    expect(result.err.join('\n')).toContain(message);
  });

  it('reports an unknown decision, and a decision that makes no case', async () => {
    expect(await run('00000000-0000-7000-8000-000000000009', '--state', state)).toEqual({
      code: 1,
      out: [],
      err: [
        `remit policy explain: there is no decision \`00000000-0000-7000-8000-000000000009\` in \`${join(dirname(state), 'ledger')}\``,
      ],
    });
    expect(await run('00000000-0000-7000-8000-000000000002', '--state', state)).toEqual({
      code: 1,
      out: [],
      err: ['remit policy explain: the caller of the recorded call was not known: identity.missing'],
    });
  });
});
