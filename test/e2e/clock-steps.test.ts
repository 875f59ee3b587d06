import { join } from 'node:path';
import { afterEach, beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { isStoreFailure } from '../../src/core/runtime/store-failure.ts';
import { causeOf } from '../../src/core/task/cause.ts';
import type { Task } from '../../src/core/task/task.ts';
import { verdictIn } from '../core/ledger/log/verified.ts';
import { byOperator } from '../builders/task.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { mustDeclare, startDomain } from './domain.ts';
import { mustFind } from '../builders/must.ts';

const MINUTE = 60_000;
const TASK_SECONDS = 900;

/** Issue 14, point 9: a wall clock that is set wrong and corrected again, while the monotonic clock goes on. */
describeWith(envoyPart(), 'a wall clock that steps, through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  const clock = { offMs: 0, passedMs: 0 };
  const said: string[] = [];

  beforeAll(async () => {
    const ports = {
      ...systemPorts,
      nowMs: () => Date.now() + clock.offMs,
      monotonicMs: () => performance.now() + clock.passedMs,
    };
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      ports,
      // Each test stops tasks of the same agents.
      settings: { issuer: { stoppedTaskWaitSeconds: 'off' } },
      log: (line) => said.push(line),
    });
  });
  afterEach(() => {
    clock.offMs = 0;
  });

  const call = async (token: string): Promise<readonly [number, string | null]> => {
    const reply = await domain.stage.planner.call(domain.stage.envoyPort, {
      host: 'payments.acme.test',
      path: '/v1/payments/p-1',
      headers: { authorization: `Bearer ${token}` },
    });
    return [reply.status, reply.status < 300 ? null : JSON.parse(reply.body).reason];
  };
  const stored = (id: string): Task => {
    const found = mustFind(domain.remit.stateFile).reader.tasks({ id });
    const task = isStoreFailure(found) ? undefined : found[0];
    if (task === undefined) throw new Error('no such task');
    return task;
  };
  const noticed = (text: string) => until(() => said.some((line) => line.includes(text)));

  it('denies what has expired by it while it is ahead, and ends nothing for good', async () => {
    const { token, taskId } = await mustDeclare(domain.stage.planner, domain);
    expect(await call(token)).toEqual([200, null]);
    clock.offMs = 20 * MINUTE;
    // This is noticed once a second, as are tasks past their deadline.
    await noticed('ahead of the elapsed time');
    expect(await call(token)).toEqual([401, 'token.expired']);
    expect(await mustFind(domain.remit.stateFile).authority.endExpired()).toBe(0);
    clock.offMs = 0;
    expect(await call(token)).toEqual([200, null]);
    expect(stored(taskId)).toMatchObject({ state: 'active', endedAtMs: null });
    await noticed('agrees with the elapsed time again');
  });

  it('gives a task declared while it is ahead no longer a lifetime', async () => {
    clock.offMs = 10 * MINUTE;
    const { token, taskId } = await mustDeclare(domain.stage.planner, domain);
    expect(await call(token)).toEqual([200, null]);
    clock.offMs = 0;
    expect(stored(taskId).deadlineMs - Date.now()).toBeLessThanOrEqual(TASK_SECONDS * 1_000);
  });

  it('issues nothing that would expire at once, and reports that as temporary', async () => {
    clock.offMs = 30 * MINUTE;
    await expect(mustDeclare(domain.stage.planner, domain)).rejects.toThrow('temporarily_unavailable');
    clock.offMs = 0;
    await expect(mustDeclare(domain.stage.planner, domain)).resolves.toBeDefined();
  });

  it('lets an operator revoke a task that has expired by it', async () => {
    const { token, taskId } = await mustDeclare(domain.stage.planner, domain);
    clock.offMs = 20 * MINUTE;
    const key = { issuer: stored(taskId).issuer, id: taskId };
    expect(
      await mustFind(domain.remit.stateFile).authority.applyTaskEvent(
        key,
        byOperator('revoke', 'gone astray'),
        'operator',
      ),
    ).toMatchObject({
      changed: true,
    });
    clock.offMs = 0;
    expect((await call(token))[1]).toBe('task.revoked');
  });

  it.each(['suspend', 'revoke', 'cancel'] as const)(
    'answers an expired token with 403 after a %s by an operator, so that no client declares again',
    async (kind) => {
      const { token, taskId } = await mustDeclare(domain.stage.planner, domain);
      const { issuer } = stored(taskId);
      await mustFind(domain.remit.stateFile).authority.applyTaskEvent(
        { issuer, id: taskId },
        byOperator(kind, 'gone astray'),
        'operator',
      );
      // The token would be expired, its task would not.
      clock.offMs = 6 * MINUTE;
      expect(await call(token)).toEqual([
        403,
        { suspend: 'task.suspended', revoke: 'task.revoked', cancel: 'task.cancelled' }[kind],
      ]);
      const stolen = await domain.stage.reporter.call(domain.stage.envoyPort, {
        host: 'payments.acme.test',
        path: '/v1/payments/p-1',
        headers: { authorization: `Bearer ${token}` },
      });
      expect([stolen.status, JSON.parse(stolen.body).reason]).toEqual([401, 'token.expired']);
    },
  );

  it('answers an expired token of an active or completed task with 401', async () => {
    const [going, completed] = [
      await mustDeclare(domain.stage.planner, domain),
      await mustDeclare(domain.stage.planner, domain),
    ];
    const { issuer } = stored(completed.taskId);
    const event = { kind: 'complete', cause: causeOf('agent.completed') } as const;
    await mustFind(domain.remit.stateFile).authority.applyTaskEvent({ issuer, id: completed.taskId }, event, 'agent');
    clock.offMs = 6 * MINUTE;
    expect(await call(going.token)).toEqual([401, 'token.expired']);
    expect(await call(completed.token)).toEqual([401, 'token.expired']);
  });

  it('shows in the verdict on the ledger, once a checkpoint follows', async () => {
    const { token } = await mustDeclare(domain.stage.planner, domain);
    clock.offMs = 20 * MINUTE;
    await call(token);
    await domain.remit.flush();
    clock.offMs = 0;
    await call(token);
    const key = /verified with (\S+)/.exec(said.join('\n'))?.[1] ?? '';
    const remarks = await until(() => {
      const verdict = verdictIn(join(scratch.folder, 'ledger'), { key, anchors: join(scratch.folder, 'none') });
      return verdict.kind === 'sound' && verdict.remarkCount > 0 && verdict.remarks;
    });
    expect(remarks[0]?.remark).toMatch(/^the clock stepped back by \d+ ms$/);
  });

  it('lets no token live longer than issued, even if it is set back all the time', async () => {
    const { token } = await mustDeclare(domain.stage.planner, domain);
    expect(await call(token)).toEqual([200, null]);
    // So much time passes, while the wall clock is set back by as much.
    clock.passedMs += 304_000;
    expect(await call(token)).toEqual([401, 'token.expired']);
    const again = await mustDeclare(domain.stage.planner, domain);
    expect(await call(again.token)).toEqual([200, null]);
  });
});
