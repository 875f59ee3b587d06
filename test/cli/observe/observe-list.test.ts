import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { runObserve } from '../../../src/cli/observe.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { ran, segmentsOf, tamper } from '../ledgers.ts';
import { daily, dayFromNow, ledgerOf, policiesWith, seen } from './observing.ts';

const folder = testFolders();

const steady = 'spiffe://acme.test/ns/legacy/sa/steady';
const curious = 'spiffe://acme.test/ns/legacy/sa/curious';

const enforcement = `observe:
  - id: legacy
    agents: ['spiffe://acme.test/ns/legacy/*']
    servers: [files, 'old.acme.test']
    until: ${dayFromNow(30)}
    owner: team-files
    because: CHG-1
  - id: unused
    agents: ['spiffe://acme.test/ns/unused/*']
    servers: [files]
    until: ${dayFromNow(3)}
    owner: team-files
    because: CHG-2
`;

const denied = (reason: 'action.unknown' | 'policy.forbidden', policyIds: readonly string[] = []) =>
  ({ decision: 'deny', reason, detail: 'why', policyIds }) as const;

const unknown = (path: string, decisionId: string) => ({
  action: null,
  host: 'old.acme.test',
  path,
  decisionId,
  shape: { protocol: 'http', query: [] } as const,
  would: denied('action.unknown'),
});

const records = [
  ...daily(steady, 9),
  ...daily(curious, 4),
  seen(curious, 50, unknown('/orders/17', 'old-1')),
  seen(curious, 2, unknown('/orders/18', 'old-2')),
  seen(curious, 1.5, unknown('/refunds', 'new-1')),
  seen(curious, 1.4, { action: 'payments.create', would: denied('policy.forbidden', ['no-payments']) }),
];

describe('remit observe', () => {
  it('lists entries and agents: days, calls, actions, the curve of new actions, would-be denials, ready or not and why', async () => {
    const ledger = ledgerOf(folder(), records);
    const policies = await policiesWith(folder(), enforcement);
    const list = await ran(runObserve, '--ledger', ledger, '--policies', policies);
    expect(list).toMatchObject({ exit: 0, err: '' });
    const lines = list.out.split('\n');
    expect(lines[0]).toBe(`legacy: until ${dayFromNow(30)} (in 30 days), team-files, CHG-1; 1 of 2 agents ready`);
    const at = lines.indexOf(`  ${curious}`);
    expect(lines[at + 1]).toMatch(/^ {4}\d days, 8 calls, 4 actions; first seen on each of the last 7 days:( \d){7}$/);
    expect(lines[at + 2]).toBe(
      '    would be denied: action.unknown 3, such as new-1; policy.forbidden 1 (1 decided), such as ' +
        `${records.at(-1)?.decisionId}`,
    );
    expect(lines.slice(at + 3, at + 6)).toEqual([
      expect.stringMatching(/^ {4}not ready: seen on [45] of 7 days: wait/),
      expect.stringContaining('    not ready: 2 actions first seen in the last 24 h: '),
      expect.stringContaining(
        '    not ready: 3 calls of the last 3 d would be denied for action.unknown, such as new-1: `remit learn` writes',
      ),
    ]);
    const other = lines.indexOf(`  ${steady}`);
    expect(lines[other + 1]).toMatch(/^ {4}9 days, 9 calls, 1 action; /);
    expect(lines[other + 2]).toBe('    ready');
    expect(list.out).toContain(`unused: until ${dayFromNow(3)} (in 3 days), team-files, CHG-2\n  no call in that time`);
  });

  it('lists of a named agent each action and each example, and exits 1 while it is not ready', async () => {
    const ledger = ledgerOf(folder(), records);
    const detail = await ran(runObserve, '--ledger', ledger, '--agent', curious);
    expect(detail.exit).toBe(1);
    expect(detail.err).toContain('no policy folder is known');
    expect(detail.out).toMatch(/^ {4}GET old\.acme\.test\/orders\/\{order:int\} +2 /m);
    expect(detail.out).toMatch(/^ {4}GET old\.acme\.test\/refunds +1 /m);
    expect(detail.out).toMatch(/^ {4}action\.unknown +3 +0 +new-1 +GET old\.acme\.test\/refunds$/m);
    expect(detail.out).toMatch(/^ +old-2 +GET old\.acme\.test\/orders\/18$/m);
    expect(detail.out).not.toContain(steady);
    expect(await ran(runObserve, '--ledger', ledger, '--agent', steady)).toMatchObject({ exit: 0 });
    expect(await ran(runObserve, '--ledger', ledger, '--agent', `${steady}-not`)).toMatchObject({ exit: 1 });
  });

  it('takes what --decided names, fewer --days and a shorter --quiet for what they are', async () => {
    const ledger = ledgerOf(folder(), records);
    const args = ['--ledger', ledger, '--agent', curious, '--days', '3', '--quiet', '1h'];
    expect(await ran(runObserve, ...args)).toMatchObject({ exit: 1 });
    expect(await ran(runObserve, ...args, '--decided', 'GET old.acme.test/refunds')).toMatchObject({ exit: 1 });
    expect(await ran(runObserve, ...args, '--decided', 'action.unknown')).toMatchObject({ exit: 0 });
  });

  it('prints one object of JSON', async () => {
    const ledger = ledgerOf(folder(), records);
    const policies = await policiesWith(folder(), enforcement);
    const { out } = await ran(runObserve, '--ledger', ledger, '--policies', policies, '--json');
    expect(JSON.parse(out)).toMatchObject({
      rule: { days: 7, quietSeconds: 86_400, cleanSeconds: 259_200 },
      read: { records: 17, uses: 17, foreign: 0, missing: 0 },
      left: 0,
      entries: [
        {
          id: 'legacy',
          entry: { daysLeft: 30, owner: 'team-files' },
          ready: 1,
          agents: [
            {
              agent: curious,
              isReady: false,
              notReady: [{ code: 'few-days' }, { code: 'new-actions' }, { code: 'would-be-denied' }],
            },
            { agent: steady, isReady: true, days: 9 },
          ],
        },
        { id: 'unused', agents: [] },
      ],
    });
  });

  it('reads no more than --since, and refuses a time in which it could not be ready', async () => {
    const ledger = ledgerOf(folder(), records);
    const { out } = await ran(runObserve, '--ledger', ledger, '--since', '-3d', '--days', '2', '--json');
    expect(JSON.parse(out)).toMatchObject({ read: { uses: 10 } });
    expect(await ran(runObserve, '--ledger', ledger, '--since', '3d')).toMatchObject({ exit: 2 });
    expect(await ran(runObserve, '--ledger', ledger, '--agent', 'nobody')).toMatchObject({ exit: 2 });
  });

  it('counts gaps and foreign records, and goes on', async () => {
    const ledger = ledgerOf(folder(), records);
    const [segment = ''] = segmentsOf(ledger);
    tamper(segment, 'DELETE FROM records WHERE seq = 3');
    tamper(segment, "UPDATE records SET bytes = CAST('{' AS BLOB) WHERE seq = 5");
    const list = await ran(runObserve, '--ledger', ledger);
    expect(list.exit).toBe(0);
    expect(list.err).toContain('1 records are missing between others');
    expect(list.err).toContain('1 records could not be parsed');
    expect(list.out).toContain(steady);
  });

  it('refuses a policy folder with findings', async () => {
    const policies = await policiesWith(folder(), enforcement);
    await writeFile(join(policies, 'enforcement.yaml'), 'observe:\n  - id: x\n');
    const list = await ran(runObserve, '--ledger', ledgerOf(folder(), records), '--policies', policies);
    expect(list).toMatchObject({ exit: 2, out: '' });
    expect(list.err).toContain('enforcement.yaml:2:');
  });
});
