import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { after } from '../../src/core/runtime/timers.ts';
import { Closers } from '../../src/serve/closers.ts';
import { openParts } from '../../src/serve/open-parts.ts';
import type { Parts } from '../../src/serve/parts.ts';
import { Waits } from '../../src/serve/waits.ts';
import { mustConfig } from '../builders/config.ts';
import { must, mustFind } from '../builders/must.ts';
import { baseSchema, exampleCatalog } from '../builders/policy-folder.ts';
import { byOperator, taskNumber, tokenNumber } from '../builders/task.ts';
import { testFolders } from '../builders/test-folders.ts';
import { until } from '../until.ts';

const folder = testFolders();

/** The parts of a process with a state file. */
async function opened(closers: Closers): Promise<Parts> {
  const at = folder();
  mkdirSync(join(at, 'policies', 'policies'), { recursive: true });
  writeFileSync(join(at, 'policies', 'base.cedarschema'), baseSchema);
  writeFileSync(join(at, 'policies', 'actions.yaml'), exampleCatalog);
  writeFileSync(join(at, 'policies', 'policies', 'all.cedar'), '@id("all") permit (principal, action, resource);\n');
  const config = mustConfig(
    `trustDomains: acme.test
extAuthz: { listen: unix:${at}/check.sock }
policies: ${at}/policies
state: sqlite:state.db
`,
    { folder: at },
  );
  const options = {
    ports: systemPorts,
    environment: {},
    log: () => undefined,
    guard: async () => null,
    onFatal: () => undefined,
  };
  const waits = new Waits({ ports: systemPorts, after, log: () => undefined, stop: null });
  return must(await openParts(config, options, { waits, closers }));
}

it('a process gives back what it holds of a task that ended, and not what it holds of others', async () => {
  const closers = new Closers(() => undefined);
  try {
    const { authority, settling, stateFile } = await opened(closers);
    const deadlineMs = Date.now() + 600_000;
    const tasks = [1, 2].map((n) => taskNumber(n, { deadlineMs, createdAtMs: Date.now() }));
    for (const [at, task] of tasks.entries())
      must(await mustFind(authority).insertTask(task, { ...tokenNumber(at + 1), expiresAtMs: deadlineMs }, []));
    const spent = [0, 0];
    const use = async (at: number): Promise<void> => {
      const spends = [{ kind: 'calls', limit: 100_000 }] as const;
      const one = { decisionId: randomUUID(), key: mustFind(tasks[at]), jtiDigest: `digest-${at + 1}`, spends };
      if ((settling.settleNow?.(one) ?? null) === null) must(await settling.settle(one));
      else spent[at] = mustFind(spent[at]) + 1;
    };
    /** How much of what was lent for a task is held. */
    const held = (at: number): number =>
      must(mustFind(stateFile).reader.loansOf(mustFind(tasks[at]))).reduce((sum, { amount }) => sum + amount, 0) -
      mustFind(spent[at]);
    await until(
      async () => {
        for (const at of [0, 1]) await use(at);
        return held(0) > 0 && held(1) > 0;
      },
      { what: 'shares of both' },
    );
    await mustFind(authority).applyTaskEvent(mustFind(tasks[0]), byOperator('complete'), 'operator');
    // The other one does not lie idle meanwhile.
    await until(async () => (await use(1), held(0) === 0), { what: 'nothing is held of the ended task' });
    expect(held(1)).toBeGreaterThan(0);
  } finally {
    await closers.close();
  }
});
