import { beforeAll, describe, expect, it } from '@jest/globals';
import { taskPreview, taskPreviewJson } from '../../../../src/authority/issuer/tasks/task-tools.ts';
import { isOAuthError } from '../../../../src/authority/issuer/oauth-error.ts';
import type { ObserveEntry } from '../../../../src/core/policy/enforcement.ts';
import { everyUseDenied } from '../../../../src/core/policy/every-use.ts';
import { Orders } from '../../../../src/core/order/orders.ts';
import type { Order } from '../../../../src/core/order/order.ts';
import { observeOrder, stopOrder } from '../../../builders/order.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { taskNumber } from '../../../builders/task.ts';
import { type Bench, startBench } from '../bench.ts';

const NOW_MS = 1_500;
const TICKETS = 'https://tickets.acme.test';

const catalog = (more = '', tools = ''): string => `servers:
  tickets:
    hosts: [tickets.acme.test]
    audience: ${TICKETS}
    mcp:
      path: /mcp
${more}      tools:
        search: { action: tickets.search, risk: low }
        create: { action: tickets.create, risk: low, args: { amount: { type: long }, currency: {} } }
        drop table: { action: tickets.drop, risk: low }
        spend: { action: tickets.spend, risk: low, args: { amount: { type: decimal } } }
${tools}`;

const PERMITS = `@id("some") permit (principal, action, resource);
@id("no-drop") forbid (principal, action == Remit::Action::"tickets.drop", resource);
@id("late") forbid (principal, action == Remit::Action::"tickets.create", resource) when { context.args has amount && context.args.amount > 5 };`;

const entry = (actions: readonly string[], constraints?: object): object => ({
  type: 'urn:remit:task',
  locations: [TICKETS],
  actions,
  purpose: 'look',
  ...(constraints === undefined ? {} : { constraints }),
});

/** The answer for a task with these entries. */
async function toolsFor(
  details: readonly object[],
  {
    text = catalog(),
    policies = PERMITS,
    limits = '',
    observed = [],
    orders = [],
  }: {
    readonly text?: string;
    readonly policies?: string;
    /** The entries of `limits.yaml`. */
    readonly limits?: string;
    readonly observed?: readonly ObserveEntry[];
    readonly orders?: readonly Order[];
  } = {},
): Promise<unknown> {
  const overall = limits === '' ? {} : { limits: `limits:\n${limits}` };
  const set = await mustLoad(folderWith(policies, { catalog: text, ...overall }));
  const task = taskNumber(1, { detailsJson: JSON.stringify(details) });
  const preview = await taskPreview(task, {
    policies: {
      catalog: set.catalog,
      everyUseDenied: (uses) => everyUseDenied(set, uses),
      limits: set.limits,
      observed,
    },
    authority: {
      ordersInForce: async () => Orders.of(orders),
      clocks: () => ({ wallMs: NOW_MS, floorMs: NOW_MS, monotonicMs: NOW_MS }),
    },
    nextTurn: async () => undefined,
  });
  if (isOAuthError(preview)) return [preview.error, preview.description];
  return (taskPreviewJson(task.id, preview) as { readonly tools?: unknown }).tools ?? null;
}

describe('taskPreview', () => {
  it('shows the tools that intent and policies could allow, and no others', async () => {
    expect(await toolsFor([entry(['tickets.search', 'tickets.create', 'tickets.drop'])])).toEqual({
      shown: [
        { name: 'search', action: 'tickets.search' },
        { name: 'create', action: 'tickets.create' },
      ],
    });
    expect(await toolsFor([entry(['tickets.*'])])).toEqual({
      shown: [
        { name: 'search', action: 'tickets.search' },
        { name: 'create', action: 'tickets.create' },
        { name: 'spend', action: 'tickets.spend' },
      ],
    });
  });

  it.each(['result', 'text', 'error', 'http'])('says how the server answers denied calls: %s', async (denials) => {
    const text = catalog(`      denials: ${denials}\n`);
    expect(await toolsFor([entry(['tickets.search'])], { text })).toEqual({
      shown: [{ name: 'search', action: 'tickets.search' }],
      ...(denials === 'result' ? {} : { denials }),
    });
  });

  it('shows tools that the catalog does not name if the task may use the action for everything else', async () => {
    const text = catalog('      other: { action: tickets.else, risk: low }\n');
    expect(await toolsFor([entry(['tickets.search', 'tickets.else'])], { text })).toEqual({
      shown: [{ name: 'search', action: 'tickets.search' }],
      others: true,
      hidden: ['create', 'drop table', 'spend'],
    });
    expect(await toolsFor([entry(['tickets.search'])], { text })).toEqual({
      shown: [{ name: 'search', action: 'tickets.search' }],
    });
  });

  it('says the pins of the tools, and shows nothing else beside pins', async () => {
    const pin = `sha-256:${'x'.repeat(43)}`;
    const tools = `        pinned: { action: tickets.pinned, risk: low, pin: '${pin}' }\n`;
    const text = catalog('      other: { action: tickets.else, risk: low }\n', tools);
    expect(await toolsFor([entry(['tickets.search', 'tickets.pinned', 'tickets.else'])], { text })).toEqual({
      shown: [
        { name: 'search', action: 'tickets.search' },
        { name: 'pinned', action: 'tickets.pinned', pin },
      ],
    });
  });

  it('hides a tool that takes no task token', async () => {
    const tools = '        mine: { action: tickets.mine, risk: low, accepts: [external-token] }\n';
    expect(await toolsFor([entry(['tickets.search', 'tickets.mine'])], { text: catalog('', tools) })).toEqual({
      shown: [{ name: 'search', action: 'tickets.search' }],
    });
  });

  it.each<[string, object, string | undefined]>([
    ['calls', { max_calls: 5 }, 'Limits in this task: at most 5 calls in all.'],
    ['one call', { max_calls: 1 }, 'Limits in this task: at most 1 call in all.'],
    ['single use', { single_use: true }, 'Limits in this task: one call for each token.'],
    [
      'a sum of one currency',
      { max_amount: { argument: 'amount', limit: 500, currency: { argument: 'currency', value: 'EUR' } } },
      'Limits in this task: the sum of `amount` at most 500 with `currency` `EUR`.',
    ],
    ['an end', { not_after: 4_000_000_000 }, undefined],
    ['nothing', {}, undefined],
  ])('says the limits of %s if the catalog asks for that', async (_name, constraints, limits) => {
    const text = catalog('      describeLimits: true\n');
    const shown = { name: 'create', action: 'tickets.create', ...(limits === undefined ? {} : { limits }) };
    expect(await toolsFor([entry(['tickets.create'], constraints)], { text })).toEqual({ shown: [shown] });
    expect(await toolsFor([entry(['tickets.create'], constraints)])).toEqual({
      shown: [{ name: 'create', action: 'tickets.create' }],
    });
  });

  it.each([
    ['"0.05"', '0.05', '0.05'],
    ['"99.9500"', '99.9500', '99.95'],
    ['"12.0"', '12.0', '12.0'],
  ])('writes a sum of decimals as people do: %s', async (_name, limit, written) => {
    const details = [entry(['tickets.spend'], { max_amount: { argument: 'amount', limit } })];
    expect(await toolsFor(details, { text: catalog('      describeLimits: true\n') })).toEqual({
      shown: [
        {
          name: 'spend',
          action: 'tickets.spend',
          limits: `Limits in this task: the sum of \`amount\` at most ${written}.`,
        },
      ],
    });
  });

  it('says alternatives, and no limit if an alternative has none', async () => {
    const text = catalog('      describeLimits: true\n');
    const two = [entry(['tickets.search'], { max_calls: 2 }), entry(['tickets.search'], { single_use: true })];
    expect(await toolsFor(two, { text })).toEqual({
      shown: [
        {
          name: 'search',
          action: 'tickets.search',
          limits: 'Limits in this task: at most 2 calls in all; or one call for each token.',
        },
      ],
    });
    expect(await toolsFor([...two, entry(['tickets.search'])], { text })).toEqual({
      shown: [{ name: 'search', action: 'tickets.search' }],
    });
  });

  const ALL = ' agents: ["*"], window: 1d,';
  it.each<[string, string, string | undefined]>([
    ['calls', `{ id: a,${ALL} per: [agent], calls: 200 }`, 'at most 200 calls a day (this agent)'],
    [
      'one call',
      `{ id: a, agents: ["*"], window: 1m, per: [], calls: 1 }`,
      'at most 1 call a minute (all agents together)',
    ],
    [
      'a sum of one currency',
      `{ id: a, agents: ["*"], window: 1h, per: [user, server], actions: [tickets.create], amount: { argument: amount, limit: 5000, currency: { argument: currency, value: EUR } } }`,
      'the sum of `amount` at most 5000 with `currency` `EUR` an hour (this user, this server)',
    ],
    [
      'different values beside calls',
      `{ id: a,${ALL} per: [agent], actions: [tickets.create], calls: 9, distinct: { argument: currency, limit: 2 } }`,
      'at most 9 calls a day (this agent); at most 2 different values of `currency` a day (this agent)',
    ],
    ['another action', `{ id: a,${ALL} per: [agent], actions: [tickets.search], calls: 200 }`, undefined],
    [
      'another agent',
      '{ id: a, agents: ["spiffe://acme.test/other/*"], window: 1d, per: [agent], calls: 2 }',
      undefined,
    ],
    ['tasks', `{ id: a,${ALL} per: [agent], tasks: 200 }`, undefined],
  ])('says the limits over all tasks of %s if the catalog asks for that', async (_name, limit, written) => {
    const text = catalog('      describeLimits: true\n');
    const limits = `  - ${limit}\n`;
    const said = written === undefined ? {} : { limits: `Limits over all tasks: ${written}.` };
    const shown = { name: 'create', action: 'tickets.create' };
    expect(await toolsFor([entry(['tickets.create'])], { text, limits })).toEqual({ shown: [{ ...shown, ...said }] });
    expect(await toolsFor([entry(['tickets.create'])], { limits })).toEqual({ shown: [shown] });
  });

  it('says the limits of the task before those over all tasks, of which it names ten', async () => {
    const text = catalog('      describeLimits: true\n');
    const limits = Array.from(
      { length: 12 },
      (_, n) => `  - { id: l${n},${ALL} per: [agent], calls: ${n + 1} }\n`,
    ).join('');
    const tools = await toolsFor([entry(['tickets.search'], { max_calls: 5 })], { text, limits });
    expect(tools).toEqual({
      shown: [
        {
          name: 'search',
          action: 'tickets.search',
          limits: expect.stringMatching(
            /^Limits in this task: at most 5 calls in all\. Limits over all tasks: at most 1 call a day .*; at most 10 calls a day \(this agent\); and 2 more\.$/,
          ),
        },
      ],
    });
  });

  it('hides nothing where calls are only observed, until that ends', async () => {
    const details = [entry(['tickets.search'])];
    const hiding = { shown: [{ name: 'search', action: 'tickets.search' }] };
    const observing = (change: Partial<ObserveEntry>): ObserveEntry => ({
      id: 'legacy',
      agents: ['*'],
      servers: ['tickets'],
      untilMs: NOW_MS + 1,
      owner: 'team',
      because: 'CHG-1',
      place: { file: 'enforcement.yaml', line: 1, column: 1 },
      ...change,
    });
    expect(await toolsFor(details, { observed: [observing({})] })).toBeNull();
    expect(await toolsFor(details, { observed: [observing({ untilMs: NOW_MS })] })).toEqual(hiding);
    expect(await toolsFor(details, { observed: [observing({ servers: ['files'] })] })).toEqual(hiding);
    expect(await toolsFor(details, { orders: [observeOrder({ untilMs: NOW_MS + 1 })] })).toBeNull();
    expect(await toolsFor(details, { orders: [stopOrder({ kind: 'server', what: 'tickets' })] })).toEqual(hiding);
  });
});

describe('POST /intents/check of a task', () => {
  const folder = testFolders(() => bench.close());
  let bench: Bench;
  let task = '';
  beforeAll(async () => {
    bench = await startBench(folder());
    const declared = await bench.token({
      resource: TICKETS,
      authorization_details: JSON.stringify([entry(['tickets.search-customers'])]),
    });
    task = String(declared.json['txn']);
  });

  it('answers its agent with its actions and tools', async () => {
    const { status, json } = await bench.form('/intents/check', { task });
    expect([status, json]).toEqual([
      200,
      {
        task,
        actions: [{ action: 'tickets.search-customers', granted: true }],
        tools: { shown: [{ name: 'search_customers', action: 'tickets.search-customers' }] },
      },
    ]);
    expect(bench.spans.at(-1)).toMatchObject({
      name: 'intent.check',
      attributes: { 'remit.decision': 'allow', 'remit.task.id': task },
    });
  });

  it('has no tools for a server without MCP', async () => {
    const other = await bench.token();
    const { json } = await bench.form('/intents/check', { task: String(other.json['txn']) });
    expect(json).toEqual({ task: other.json['txn'], actions: [{ action: 'payments.read', granted: true }] });
  });

  it('knows no task of another agent', async () => {
    const { status, json } = await bench.form('/intents/check', { task }, bench.reporter);
    expect([status, json['error']]).toEqual([404, 'not_found']);
  });

  it.each<[string, Record<string, string>, number]>([
    ['no id', { task: 'x' }, 400],
    ['more than the task', { task: '0199a3bf-0000-7000-8000-000000000001', resource: TICKETS }, 400],
    ['an unknown id', { task: '0199a3bf-0000-7000-8000-000000000001' }, 404],
  ])('refuses %s', async (_name, parameters, status) => {
    expect((await bench.form('/intents/check', parameters)).status).toBe(status);
  });
});
