import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { sqliteEngine } from '../../../src/authority/feed/engine.ts';
import type { AuthorityEngine } from '../../../src/authority/feed/engine.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { storeFailure } from '../../../src/core/runtime/store-failure.ts';
import { AuthorityThread } from '../../../src/authority/state/sqlite/authority-thread.ts';
import type { SidecarState } from '../../../src/sidecar/state/sidecar-state.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { byOperator, taskNumber } from '../../builders/task.ts';
import { until } from '../../until.ts';
import { keyOf, serving } from './serving.ts';
import type { Serving } from './serving.ts';
import { openSidecar } from '../../builders/sidecar-state.ts';

const folder = testFolders();
const closers = closedAfterEach();

/** An engine that goes over to another database: it stands for a failover, or for a backup that is put in place. */
function switched(first: AuthorityEngine): AuthorityEngine & { to: (next: Partial<AuthorityEngine>) => void } {
  let now = first;
  return {
    // Both databases are copies of one.
    epoch: async () => 'one-epoch',
    head: () => now.head(),
    cards: (wanted) => now.cards(wanted),
    reportedUses: (digests) => now.reportedUses(digests),
    feedAfter: (position) => now.feedAfter(position),
    orders: () => now.orders(),
    beat: () => now.beat(),
    settling: { settle: (use) => now.settling.settle(use), giveBack: (use) => now.settling.giveBack(use) },
    keepRecord: (...record) => now.keepRecord(...record),
    to: (next) => {
      now = { ...now, ...next };
    },
  };
}

async function stateFile(): Promise<AuthorityThread> {
  const state = must(
    await AuthorityThread.open(join(folder(), 'state.db'), { ...systemPorts, onFatal: () => undefined }),
  );
  closers.push(() => state.close());
  return state;
}

async function authorityOver(engine: AuthorityEngine): Promise<Serving> {
  const started = await serving(folder(), { engine });
  closers.push(() => started.close());
  return started;
}

function sidecarOf(targets: readonly string[]): SidecarState {
  const state = openSidecar(targets);
  closers.push(() => state.close());
  return state;
}

/** A state file whose feed has three changes. */
async function stateWithChanges(): Promise<AuthorityThread> {
  const state = await stateFile();
  const nowMs = Date.now();
  const times = { createdAtMs: nowMs, lastUsedMs: nowMs, deadlineMs: nowMs + 3_600_000 };
  const token = { jtiDigest: 'x', audience: '', issuedAtMs: 0, expiresAtMs: nowMs, generation: 1, boundTo: '' };
  must(await state.authority.insertTask(taskNumber(1, times), token, []));
  for (const kind of ['suspend', 'resume', 'complete'] as const) {
    await state.authority.applyTaskEvent(keyOf(1), byOperator(kind), 'operator');
  }
  return state;
}

describe('an authority whose database has lost commits', () => {
  it('stops serving once a synced commit sees less than it has processed, and its sidecars deny', async () => {
    const [state, older] = [await stateWithChanges(), await stateFile()];
    const engine = switched(sqliteEngine(state));
    const authority = await authorityOver(engine);
    const sidecar = sidecarOf(authority.targets);
    await until(() => sidecar.problem() === null, { what: 'a lease' });
    expect(sidecar.refusal()).toBeNull();
    engine.to(sqliteEngine(older));
    await until(() => authority.problem() !== null, { what: 'the authority to stop serving' });
    expect(authority.problem()).toMatch(/^this authority has seen change \d+, but the database ends at 0:/);
    await until(() => sidecar.problem() !== null, { what: 'the end of the lease' });
    // What `/readyz` says beside the lease.
    expect(sidecar.refusal()).toContain('commits were lost');
  });

  it('is no authority that reads an old database for a while: that refuses a sidecar and goes on', async () => {
    const [state, older] = [await stateWithChanges(), await stateFile()];
    const engine = switched(sqliteEngine(state));
    const first = await authorityOver(engine);
    const lagging = switched(sqliteEngine(older));
    const second = await authorityOver(lagging);
    lagging.to({ beat: async () => storeFailure('busy', 'no standby') });
    const sidecar = sidecarOf([...first.targets, ...second.targets]);
    await until(() => sidecar.problem() === null, { what: 'a lease' });
    // After the two state files came the first authority.
    await closers.splice(2, 1)[0]?.();
    await until(() => sidecar.problem() !== null, { what: 'the end of the lease' });
    expect([second.problem(), sidecar.refusal()]).toEqual([null, null]);
    lagging.to(sqliteEngine(state));
    await until(() => sidecar.problem() === null, { what: 'a lease of the second authority' });
  });
});
