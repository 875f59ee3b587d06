import { expect, it } from '@jest/globals';
import { openPostgresState } from '../../../src/authority/state/postgres/postgres-state.ts';
import type { SidecarState } from '../../../src/sidecar/state/sidecar-state.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { isExhausted, byOperator, taskNumber, tokenNumber } from '../../builders/task.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { mustOpenState, openingOf } from '../../postgres/opening.ts';
import { startedPlaces } from '../../postgres/places.ts';
import { until } from '../../until.ts';
import { digestOf, keyOf, servingPostgres } from './serving.ts';
import { openSidecar } from '../../builders/sidecar-state.ts';

const folder = testFolders();
const HOUR_MS = 3_600_000;
const LEASE_MS = 2_000;
const closers = closedAfterEach();

const lookAt = ({ states }: SidecarState) => states.of(keyOf(1), digestOf(1));

/** A sidecar with a lease that holds task 1. */
async function holder(targets: readonly string[]): Promise<SidecarState> {
  const state = openSidecar(targets);
  closers.push(() => state.close());
  await until(() => state.problem() === null, { what: 'a lease' });
  // A loaded machine may miss the deadline of an open.
  const isActive = async (): Promise<boolean> => {
    await state.states.open(keyOf(1), digestOf(1));
    const use = lookAt(state);
    return use !== undefined && 'task' in use && use.task.state === 'active';
  };
  await until(isActive, { what: 'an open task' });
  return state;
}

describeWith(postgresPart(), 'authorities on one PostgreSQL', (binaries) => {
  const places = startedPlaces(binaries, folder());

  /** One more authority over a database. */
  async function authority(url: string, at = folder()) {
    const state = await mustOpenState(url);
    closers.push(() => state.close());
    const serving = must(await servingPostgres(state, { folder: at, leaseMs: LEASE_MS }));
    closers.push(() => serving.close());
    return { state, serving };
  }

  async function declared(state: Awaited<ReturnType<typeof authority>>['state'], n: number) {
    const nowMs = Date.now();
    const task = taskNumber(n, { createdAtMs: nowMs, lastUsedMs: nowMs, deadlineMs: nowMs + HOUR_MS });
    const token = { ...tokenNumber(n), issuedAtMs: nowMs, expiresAtMs: nowMs + HOUR_MS };
    expect(await state.authority.insertTask(task, token, [])).toBeNull();
    return task;
  }

  /** Waits until leases that an authority may have given before its start are over, which every end waits for too. */
  const settledIn = async ({ serving }: Awaited<ReturnType<typeof authority>>): Promise<void> => {
    await until(async () => must(await serving.enforced(['none'])).enforced, { what: 'leases from before the start' });
  };

  it('refuses an ended task at the sidecars of all authorities once the receipt of any authority says so', async () => {
    const url = await places.next();
    const [a, b] = [await authority(url), await authority(url)];
    const task = await declared(a.state, 1);
    const sidecars = await Promise.all([a, b, b].map(({ serving }) => holder(serving.targets)));
    await settledIn(a);
    expect(await a.state.authority.applyTaskEvent(task, byOperator('cancel'), 'operator')).toMatchObject({
      changed: true,
    });
    const receipt = await a.serving.enforced([task.id]);
    expect(receipt).toMatchObject({ enforced: true });
    expect(sidecars.map((sidecar) => lookAt(sidecar))).toMatchObject(
      sidecars.map(() => ({ task: { state: 'cancelled' } })),
    );
    expect(receipt).toEqual({ enforced: true, holders: 3, acknowledged: 3, fenced: 0 });
  });

  it('tells a sidecar of one authority where a token was used at a sidecar of the other authority', async () => {
    const url = await places.next();
    const [a, b] = [await authority(url), await authority(url)];
    await declared(a.state, 1);
    const one = await holder(a.serving.targets);
    const soFar = {
      uses: 3,
      last: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) },
      allowed: {
        traces: [7],
        places: { address: '10.0.0.1', certificate: 'c', connections: [], servers: ['payments'], risks: ['low'] },
      },
    };
    const isReported = async (): Promise<boolean> =>
      (await one.reports.writeUses([{ jtiDigest: digestOf(1), ...soFar }])) === null;
    await until(isReported, { what: 'a report' });
    expect(one.usesBefore(keyOf(1), digestOf(1))).toBeNull();
    const other = await holder(b.serving.targets);
    expect(other.usesBefore(keyOf(1), digestOf(1))).toEqual(soFar);
  });

  it('sees the other authority with its sidecars, and says so once its database takes no commits', async () => {
    const url = await places.next();
    const [a, b] = [await authority(url), await authority(url)];
    await declared(a.state, 1);
    await holder(b.serving.targets);
    const other = () => a.serving.report().replicas.find(({ id }) => id === b.state.replica);
    await until(() => other()?.sidecars === 1, { what: 'the sidecar of the other' });
    expect(other()).toMatchObject({ version: '0.2.0', lease_ms: LEASE_MS, behind: 0 });
    expect(a.serving.report()).toMatchObject({ id: a.state.replica, sidecars: [], problem: null });
    expect(a.serving.report().replicas).toHaveLength(2);
    await until(() => a.serving.problem() === null, { what: 'a commit' });
    await places.postgres.stop();
    try {
      await until(() => a.serving.problem()?.startsWith('the database has taken no commit') === true, {
        what: 'the gate',
      });
      expect(a.serving.measures().commitAgeMs).toBeGreaterThan(LEASE_MS);
    } finally {
      await places.postgres.start();
    }
    await until(() => a.serving.problem() === null, { what: 'a commit after the restart' });
  });

  it('spends a budget to the last unit at the sidecars of two, and never over it', async () => {
    const url = await places.next();
    const [a, b] = [await authority(url), await authority(url)];
    await declared(a.state, 1);
    const sidecars = await Promise.all([a, b].map(({ serving }) => holder(serving.targets)));
    let granted = 0;
    let decision = 0;
    // A settlement may miss its deadline on a loaded machine: its budget is then spent all the same.
    const ask = async (sidecar: SidecarState): Promise<unknown> => {
      decision += 1;
      const decisionId = `0198c0de-0000-7000-8000-${String(decision).padStart(12, '0')}`;
      const spends = [{ kind: 'calls' as const, limit: 30 }];
      const answer = await sidecar.settling.settle({ decisionId, key: keyOf(1), jtiDigest: digestOf(1), spends });
      if (answer === null) granted += 1;
      return answer;
    };
    await until(async () => (await Promise.all(sidecars.map(ask))).every(isExhausted));
    expect(granted).toBeLessThanOrEqual(30);
    expect(await places.spent(url, keyOf(1).id)).toBe(30);
  });

  it('waits for the sidecars of an authority that is gone until their leases are over', async () => {
    const url = await places.next();
    const [a, b] = [await authority(url), await authority(url)];
    const task = await declared(a.state, 1);
    const sidecar = await holder(b.serving.targets);
    await settledIn(a);
    await b.serving.close();
    await a.state.authority.applyTaskEvent(task, byOperator('cancel'), 'operator');
    expect(lookAt(sidecar)).toMatchObject({ task: { state: 'active' } });
    expect(await a.serving.enforced([task.id])).toMatchObject({ enforced: true });
    expect(lookAt(sidecar)).not.toMatchObject({ task: { state: 'active' } });
  });

  it('stops for good if a sidecar proves that a change was lost, though its number was given again', async () => {
    const [url, place] = [await places.next(), folder()];
    const former = await authority(url, place);
    const task = await declared(former.state, 1);
    const sidecar = await holder(former.serving.targets);
    await former.state.authority.applyTaskEvent(task, byOperator('cancel'), 'operator');
    await until(() => sidecar.measures().position === 1, { what: 'the sidecar has the change' });
    await former.serving.close();
    await former.state.close();
    await places.sql(url, 'UPDATE remit.feed SET mark = gen_random_uuid()');
    const { serving } = await authority(url, place);
    await until(() => serving.problem() !== null, { what: 'the new authority to stop' });
    expect(serving.problem()).toMatch(
      /^the database lacks change 1, which the sidecar `unix [0-9a-f]+` has: commits were lost/,
    );
    const opening = openingOf(url);
    await until(async () => 'code' in (await openPostgresState(opening)), { what: 'no new authority starts' });
  });

  it('goes on by itself once the database is back that has the change which a sidecar proved', async () => {
    const [url, place] = [await places.next(), folder()];
    const former = await authority(url, place);
    const task = await declared(former.state, 1);
    const [before] = await places.sql(url, 'SELECT * FROM remit.feed_head WHERE part = 0');
    const sidecar = await holder(former.serving.targets);
    await former.state.authority.applyTaskEvent(task, byOperator('cancel'), 'operator');
    await until(() => sidecar.measures().position === 1, { what: 'the sidecar has the change' });
    await former.serving.close();
    await former.state.close();
    // An older copy, from before the change.
    await places.sql(
      url,
      'CREATE TABLE newer AS SELECT * FROM remit.feed; CREATE TABLE head AS SELECT * FROM remit.feed_head',
    );
    await places.sql(url, `DELETE FROM remit.feed; UPDATE remit.feed_head SET seq = ${String(before?.['seq'])}`);
    const { serving } = await authority(url, place);
    await until(() => serving.problem()?.startsWith('the database lacks change 1') === true, { what: 'the halt' });
    await until(() => serving.problem() !== null && sidecar.problem() !== null, { what: 'the sidecar denies' });
    const isMarked = async () =>
      (await places.sql(url, 'SELECT FROM remit.feed_head WHERE lost IS NOT NULL')).length > 0;
    // Else the mark would be written into the copy that is put back.
    await until(isMarked, { what: 'the mark in the older copy' });
    await places.sql(
      url,
      'DELETE FROM remit.feed; INSERT INTO remit.feed SELECT * FROM newer; DELETE FROM remit.feed_head; INSERT INTO remit.feed_head SELECT * FROM head',
    );
    await until(() => serving.problem() === null, { what: 'the authority to go on' });
    await until(() => sidecar.problem() === null, { what: 'the lease of the sidecar' });
    expect(lookAt(sidecar)).not.toMatchObject({ task: { state: 'active' } });
  });
});
