import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { runLearn } from '../../../src/cli/learn.ts';
import { policyLint } from '../../../src/cli/policy/policy-lint.ts';
import { policyTestCommand } from '../../../src/cli/policy/policy-test.ts';
import { policyValidateCommand } from '../../../src/cli/policy/policy-validate.ts';
import { intentFileFrom } from '../../../src/agent/task/intent.ts';
import type { UseRecord } from '../../../src/core/ledger/record.ts';
import { encoded } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { ran } from '../../cli/ledgers.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { observedUse, ranOn } from './learning.ts';

const folder = testFolders();

const one = 'spiffe://acme.test/ns/a/sa/one';
const two = 'spiffe://acme.test/ns/a/sa/two';
const auditor = 'spiffe://acme.test/ns/b/sa/auditor';
const DAY_MS = 86_400_000;

const catalog = `# The catalog of the shop's team.
servers:
  shop:
    hosts: [shop.acme.test]
    audience: https://shop.acme.test
    routes:
      - { action: shop.list, method: GET, path: /orders, risk: low } # read by all
      - { action: shop.cart, method: GET, path: '/carts/{cart:int}', risk: low }
      - action: shop.pay
        method: POST
        path: /payments
        risk: medium
        args: { amount: { from: body, type: long, required: true, record: true } }
  tools:
    hosts: [tools.acme.test]
    audience: https://tools.acme.test
    mcp:
      path: /mcp
      tools: { search: { action: tools.search, risk: low } }
`;
const policies = `@id("lists")
permit (principal == Remit::Agent::"${one}", action == Remit::Action::"shop.list", resource);

@id("lists-issue")
permit (principal == Remit::Agent::"${one}", action == Remit::Action::"issue", resource)
when { context.requested.action == "shop.list" };

@id("pays-issue")
permit (principal == Remit::Agent::"${two}", action == Remit::Action::"issue", resource)
when { context.requested.action == "shop.pay" };

@id("small-payments")
permit (principal == Remit::Agent::"${two}", action == Remit::Action::"shop.pay", resource) when { context.args.amount < 100 };

@id("reads-all")
permit (principal == Remit::Agent::"${auditor}", action == Remit::Action::"issue", resource)
when { context.requested.risk == "low" };

@id("never")
forbid (principal == Remit::Agent::"${two}", action == Remit::Action::"shop.cart", resource);
`;
const suite = `cases:
  - { name: lists, agent: '${one}', action: shop.list, expect: allow }
  - { name: lists, agent: '${one}', issue: shop.list, expect: allow }
  - { name: pays, agent: '${two}', action: shop.pay, expect: allow }
  - { name: pays, agent: '${two}', issue: shop.pay, expect: allow }
  - { name: audits, agent: '${auditor}', issue: [shop.list, shop.cart, tools.search, tools.mcp.session], expect: allow }
`;
const enforcement = `# Until the fleet is known.
observe:
  - id: legacy
    agents: ['spiffe://acme.test/ns/a/*']
    servers: [shop, tools, legacy.acme.test]
    until: ${new Date(Date.now() + 20 * DAY_MS).toISOString().slice(0, 10)}
    owner: us
    because: CHG-1
`;

const limits = `limits:
  - { id: pays, agents: ['spiffe://acme.test/*'], actions: [shop.pay], per: [agent], window: 1d, calls: 9 }
`;

async function policyFolder(): Promise<string> {
  const within = folder();
  await mkdir(join(within, 'tests'));
  await mkdir(join(within, 'policies/deep'), { recursive: true });
  await writeFile(join(within, 'actions.yaml'), catalog);
  await writeFile(join(within, 'policies/shop.cedar'), policies);
  await writeFile(join(within, 'policies/deep/empty.cedar'), '// Nothing yet.\n');
  await writeFile(join(within, 'tests/shop.test.yaml'), suite);
  await writeFile(join(within, 'enforcement.yaml'), enforcement);
  await writeFile(join(within, 'limits.yaml'), limits);
  return within;
}

const missing = { decision: 'deny', reason: 'token.missing', detail: null, policyIds: [] } as const;
const knownUse = (action: string, change: Partial<UseRecord>): UseRecord => {
  const { shape: _, ...use } = observedUse({ action, would: missing, ...change });
  return use;
};
const payment = (agent: string, amount: number) =>
  knownUse('shop.pay', { agent, method: 'POST', path: '/payments', args: { amount } });
const several = (count: number, of: (n: number) => UseRecord): readonly UseRecord[] =>
  Array.from({ length: count }, (_, n) => of(n));
const search = (tool: string) =>
  ({
    host: 'tools.acme.test',
    method: 'POST',
    path: '/mcp',
    shape: { protocol: 'mcp', query: [], rpc: { method: 'tools/call', tool } },
  }) as const;

const traffic = [
  ...several(4, () => knownUse('shop.list', { agent: one, path: '/orders' })),
  ...several(4, () => knownUse('shop.list', { agent: two, path: '/orders' })),
  ...several(3, (n) => payment(one, (n + 1) * 100)),
  ...several(3, (n) => payment(two, (n + 1) * 60)),
  ...several(3, () => knownUse('shop.cart', { agent: two, path: '/carts/7' })),
  // The catalog of today knows it, that of the record did not.
  ...several(3, () => observedUse({ agent: one, path: '/carts/8' })),
  ...several(3, (n) => observedUse({ agent: one, path: `/orders/${n}` })),
  ...several(3, () => observedUse({ agent: one, path: '/carts/0199a3bf-1c2d-7e3f-8a4b-5c6d7e8f9a0b' })),
  ...several(3, () => observedUse({ agent: one, ...search('list_things') })),
  ...several(3, () => observedUse({ agent: one, host: 'legacy.acme.test', path: '/status' })),
  ...several(3, () => knownUse('shop.gone', { agent: one, path: '/gone' })),
];

async function ledgerOf(uses: readonly UseRecord[]): Promise<string> {
  const within = folder();
  const log = mustOpenLog(settingsIn(within));
  const startMs = Date.now() - 2 * DAY_MS;
  // All in one hour, and one much later, so that nothing of the first is judged.
  const placed = [...uses.map((use, n) => ({ ...use, at: startMs + n })), { ...traffic[0], at: startMs + DAY_MS }];
  log.append(
    placed.map((use) => ({ bytes: encoded(use as UseRecord).bytes, outbox: null })),
    'f'.repeat(32),
  );
  log.close();
  return join(within, 'ledger');
}

/** The lines of a policy file that are not comments. */
const inForceOf = (text: string): string =>
  text
    .split('\n')
    .filter((line) => !line.startsWith('//'))
    .join('\n');

describe('remit learn --policies', () => {
  it('adds what the folder lacks, and neither learns anew what it knows nor lifts what it forbids', async () => {
    const base = await policyFolder();
    const before = folder();
    await cp(base, before, { recursive: true });
    const out = join(folder(), 'learnt');
    const ledger = await ledgerOf(traffic);
    const args = ['--ledger', ledger, '--policies', base, '--out', out];
    expect(await ran(runLearn, ...args)).toMatchObject({ exit: 0, err: '' });

    const text = await readFile(join(out, 'actions.yaml'), 'utf8');
    const { servers } = parse(text);
    expect(text).toContain("# The catalog of the shop's team.");
    expect(text).toContain('{ action: shop.list, method: GET, path: /orders, risk: low } # read by all');
    expect(servers.shop.routes.map(({ action }: { action: string }) => action)).toEqual([
      'shop.list',
      'shop.cart',
      'shop.pay',
      'shop.GET-orders-order',
    ]);
    expect(text).toMatch(/# decide: - .*'?\/carts\/\{cart:uuid\}'?.*overlaps/);
    expect(Object.keys(servers.tools.mcp.tools)).toEqual(['search', 'list_things']);
    expect(servers.legacy.hosts).toEqual(['legacy.acme.test']);

    const learnt = await readFile(join(out, 'policies/shop-learnt.cedar'), 'utf8');
    const inForce = inForceOf(learnt);
    // What `lists` permits gets no second permit.
    expect(inForce).not.toMatch(/permit \(\n {2}principal == Remit::Agent::"[^"]*one"[^\]]*shop\.list/);
    expect(inForce).toMatch(/principal == Remit::Agent::"[^"]*one",\n {2}action in \[[^\]]*shop\.pay/);
    expect(inForce).toMatch(/principal == Remit::Agent::"[^"]*two",\n {2}action in \[[^\]]*shop\.list/);
    expect(learnt).toContain('the policies permit it under a condition that 2 of its 3 calls did not meet');
    expect(learnt).toContain('a forbid of the policies denies it: no permit changes that');

    // Half above the sum of the amounts in one hour.
    const report = JSON.parse(await readFile(join(out, 'report.json'), 'utf8'));
    const own = report.agents.find(({ id }: { id: string }) => id === one);
    const intent = await readFile(join(out, own.intent), 'utf8');
    expect(intent).toContain('max_amount: { argument: amount, limit: 900 } # 600 was the most in one task or hour');
    expect(must(intentFileFrom(intent, 'i')).access.length).toBeGreaterThan(2);

    // What is observed stays observed: the host is a server now.
    expect(parse(await readFile(join(out, 'enforcement.yaml'), 'utf8')).observe[0].servers).toEqual([
      'shop',
      'tools',
      'legacy',
    ]);
    expect(await readFile(join(out, 'policies/deep/empty.cedar'), 'utf8')).toBe('// Nothing yet.\n');
    expect(await readFile(join(out, 'tests/shop.test.yaml'), 'utf8')).toBe(suite);
    // Issue 42, point 5: a folder that replaces another without its limits would limit nothing.
    expect(await readFile(join(out, 'limits.yaml'), 'utf8')).toBe(limits);
    expect(report.read.left).toContainEqual({
      why: 'of an action that the policy folder does not have any more',
      count: 3,
    });
    // What the policies of the folder permit of new actions is said, and tested.
    expect(report.widened).toEqual([
      { agent: auditor, kind: 'issue', actions: ['legacy.GET-status', 'shop.GET-orders-order', 'tools.list_things'] },
    ]);
    expect(await readFile(join(out, 'report.md'), 'utf8')).toContain('## In force by other policies, and never seen');
    for (const command of [policyValidateCommand, policyLint, policyTestCommand])
      expect([command.name, await ranOn(command, out)]).toEqual([command.name, expect.objectContaining({ exit: 0 })]);

    for (const name of ['actions.yaml', 'policies/shop.cedar', 'tests/shop.test.yaml', 'enforcement.yaml'])
      expect(await readFile(join(base, name), 'utf8')).toBe(await readFile(join(before, name), 'utf8'));
    expect(await ran(runLearn, '--ledger', ledger, '--policies', base, '--out', base)).toMatchObject({
      exit: 2,
      err: expect.stringContaining('nothing is overwritten'),
    });
  }, 600_000);

  it('adds to the file of the catalog that has the server (issue 43, point 2)', async () => {
    const base = await policyFolder();
    const at = catalog.indexOf('  tools:\n');
    const tools = `# Of the team of tools.\nservers:\n${catalog.slice(at)}`;
    await mkdir(join(base, 'actions'));
    await writeFile(join(base, 'actions.yaml'), catalog.slice(0, at));
    await writeFile(join(base, 'actions/tools.yaml'), tools);
    await writeFile(join(base, 'actions/none.yaml'), 'servers:   {}\n');
    const out = join(folder(), 'learnt');
    const args = ['--ledger', await ledgerOf(traffic), '--policies', base, '--out', out];
    expect(await ran(runLearn, ...args)).toMatchObject({ exit: 0, err: '' });
    const written = await readFile(join(out, 'actions/tools.yaml'), 'utf8');
    expect(written).toContain('# Of the team of tools.');
    expect(Object.keys(parse(written).servers.tools.mcp.tools)).toEqual(['search', 'list_things']);
    expect(Object.keys(parse(await readFile(join(out, 'actions.yaml'), 'utf8')).servers)).toEqual(['shop', 'legacy']);
    // A file to which nothing is added stays as it is.
    expect(await readFile(join(out, 'actions/none.yaml'), 'utf8')).toBe('servers:   {}\n');
    expect(await ranOn(policyValidateCommand, out)).toMatchObject({ exit: 0 });
  }, 600_000);

  it('leaves out a server that conflicts with another file of the catalog, and learns the others', async () => {
    const base = await policyFolder();
    await mkdir(join(base, 'actions'));
    const payments = `servers:
  payments:
    hosts: [pay.internal]
    audience: https://pay.acme.test
    routes: [{ action: payments.list, method: GET, path: /payments, risk: low }]
`;
    await writeFile(join(base, 'actions/payments.yaml'), payments);
    const uses = ['pay', 'legacy'].flatMap((name) =>
      several(3, () => observedUse({ agent: one, host: `${name}.acme.test`, path: '/status' })),
    );
    const out = join(folder(), 'learnt');
    const args = ['--ledger', await ledgerOf(uses), '--policies', base, '--out', out];
    expect(await ran(runLearn, ...args)).toMatchObject({ exit: 0, err: '' });
    expect(JSON.parse(await readFile(join(out, 'report.json'), 'utf8')).refusedServers).toEqual([
      { server: 'pay', why: expect.stringMatching(/^the audience `https:\/\/pay\.acme\.test` already belongs/) },
    ]);
    expect(Object.keys(parse(await readFile(join(out, 'actions.yaml'), 'utf8')).servers)).toEqual([
      'shop',
      'tools',
      'legacy',
    ]);
    expect(await ranOn(policyValidateCommand, out)).toMatchObject({ exit: 0 });
  }, 600_000);

  it('leaves what was guessed to a person, however often it is learnt', async () => {
    const notes = ['acme-17', 'acme-24'].flatMap((id) =>
      several(2, () => observedUse({ agent: one, path: `/notes/${id}` })),
    );
    const ledger = await ledgerOf([...several(3, () => observedUse({ agent: one, path: '/status' })), ...notes]);
    const within = folder();
    const first = join(within, 'first');
    expect(await ran(runLearn, '--ledger', ledger, '--out', first)).toMatchObject({ exit: 0, err: '' });
    const { servers } = parse(await readFile(join(first, 'actions.yaml'), 'utf8'));
    const route = servers.shop.routes.find(({ path }: { path: string }) => path.startsWith('/notes/'));
    expect(route.path).toBe('/notes/{note:[a-z0-9-]{1,64}}');
    const again = async (name: string): Promise<string> => {
      const out = join(within, name);
      expect(await ran(runLearn, '--ledger', ledger, '--policies', first, '--out', out)).toMatchObject({ exit: 0 });
      return readFile(join(out, 'policies/shop-learnt.cedar'), 'utf8');
    };
    const learnt = await again('second');
    expect(learnt).toContain('may be guessed from a few values');
    expect(inForceOf(learnt)).not.toContain(route.action);
    // Once a person has permitted it to anybody, its kind is stated.
    const decided = `@id("decided") permit (principal == Remit::Agent::"${two}", action == Remit::Action::"${route.action}", resource);\n`;
    await writeFile(join(first, 'policies/decided.cedar'), decided);
    expect(inForceOf(await again('third'))).toContain(route.action);
  }, 600_000);
});
