import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { policyLint } from '../../../src/cli/policy/policy-lint.ts';
import { policyTestCommand } from '../../../src/cli/policy/policy-test.ts';
import { policyValidateCommand } from '../../../src/cli/policy/policy-validate.ts';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { spiffeIdFrom } from '../../../src/core/identity/spiffe-id.ts';
import { loadPolicies } from '../../../src/core/policy/loading/load.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { rehearse } from '../../../src/tools/policy/cases/rehearse.ts';
import { plainCircumstances } from '../../../src/tools/policy/cases/test-case.ts';
import { runInventory } from '../../../src/cli/inventory.ts';
import { Inventory } from '../../../src/tools/learn/inventory/inventory.ts';
import type { ReadRecord } from '../../../src/tools/learn/record-window.ts';
import { withoutUnused } from '../../../src/tools/learn/inventory/unused-grants.ts';
import { encoded } from '../../builders/ledger-record.ts';
import { folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { ran } from '../../cli/ledgers.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { observedUse, ranOn } from './learning.ts';

const folder = testFolders();

const agent = 'spiffe://acme.test/ns/agents/sa/planner';
const policies = `@id("reads")
permit (
  principal == Remit::Agent::"${agent}",
  action in [
    Remit::Action::"files.list", // often
    Remit::Action::"files.read"
  ],
  resource
);

// About payments.
@id("pays")
permit (principal == Remit::Agent::"${agent}", action == Remit::Action::"payments.create", resource);

@id("never")
forbid (principal, action == Remit::Action::"files.delete", resource);
`;

const used = (change: object) =>
  observedUse({
    agent,
    action: 'files.list',
    policyIds: ['reads'],
    host: 'files.acme.test',
    path: '/v1/files',
    ...change,
  });

const inventoryOf = async (records: readonly object[]) => {
  const set = await mustLoad(folderWith(policies));
  const inventory = new Inventory();
  for (const record of records) inventory.add(JSON.parse(JSON.stringify(record)) as ReadRecord, set);
  return { set, inventory };
};

describe('Inventory', () => {
  it('lists what the folder has and what records show, and when it was last used', async () => {
    const { set, inventory } = await inventoryOf([
      used({ at: 1_000 }),
      used({ at: 2_000 }),
      used({ action: null, policyIds: [], host: 'old.acme.test', agent: 'spiffe://acme.test/x', at: 3_000 }),
      // Observed before the catalog had its server, and at a path that it still lacks.
      used({ action: null, policyIds: [], host: 'files.acme.test', path: '/v1/files', at: 1_500 }),
      used({ action: null, policyIds: [], host: 'payments.acme.test', path: '/v9/x', at: 4_000 }),
      { ...used({}), decision: 'deny', agent: 'spiffe://acme.test/denied' },
    ]);
    const rows = inventory.rows(set).map(({ kind, id, seen, isKnown }) => [kind, id, seen?.lastMs ?? null, isKnown]);
    expect(rows).toEqual(
      expect.arrayContaining([
        ['agent', agent, 4_000, false],
        ['agent', 'spiffe://acme.test/x', 3_000, false],
        ['server', 'files', 2_000, true],
        ['server', 'payments', 4_000, true],
        ['server', 'old.acme.test', 3_000, false],
        ['tool', 'files.list', 2_000, true],
        ['tool', 'files.read', null, true],
        ['grant', 'reads', 2_000, true],
        ['grant', 'pays', null, true],
      ]),
    );
    expect(rows.map(([, id]) => id)).not.toContain('spiffe://acme.test/denied');
    expect(rows.map(([, id]) => id)).not.toContain('never');
    expect(rows.filter(([kind]) => kind === 'server').map(([, id]) => id)).not.toContain('files.acme.test');
  });
});

const ago = (days: number) => encoded(used({ at: Date.now() - days * 86_400_000 })).bytes;

const lines = (text: string): readonly string[] => text.split('\n').filter((line) => line.trim() !== '');

const oneOf = async (scope: string, records: readonly object[]) => {
  const set = await mustLoad(folderWith(`@id("one")\npermit (principal, ${scope}, resource);\n`));
  const inventory = new Inventory();
  for (const record of records) inventory.add(JSON.parse(JSON.stringify(record)) as ReadRecord, set);
  return withoutUnused(set, inventory).map(({ text }) => text);
};
const issued = (actions: readonly string[]) => ({
  ...used({ policyIds: ['one'] }),
  kind: 'intent',
  action: undefined,
  details: [{ type: 'remit', actions }],
});

describe('withoutUnused', () => {
  it('takes out a permit that permitted nothing, and of a list what it never permitted; git applies the patch', async () => {
    const { set, inventory } = await inventoryOf([used({})]);
    const [narrowed] = withoutUnused(set, inventory);
    expect(narrowed?.text).toContain('action in [Remit::Action::"files.list"]');
    expect(narrowed?.text).not.toContain('@id("pays")');
    expect(narrowed?.text).toContain('@id("never")');
    const left = await mustLoad(folderWith(narrowed?.text ?? ''));
    expect(left.policies.map(({ id }) => id)).toEqual(['reads', 'never']);
    const within = folder();
    const path = join(within, narrowed?.file.name ?? '');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, policies);
    execFileSync('git', ['apply', '-'], { cwd: within, input: `${narrowed?.patch ?? ''}\n` });
    expect(lines(await readFile(path, 'utf8'))).toEqual(lines(narrowed?.text ?? ''));
  });

  it('takes out nothing that was used', async () => {
    const { set, inventory } = await inventoryOf([
      used({}),
      used({ action: 'files.read' }),
      used({ action: 'payments.create', policyIds: ['pays'] }),
    ]);
    expect(withoutUnused(set, inventory)).toEqual([]);
  });

  it('leaves a permit in shadow, which is on trial', async () => {
    const trial = `@id("trial")\n@shadow("true")\npermit (principal, action == Remit::Action::"files.list", resource);\n`;
    const set = await mustLoad(folderWith(`${policies}${trial}`));
    expect(withoutUnused(set, new Inventory()).map(({ text }) => text.includes('@id("trial")'))).toEqual([true]);
  });

  it.each([
    ['permits that share a line', policies.replace(';\n\n// About payments.\n', '; ')],
    ['no line end at the end', policies.trimEnd()],
    ['an unused permit at the end, without a line end', policies.slice(0, policies.indexOf('@id("never")')).trimEnd()],
  ])('makes a patch that git applies to a file with %s', async (_name, text) => {
    const set = await mustLoad(folderWith(text));
    const [narrowed] = withoutUnused(set, new Inventory());
    const within = folder();
    const path = join(within, narrowed?.file.name ?? '');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    execFileSync('git', ['apply', '-'], { cwd: within, input: `${narrowed?.patch ?? ''}\n` });
    expect(lines(await readFile(path, 'utf8'))).toEqual(lines(narrowed?.text ?? ''));
  });

  it.each([
    ['tokens for an action', [issued(['files.list'])]],
    ['tokens for a family of actions', [issued(['files.*'])]],
  ])('keeps `issue` of a permit that permitted %s', async (_name, records) => {
    expect(await oneOf('action == Remit::Action::"issue"', records)).toEqual([]);
    expect(await oneOf('action in [Remit::Action::"issue"]', records)).toEqual([]);
    const [left] = await oneOf('action in [Remit::Action::"issue", Remit::Action::"files.list"]', records);
    expect(left).toContain('action in [Remit::Action::"issue"]');
  });

  it('keeps the risk group of what a permit permitted', async () => {
    const [left] = await oneOf('action in [Remit::Action::"low", Remit::Action::"high"]', [
      used({ policyIds: ['one'] }),
    ]);
    expect(left).toContain('action in [Remit::Action::"low"]');
  });

  it('keeps a permit that permitted what the catalog has no more', async () => {
    const gone = used({ policyIds: ['one'], action: 'files.gone' });
    expect(await oneOf('action in Remit::Action::"low"', [gone])).toEqual([]);
  });
});

describe('remit inventory', () => {
  it('prints a list, and a patch for what was not used', async () => {
    const within = folder();
    const log = mustOpenLog(settingsIn(within));
    log.append(
      [40, 1].map((days) => ({ bytes: ago(days), outbox: null })),
      'f'.repeat(32),
    );
    log.close();
    const set = folder();
    await writeFile(join(set, 'actions.yaml'), await readFile('cedar-policies/actions.yaml'));
    await writeFile(join(set, 'all.cedar'), policies);
    const ledger = ['--ledger', join(within, 'ledger')];
    const list = await ran(runInventory, set, ...ledger, '--unused', '30d');
    expect(list).toMatchObject({ exit: 0, err: '' });
    expect(list.out).toMatch(/^grant +pays +0 +never/m);
    expect(list.out).not.toMatch(/^grant +reads/m);
    const patch = await ran(runInventory, set, ...ledger, '--unused', '30d', '--patch');
    expect(patch).toMatchObject({ exit: 0, err: '' });
    expect(patch.out).toContain('-@id("pays")');
    expect(await ran(runInventory, set, ...ledger, '--patch')).toMatchObject({ exit: 2 });
    // Nobody knows what was used before the first record.
    expect(await ran(runInventory, set, ...ledger, '--unused', '90d', '--patch')).toMatchObject({
      exit: 1,
      out: '',
      err: expect.stringContaining('the records begin at'),
    });
  });

  it('makes a patch that denies the unused and nothing else, and leaves a folder that passes', async () => {
    const within = folder();
    const log = mustOpenLog(settingsIn(within));
    const records = [
      used({ at: Date.now() - 40 * 86_400_000, action: 'payments.create', policyIds: ['pays'] }),
      used({ at: Date.now() - 86_400_000 }),
      // What would be allowed while observing is used too.
      used({ at: Date.now() - 86_400_000, action: 'files.list', agent: 'spiffe://acme.test/x' }),
    ];
    log.append(
      records.map((record) => ({ bytes: encoded(record).bytes, outbox: null })),
      'f'.repeat(32),
    );
    log.close();
    const set = folder();
    await writeFile(join(set, 'actions.yaml'), await readFile('cedar-policies/actions.yaml'));
    await writeFile(join(set, 'all.cedar'), policies);
    const listed = `cases:\n  - { name: lists, agent: '${agent}', action: files.list, expect: allow }\n`;
    const pays = `  - { name: pays, agent: '${agent}', action: payments.create, expect: allow }\n`;
    const reads = `  - { name: reads, agent: '${agent}', action: files.read, expect: allow }\n`;
    await writeFile(join(set, 'all.test.yaml'), `${listed}${pays}${reads}`);
    const args = [set, '--ledger', join(within, 'ledger'), '--unused', '30d', '--patch'];
    const patch = await ran(runInventory, ...args);
    expect(patch.exit).toBe(0);
    expect(lines(patch.err)).toEqual([
      expect.stringMatching(/expects what is taken out: .*all\.test\.yaml:3: pays/),
      expect.stringMatching(/expects what is taken out: .*all\.test\.yaml:4: reads/),
    ]);
    const before = await loadPolicies(set);
    execFileSync('git', ['apply', '-'], { cwd: set, input: patch.out });
    const after = await loadPolicies(set);
    if ('findings' in before || 'findings' in after) throw new Error('a set does not load');
    const allowed = (policySet: PolicySet): readonly string[] =>
      [...policySet.catalog.actions.keys()].filter((action) => {
        const caller = spiffeIdFrom(agent);
        const rehearsal = isDeny(caller)
          ? null
          : rehearse({ kind: 'action', action, args: {} }, plainCircumstances(caller), policySet);
        return rehearsal !== null && !isProblem(rehearsal) && !isDeny(rehearsal.decision);
      });
    expect([allowed(before), allowed(after)]).toEqual([
      expect.arrayContaining(['files.list', 'files.read', 'payments.create']),
      ['files.list'],
    ]);
    await writeFile(join(set, 'all.test.yaml'), listed);
    for (const command of [policyValidateCommand, policyLint, policyTestCommand])
      expect([command.name, await ranOn(command, set)]).toEqual([command.name, expect.objectContaining({ exit: 0 })]);
  }, 600_000);
});
