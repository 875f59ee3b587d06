import { beforeAll, describe, expect, it } from '@jest/globals';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { decisionText } from '../../../../src/tools/policy/cases/case-verdict.ts';
import { caseFileFrom } from '../../../../src/tools/policy/cases/case-file.ts';
import { rehearseLimited } from '../../../../src/tools/policy/cases/limited-case.ts';
import { runSuites } from '../../../../src/tools/policy/cases/run-suites.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { must } from '../../../builders/must.ts';
import { findingLines, mustCases } from './folder.ts';

const PAYER = 'spiffe://acme.test/ns/agents/sa/payer';
const CATALOG = `servers:
  payments:
    hosts: [payments.acme.test]
    audience: https://payments.acme.test
    routes:
      - action: payments.create
        method: POST
        path: /v1/payments
        risk: high
        accepts: [task-token, workload-identity]
        args:
          amount: { from: body, type: long, required: true }
          currency: { from: body }
          price: { from: body, type: decimal }
          account: { from: body }
`;
const LIMITS = `limits:
  - id: a-day
    agents: ['spiffe://acme.test/*']
    actions: [payments.create]
    per: [agent, user]
    window: 1d
    calls: 200
    amount: { argument: amount, limit: 5000, currency: { argument: currency, value: EUR } }
    distinct: { argument: account, limit: 2 }
  - { id: prices, agents: ['*'], actions: [payments.create], per: [], window: 1h, amount: { argument: price, limit: '99.95' } }
  - { id: tasks, agents: ['*'], per: [user], window: 1h, tasks: 3, openTasks: 5 }
`;

let set: PolicySet;
beforeAll(async () => {
  set = await mustLoad(
    folderWith('@id("all") permit (principal, action, resource);', { catalog: CATALOG, limits: LIMITS }),
  );
});

const PAY = 'action: payments.create, args: { amount: 10, currency: EUR, price: 1.5, account: a }';

function judged(item: string, policies = set): ReturnType<typeof rehearseLimited> {
  const [test] = mustCases(`cases:\n  - { name: a, agent: '${PAYER}', expect: deny, ${item} }\n`);
  if (test === undefined) throw new Error('no case');
  return rehearseLimited(test.attempt, test.circumstances, policies);
}

const text = (item: string, policies = set): string => {
  const rehearsal = judged(item, policies);
  return isProblem(rehearsal) ? rehearsal.problem : decisionText(rehearsal.decision);
};

const over = (id: string, used: string, until: string): string =>
  `deny limit.exceeded (limit \`${id}\` of ${used} used, until ${until})`;
const DAY = '2026-01-16T00:00:00Z';
const HOUR = '2026-01-15T13:00:00Z';
const messages = (item: string): readonly string[] => {
  const cases = mustCases(`cases:\n  - { name: a, agent: '${PAYER}', ${item} }\n`);
  const options = { isUnlistedTried: false, onProgress: () => undefined };
  return must(runSuites({ files: 1, cases, cedarTests: [] }, set, options)).cases.flatMap((one) => one.messages);
};

describe('rehearseLimited', () => {
  it.each<[string, string, string]>([
    ['nothing was counted', PAY, 'allow by all'],
    ['one call is left', `${PAY}, limits: { a-day: { calls: 199 } }`, 'allow by all'],
    ['no call is left', `${PAY}, limits: { a-day: { calls: 200 } }`, over('a-day', 'calls: 200 of 200', DAY)],
    ['the amount is left exactly', `${PAY}, limits: { a-day: { amount: 4990 } }`, 'allow by all'],
    [
      'a part of the amount is left',
      `${PAY}, limits: { a-day: { amount: 4991 } }`,
      over('a-day', 'amount EUR: 4991 of 5000', DAY),
    ],
    ['decimals are left exactly', `${PAY}, limits: { prices: { amount: '98.45' } }`, 'allow by all'],
    [
      'a part of the decimals is left',
      `${PAY}, limits: { prices: { amount: '98.4501' } }`,
      over('prices', 'amount: 98.4501 of 99.95', HOUR),
    ],
    [
      'decimals were counted as a whole number',
      `${PAY}, limits: { prices: { amount: 99 } }`,
      over('prices', 'amount: 99 of 99.95', HOUR),
    ],
    ['another value has room', `${PAY}, limits: { a-day: { distinct: 1 } }`, 'allow by all'],
    [
      'no other value has room',
      `${PAY}, limits: { a-day: { distinct: 2 } }`,
      over('a-day', 'different account: 2 of 2', DAY),
    ],
    ['the value was counted', `${PAY}, limits: { a-day: { distinct: [a, b] } }`, 'allow by all'],
    [
      'the value was counted, and more than are allowed now',
      `${PAY}, limits: { a-day: { distinct: [a, b, c] } }`,
      'allow by all',
    ],
    [
      'nothing is summed, and more was than is allowed now',
      'action: payments.create, args: { amount: 0, currency: EUR, price: 0, account: a }, limits: { a-day: { amount: 5001 }, prices: { amount: 100 } }',
      'allow by all',
    ],
    [
      'other values were counted',
      `${PAY}, limits: { a-day: { distinct: [b, c] } }`,
      over('a-day', 'different account: 2 of 2', DAY),
    ],
    [
      'the call lacks what is summed',
      'action: payments.create, args: { amount: 10, currency: EUR, account: a }',
      'deny action.arguments (limit `prices` needs `price`, a number of 0 or more)',
    ],
    ['a token is asked for', 'issue: payments.create, limits: { tasks: { tasks: 2, openTasks: 4 } }', 'allow by all'],
    [
      'no task may be declared',
      'issue: payments.create, limits: { tasks: { tasks: 3 } }',
      over('tasks', 'tasks: 3 of 3', HOUR),
    ],
    [
      'no further task may be open',
      'issue: payments.create, limits: { tasks: { openTasks: 5 } }',
      over('tasks', 'open tasks: 5 of 5', 'a task ends'),
    ],
    [
      'a token is asked for, and two limits are used up',
      'issue: payments.create, limits: { tasks: { tasks: 3, openTasks: 5 } }',
      over('tasks', 'open tasks: 5 of 5', 'a task ends'),
    ],
    [
      'the policies deny before',
      "call: { method: GET, url: 'https://payments.acme.test/v1/payments' }, limits: { a-day: { calls: 200 } }",
      'deny action.unknown (no route of the server `payments` matches `GET /v1/payments`)',
    ],
  ])('decides if %s', (_name, item, expected) => {
    expect(text(item)).toBe(expected);
  });

  it('says what each counter has, for whom, and until when', () => {
    const rehearsal = judged(
      `${PAY}, task: { subject: ann }, limits: { a-day: { calls: 7, distinct: [a] }, prices: { amount: 2 } }`,
    );
    const day = { limit: 'a-day', who: JSON.stringify([PAYER, 'ann']), ends: '2026-01-16T00:00:00Z' };
    expect(isProblem(rehearsal) ? [] : rehearsal.counters).toEqual([
      { ...day, counts: 'calls', used: 7, takes: 1, max: 200 },
      { ...day, counts: 'amount EUR', used: 0, takes: 10, max: 5000 },
      { ...day, counts: 'different account', used: 1, takes: 0, max: 2 },
      { limit: 'prices', who: '[]', ends: '2026-01-15T13:00:00Z', counts: 'amount', used: 2, takes: 1.5, max: 99.95 },
    ]);
    const declared = judged('issue: payments.create, limits: { tasks: { tasks: 1 } }');
    expect(isProblem(declared) ? [] : declared.counters).toMatchObject([
      { counts: 'open tasks', used: 0, takes: 1, max: 5, ends: null },
      { counts: 'tasks', who: JSON.stringify([PAYER]), used: 1, takes: 1, max: 3, ends: '2026-01-15T13:00:00Z' },
    ]);
  });

  it('counts each different value that one call brings, after those before it', async () => {
    const catalog = `servers:
  bank:
    hosts: [bank.test]
    audience: https://bank.test
    mcp:
      path: /mcp
      tools:
        pay: { action: pay, risk: medium, args: { to: {} }, inputs: { other: { content: { to: {} } } } }
`;
    const limits = `limits: [{ id: l, agents: ['*'], actions: [pay], per: [], window: 1d, distinct: { argument: to, limit: 2 } }]\n`;
    const policies = await mustLoad(
      folderWith('@id("all") permit (principal, action, resource);', { catalog, limits }),
    );
    const paid =
      'mcp: { tool: pay, arguments: { to: a }, inputs: { other: { action: accept, content: { to: b } } } }, limits: { l: ';
    expect(text(`${paid}{ distinct: 0 } }`, policies)).toBe('allow by all');
    expect(text(`${paid}{ distinct: 1 } }`, policies)).toBe(over('l', 'different to: 2 of 2', DAY));
    expect(text(`${paid}{ distinct: [b] } }`, policies)).toBe('allow by all');
    expect(text(`${paid}{ distinct: [c, b] } }`, policies)).toBe(over('l', 'different to: 2 of 2', DAY));
  });

  it('counts an identity alone for its agent, whatever the subject', () => {
    const rehearsal = judged(`${PAY}, task: { subject: ann }, credential: { kind: workload-identity }`);
    expect(isProblem(rehearsal) ? null : rehearsal.counters[0]?.who).toBe(JSON.stringify([PAYER, PAYER]));
  });
});

describe('a suite with limits', () => {
  const exceeded = 'expect: deny, reason: limit.exceeded';

  it.each<[string, string, readonly string[]]>([
    ['passes a limit that is met', `${PAY}, limits: { a-day: { calls: 200 } }, ${exceeded}`, []],
    [
      'fails a limit that is not met',
      `${PAY}, limits: { a-day: { calls: 199 } }, ${exceeded}`,
      ['expected deny, got allow by all'],
    ],
    [
      'refuses a limit that the set lacks',
      `${PAY}, limits: { a-week: { calls: 9 } }, ${exceeded}`,
      ['`limits.yaml` has no limit `a-week`'],
    ],
    [
      'refuses a count that the limit does not keep',
      `${PAY}, limits: { prices: { calls: 9 } }, ${exceeded}`,
      ['the limit `prices` does not count `calls`'],
    ],
    [
      'refuses decimals of a whole amount',
      `${PAY}, limits: { a-day: { amount: '1.5' } }, ${exceeded}`,
      ['the `amount` of the limit `a-day` is a whole number'],
    ],
  ])('%s', (_name, item, expected) => {
    expect(messages(item)).toEqual(expected);
  });

  it('refuses what cannot be read, at its place', () => {
    const read = caseFileFrom(
      `cases:\n  - name: a\n    agent: ${PAYER}\n    action: payments.create\n    expect: deny\n    limits: { a-day: { calls: -1, uses: 2 } }\n`,
      's.test.yaml',
    );
    expect('findings' in read ? findingLines(read.findings) : []).toEqual([
      's.test.yaml:6:31: `calls` must be a whole number from 0 to 9007199254740991',
      's.test.yaml:6:35: unknown key `uses` in the limit `a-day`',
    ]);
  });

  it('does not hide what no case lists behind a limit that is used up', () => {
    const cases = mustCases(`defaults: { agent: '${PAYER}' }
cases:
  - { name: a, ${PAY}, limits: { a-day: { calls: 200 } }, ${exceeded} }
  - { name: b, issue: payments.create, expect: allow }
`);
    const options = { isUnlistedTried: true, onProgress: () => undefined };
    expect(must(runSuites({ files: 1, cases, cedarTests: [] }, set, options)).unlisted?.allowed).toMatchObject([
      { agent: PAYER, what: 'payments.create' },
    ]);
  });
});
