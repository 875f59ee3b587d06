import { describe, expect, it } from '@jest/globals';
import { limitsFrom } from '../../../../src/core/policy/loading/limits-file.ts';
import { mustCatalog } from '../../../builders/catalog.ts';
import { findingsOf, folderWith, mustLoad } from '../../../builders/policy-folder.ts';

const catalog = mustCatalog(`servers:
  payments:
    hosts: [payments.acme.test]
    audience: https://payments.acme.test
    routes:
      - action: payments.create
        method: POST
        path: /v1/payments
        risk: high
        args:
          amount: { from: body, type: long, required: true }
          price: { from: body, type: decimal, required: true }
          currency: { from: body, required: true }
          fee: { from: body, type: long }
          unit: { from: body }
          account: { from: body }
          tags: { from: body, type: strings }
          urgent: { from: body, type: bool }
      - { action: payments.list, method: GET, path: /v1/payments, risk: low }
  tickets:
    hosts: [tickets.acme.test]
    audience: https://tickets.acme.test
    mcp:
      path: /mcp
      tools:
        search: { action: tickets.search, risk: low, args: { query: { required: true } } }
`);
const whole = {
  id: 'a-day',
  agents: "['spiffe://acme.test/*']",
  actions: '[payments.create]',
  per: '[agent]',
  window: '1d',
  calls: '200',
};
type Key = keyof typeof whole | 'amount' | 'distinct' | 'tasks' | 'openTasks' | 'effect' | 'servers';
type Written = Readonly<Partial<Record<Key, string>>>;
/** An entry with what a test changes; `''` leaves a key out. */
const entry = (changed: Written = {}): string =>
  Object.entries({ ...whole, ...changed })
    .filter(([, value]) => value !== '')
    .map(([key, value], at) => `${at === 0 ? '  - ' : '    '}${key === 'effect' ? 'then' : key}: ${value}\n`)
    .join('');
const read = (text: string): ReturnType<typeof limitsFrom> => limitsFrom({ file: 'p/limits.yaml', text }, catalog);
const found = (text: string): readonly string[] =>
  read(text).findings.map(
    ({ file, line, column, message, help }) =>
      `${file}:${line}:${column}: ${message}${help === null ? '' : `. ${help}`}`,
  );
const entries = (count: number): string => Array.from({ length: count }, (_, n) => entry({ id: `e${n}` })).join('');
const many = (count: number, of: (n: number) => string): string =>
  `[${Array.from({ length: count }, (_, n) => `'${of(n)}'`).join(', ')}]`;
const onlyTasks: Written = { actions: '', calls: '', tasks: '5' };
const onlyOpen: Written = { actions: '', calls: '', window: '', openTasks: '50' };

const warned = (count: number, of: (n: number) => Written): readonly (string | null)[] =>
  read(`limits:\n${Array.from({ length: count }, (_, n) => entry({ id: `e${n}`, ...of(n) })).join('')}`).warnings.map(
    ({ message }) => message,
  );
const crowded = (n: number, agent = 'spiffe://acme.test/*') => [
  `with the limit \`e${n}\` a call of \`${agent}\` takes from more than 60 counters`,
];

describe('limitsFrom', () => {
  it('reads limits in the order of the file', () => {
    const text = `limits:
  - id: payments-a-day
    agents: ['spiffe://acme.test/ns/agents/sa/*', '*']
    actions: [payments.create]
    per: [user, agent]
    window: 1d
    calls: 200
    amount: { argument: amount, limit: 5000, currency: { argument: currency, value: EUR } }
    distinct: { argument: account, limit: 20 }
    then: suspend
  - { id: everything, agents: ['*'], per: [], window: 1m, calls: 9 }
  - { id: prices, agents: ['*'], actions: [payments.create], per: [server], window: 1h, amount: { argument: price, limit: '99.95' } }
  - { id: open-tasks, agents: ['*'], per: [agent], openTasks: 50, then: stop }
  - { id: declared, agents: ['*'], per: [user], window: 1h, tasks: 7, openTasks: 3 }
`;
    expect(read(text)).toEqual({
      limits: [
        {
          id: 'payments-a-day',
          agents: ['spiffe://acme.test/ns/agents/sa/*', '*'],
          actions: ['payments.create'],
          per: ['user', 'agent'],
          windowMs: 86_400_000,
          measures: [
            { of: 'calls', max: 200 },
            {
              of: 'amount',
              argument: 'amount',
              isDecimal: false,
              max: 5000,
              currency: { argument: 'currency', value: 'EUR' },
            },
            { of: 'distinct', argument: 'account', max: 20 },
          ],
          effect: 'suspend',
          place: { file: 'p/limits.yaml', line: 2, column: 5 },
        },
        expect.objectContaining({ id: 'everything', actions: null, per: [], windowMs: 60_000, effect: 'deny' }),
        expect.objectContaining({
          windowMs: 3_600_000,
          measures: [{ of: 'amount', argument: 'price', isDecimal: true, max: 999_500, currency: null }],
        }),
        expect.objectContaining({ windowMs: null, measures: [{ of: 'openTasks', max: 50 }], effect: 'stop' }),
        expect.objectContaining({
          measures: [
            { of: 'tasks', max: 7 },
            { of: 'openTasks', max: 3 },
          ],
        }),
      ],
      findings: [],
      warnings: [],
    });
  });

  it.each([
    ['a missing file', undefined],
    ['an empty file', ''],
    ['a file with comments alone', '# nothing yet\n'],
    ['a file without entries', 'limits: []\n'],
    ['a file with an empty key', 'limits:\n'],
  ])('limits nothing by %s', (_name, text) => {
    const source = text === undefined ? undefined : { file: 'limits.yaml', text };
    expect(limitsFrom(source, catalog)).toEqual({ limits: [], findings: [], warnings: [] });
  });

  const pattern =
    'must be a SPIFFE ID such as `spiffe://acme.test/ns/legacy/*`: invalid SPIFFE ID; `*` stands for any part of one segment of its path';
  it.each<[string, string, string]>([
    [
      'no id',
      entry({ id: '' }),
      '2:5: a limit lacks the key `id`. a word that is this limit in records, metrics and counters, such as `id: payments-a-day`',
    ],
    [
      'an id with a space',
      entry({ id: 'a day' }),
      '2:9: `id` `a day` must be letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 64',
    ],
    ['the id of another limit', entry() + entry(), '8:9: the id `a-day` is of another entry too. give each its own'],
    [
      'no agents',
      entry({ agents: '' }),
      "2:5: a limit lacks the key `agents`. whose uses are counted, such as `agents: ['spiffe://acme.test/ns/agents/*']`; `['*']` is every agent",
    ],
    [
      'an empty list of agents',
      entry({ agents: '[]' }),
      '3:13: `agents` names none. leave the entry out, or name 1 to 64',
    ],
    [
      '65 agents',
      entry({ agents: many(65, (n) => `spiffe://acme.test/a${n}`) }),
      '3:13: `agents` names 65. at most 64: write several entries',
    ],
    ['an agent that is no SPIFFE ID', entry({ agents: "['legacy']" }), `3:14: the agent \`legacy\` ${pattern}`],
    [
      'a pattern of trust domains',
      entry({ agents: "['spiffe://*/a']" }),
      `3:14: the agent \`spiffe://*/a\` ${pattern}`,
    ],
    [
      'an unknown action',
      entry({ actions: '[payments.creat]' }),
      '4:15: unknown action `payments.creat`. did you mean `payments.create`?',
    ],
    [
      'an action like no other',
      entry({ actions: '[pay]' }),
      '4:15: unknown action `pay`. actions are named by their ids in `actions.yaml`',
    ],
    [
      'an action that only opens sessions',
      entry({ actions: '[tickets.mcp.session]' }),
      '4:15: the action `tickets.mcp.session` only opens sessions. name the actions of its tools: opening a session is never counted',
    ],
    [
      'no `per`',
      entry({ per: '' }),
      '2:5: a limit lacks the key `per`. `per: [agent]` counts each agent by itself; `user` and `server` likewise; `per: []` is one counter for all',
    ],
    [
      'an unknown key of `per`',
      entry({ per: '[task]' }),
      '5:11: a key of `per` `task` must be one of `agent`, `user`, `server`',
    ],
    ['a key of `per` twice', entry({ per: '[agent, agent]' }), '5:18: `per` has `agent` twice. write each once'],
    [
      'tasks per server',
      entry({ ...onlyTasks, per: '[server]' }),
      '4:11: `tasks` cannot be counted per `server`. count tasks per `agent` or `user`',
    ],
    [
      'open tasks of all together',
      entry({ ...onlyOpen, per: '[]' }),
      '4:10: `openTasks` needs `agent` or `user` in `per`. write `per: [agent]`',
    ],
    ['no window', entry({ window: '' }), '2:5: a limit lacks the key `window`. write `window: 1d`, `1h` or `1m`'],
    ['a window of a week', entry({ window: '7d' }), '6:13: `window` `7d` must be one of `1m`, `1h`, `1d`'],
    [
      'a window of open tasks',
      entry({ ...onlyOpen, window: '1d' }),
      '5:13: `openTasks` has no window: it counts what is open now. leave it out, or limit `tasks`, which are counted in a window',
    ],
    [
      'nothing that is counted',
      entry({ calls: '' }),
      '2:5: a limit counts nothing. give it `calls`, `amount`, `distinct`, `tasks`, `openTasks`',
    ],
    ['no calls at all', entry({ calls: '0' }), '7:12: `calls` `0` must be a whole number from 1 to 1000000000'],
    ['half a call', entry({ calls: '0.5' }), '7:12: `calls` `0.5` must be a whole number from 1 to 1000000000'],
    [
      'actions of tasks',
      entry({ ...onlyTasks, actions: '[payments.create]' }),
      '4:14: tasks are counted whatever their actions. leave `actions` out',
    ],
    [
      'an amount without its argument',
      entry({ amount: '{ limit: 5000 }' }),
      '8:13: `amount` lacks the key `argument`. the argument to sum, such as `argument: amount`',
    ],
    [
      'an amount without its limit',
      entry({ amount: '{ argument: amount }' }),
      '8:13: `amount` lacks the key `limit`. the largest sum in a window, such as `limit: 5000`, or `limit: "99.95"` to sum decimals',
    ],
    [
      'an amount with an unknown key',
      entry({ amount: '{ argument: amount, max: 5, limit: 5 }' }),
      '8:33: unknown key `max` in `amount`. known: argument, limit, currency',
    ],
    [
      'a negative amount',
      entry({ amount: '{ argument: amount, limit: -1 }' }),
      '8:40: `limit` `-1` must be a whole number from 0 to 9007199254740991, or a decimal as text such as `"99.95"`',
    ],
    [
      'an amount of 0',
      entry({ amount: '{ argument: amount, limit: 0 }' }),
      '8:40: `limit` is 0, so nothing is ever left. a policy that forbids the action says that',
    ],
    [
      'an amount of an argument that the action lacks',
      entry({ amount: '{ argument: amout, limit: 5 }' }),
      '8:25: the action `payments.create` has no argument `amout`. it has `amount`, `price`, `currency`, `fee`, `unit`, `account`, `tags`, `urgent`',
    ],
    [
      'an amount of an action without arguments',
      entry({ actions: '[payments.create, payments.list]', amount: '{ argument: amount, limit: 5 }' }),
      '8:25: the action `payments.list` has no argument `amount`. it has none',
    ],
    [
      'an amount of every action',
      entry({ actions: '', amount: '{ argument: amount, limit: 5 }' }),
      '7:25: `amount` reads the argument `amount` of every action. name the `actions` that have it: every other action would be denied for want of it',
    ],
    [
      'an amount of a string',
      entry({ amount: '{ argument: account, limit: 5 }' }),
      '8:25: the argument `account` of `payments.create` is a `string`. sum a `long`, or a `decimal` with the limit as text',
    ],
    [
      'a whole amount of decimals',
      entry({ amount: '{ argument: price, limit: 5 }' }),
      '8:25: the argument `price` of `payments.create` is a `decimal`. write the limit as text with a point, such as `limit: "5000.00"`',
    ],
    [
      'a currency without its value',
      entry({ amount: '{ argument: amount, limit: 5, currency: { argument: currency } }' }),
      '8:53: `currency` lacks the key `value`. the currency that is summed, such as `value: EUR`',
    ],
    [
      'a currency that is a number',
      entry({ amount: '{ argument: amount, limit: 5, currency: { argument: amount, value: EUR } }' }),
      '8:65: the argument `amount` of `payments.create` is a `long`. a currency is a `string`',
    ],
    [
      'more distinct values than are stored',
      entry({ distinct: '{ argument: account, limit: 10001 }' }),
      '8:43: `limit` `10001` must be a whole number from 1 to 10000',
    ],
    [
      'distinct lists',
      entry({ distinct: '{ argument: tags, limit: 5 }' }),
      '8:27: the argument `tags` of `payments.create` is a `strings`. tell values of a `string`, `long` or `decimal` apart',
    ],
    [
      'distinct values without their argument',
      entry({ distinct: '{ limit: 5 }' }),
      '8:15: `distinct` lacks the key `argument`. the argument whose values are told apart, such as `argument: account`',
    ],
    ['an unknown effect', entry({ effect: 'block' }), '8:11: `then` `block` must be one of `deny`, `suspend`, `stop`'],
    [
      'a task to suspend that there is not yet',
      entry({ ...onlyTasks, effect: 'suspend' }),
      '7:11: `then: suspend` has no task to suspend: this limit refuses to declare one. write `then: deny`, or `then: stop` to stop the agent',
    ],
    [
      'an unknown key',
      entry({ servers: '[payments]' }),
      '8:5: unknown key `servers` in a limit. known: id, agents, actions, per, window, then, calls, amount, distinct, tasks, openTasks',
    ],
  ])('refuses %s', (_name, text, finding) => {
    expect(found(`limits:\n${text}`)).toEqual([`p/limits.yaml:${finding}`]);
  });

  it('refuses what is not a list, another key, and YAML that does not parse', () => {
    expect(found('limits: all\n')).toEqual(['p/limits.yaml:1:9: `limits` must be a list']);
    expect(found('limit: []\n')).toEqual(['p/limits.yaml:1:1: unknown key `limit` in the file. known: limits']);
    expect(found('- a\n')).toEqual(['p/limits.yaml:1:1: the file must be a mapping']);
    expect(found('limits: [\n')).not.toEqual([]);
  });

  it('refuses more than 200 limits', () => {
    expect(found(`limits:\n${entries(200)}`)).toEqual([]);
    expect(found(`limits:\n${entries(201)}`)).toEqual([
      'p/limits.yaml:1:1: `limits` has 201 entries. at most 200: join limits',
    ]);
  });

  it('warns of what is summed and calls may lack, since such calls are denied', () => {
    const of = (amount: string) =>
      read(`limits:\n${entry({ amount })}`).warnings.map(
        ({ line, column, message, help }) => `${line}:${column}: ${message}. ${help}`,
      );
    const told = 'write `required: true` in the catalog, so that agents are told';
    expect(of('{ argument: fee, limit: 5, currency: { argument: unit, value: EUR } }')).toEqual([
      `8:62: the argument \`unit\` of \`payments.create\` is optional, and a call without it is denied by this limit. ${told}`,
      `8:25: the argument \`fee\` of \`payments.create\` is optional, and a call without it is denied by this limit. ${told}`,
    ]);
    expect(of('{ argument: amount, limit: 5, currency: { argument: currency, value: EUR } }')).toEqual([]);
    // That there is no value is a value too.
    expect(read(`limits:\n${entry({ distinct: '{ argument: account, limit: 5 }' })}`).warnings).toEqual([]);
  });

  it('warns of an agent that is stopped for what others used', () => {
    const text = `limits:\n${entry({ per: '[user]', effect: 'stop' })}`;
    expect(read(text).warnings).toEqual([
      {
        file: 'p/limits.yaml',
        line: 8,
        column: 11,
        message: 'the limit `a-day` stops an agent for what others used too',
        help: 'add `agent` to `per`, or write `then: deny`',
      },
    ]);
    expect(read(`limits:\n${entry({ per: '[user, agent]', effect: 'stop' })}`).warnings).toEqual([]);
  });

  it('warns of the first limit by which a call takes from more than 60 counters', () => {
    expect(warned(60, () => ({}))).toEqual([]);
    expect(warned(61, () => ({}))).toEqual(crowded(60));
    expect(warned(100, () => ({ distinct: '{ argument: account, limit: 5 }' }))).toEqual(crowded(30));
    // Those of other actions and agents, and of tasks, count for no call of these.
    expect(warned(120, (n) => ({ actions: n % 2 === 0 ? '[payments.list]' : '[payments.create]' }))).toEqual([]);
    expect(warned(120, (n) => ({ agents: `['spiffe://acme.test/${n % 2}/*']` }))).toEqual([]);
    expect(warned(120, () => onlyTasks)).toEqual([]);
    expect(warned(61, (n) => (n === 60 ? { actions: '', agents: "['*']" } : {}))).toEqual(crowded(60));
    const one = 'spiffe://acme.test/one';
    expect(warned(61, (n) => ({ agents: n === 60 ? `['${one}']` : "['spiffe://acme.test/*']" }))).toEqual(
      crowded(60, one),
    );
  });
});

describe('a policy set with limits', () => {
  const permit = '@id("p") permit (principal, action, resource);';
  const limits = `limits:\n${entry({ effect: 'stop', per: '[]' })}`;

  it('has the limits, a hash of its own, and warnings', async () => {
    const plain = await mustLoad(folderWith(permit));
    const set = await mustLoad(folderWith(permit, { limits }));
    const other = await mustLoad(folderWith(permit, { limits: limits.replace('200', '201') }));
    expect([plain.limits, set.limits.map(({ id }) => id)]).toEqual([[], ['a-day']]);
    expect(new Set([plain.hash, set.hash, other.hash]).size).toBe(3);
    expect(set.warnings.map(({ file, line }) => `${file}:${line}`)).toContain('p/limits.yaml:8');
  });

  it('is not loaded with a finding', async () => {
    const source = folderWith(permit, { limits: limits.replace('payments.create', 'payments.made') });
    expect(await findingsOf(source)).toEqual(['p/limits.yaml:4:15: unknown action `payments.made`']);
  });
});
