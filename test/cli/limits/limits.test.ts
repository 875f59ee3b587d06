import { cpSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from '@jest/globals';
import { limits } from '../../../src/cli/limits/limits.ts';
import type { LimitSpend } from '../../../src/core/limit/limit-spend.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { ran } from '../ledgers.ts';

const folder = testFolders();

const LIMITS = `limits:
  - id: open-by-user
    agents: ['spiffe://acme.test/ns/agents/*']
    per: [agent, user]
    openTasks: 4
  - id: open-by-agent
    agents: ['*']
    per: [agent]
    openTasks: 10
  - id: open-of-others
    agents: ['spiffe://acme.test/ns/others/*']
    per: [agent]
    openTasks: 1
`;
const AGENT = 'spiffe://acme.test/ns/agents/sa/planner';
const spend = (of: Partial<LimitSpend>): LimitSpend => ({
  kind: 'limit',
  limit: 'paid',
  measure: 'decimal',
  who: JSON.stringify([AGENT, 'alice']),
  windowMs: 86_400_000,
  amount: 125_000,
  max: 50_000_000,
  effect: 'deny',
  ...of,
});

it('`remit limits` shows each counter: whose it is, how much of what is used, and until when', async () => {
  const state = join(folder(), 'state.db');
  const show = (...args: readonly string[]) => ran(limits, '--state', state, ...args);
  const store = mustOpen(state, systemPorts);
  expect((await show()).out).toBe('nothing is used of any limit\n');
  const spends = [spend({}), spend({ limit: 'calls', measure: 'calls', who: '[]', amount: 1, max: 3 })];
  must(store.settle('d-1', null, { jtiDigest: '', spends }));
  store.close();
  const { exit, out } = await show();
  const ends = /until (.*Z)$/m.exec(out)?.[1] ?? '';
  expect(Date.parse(ends) % 86_400_000).toBe(0);
  expect([exit, out.trimEnd().split('\n')]).toEqual([
    0,
    [`paid  amount  ${AGENT} alice  12.5 of 5000  until ${ends}`, `calls  calls  all together  1 of 3  until ${ends}`],
  ]);
  const json = await show('--limit', 'paid', '--json');
  expect(JSON.parse(json.out)).toMatchObject([
    { limit: 'paid', counts: 'amount', who: [AGENT, 'alice'], max: 5000, used: 12.5, left: 4987.5, ends },
  ]);
  const policies = join(folder(), 'policies');
  cpSync(resolve(import.meta.dirname, '../../../cedar-policies'), policies, { recursive: true });
  writeFileSync(join(policies, 'limits.yaml'), LIMITS);
  const again = mustOpen(state, systemPorts);
  for (const n of [1, 2, 3]) {
    const subject = n === 3 ? 'bob' : 'alice';
    must(again.insertTask(taskNumber(n, { agent: mustSpiffeId(AGENT), subject }), tokenNumber(n), []));
  }
  again.close();
  const open = await show('--policies', policies);
  expect(open.err).toBe('');
  expect(open.out.trimEnd().split('\n').slice(2)).toEqual([
    `open-by-user  open tasks  ${AGENT} alice  2 of 4  now`,
    `open-by-agent  open tasks  ${AGENT}  3 of 10  now`,
    `open-by-user  open tasks  ${AGENT} bob  1 of 4  now`,
  ]);
  const [first] = JSON.parse((await show('--policies', policies, '--limit', 'open-by-agent', '--json')).out);
  expect(first).toEqual({
    limit: 'open-by-agent',
    counts: 'open tasks',
    who: [AGENT],
    max: 10,
    used: 3,
    left: 7,
    starts: null,
    ends: null,
  });
  expect(await show('--policies', join(folder(), 'none'))).toMatchObject({ exit: 2 });
  expect(await show('--nonsense')).toMatchObject({ exit: 2, err: expect.stringContaining('remit limits: ') });
});
