import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { describeWith, envoyPart } from '../parts.ts';
import { envoyVersions } from '../parts/cache.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { scratchFolder } from './domain.ts';
import { Processes, withTime } from './processes.ts';
import { SteadyCallers } from './steady-callers.ts';

// Processes start here, which is slow on a loaded machine.

// Issue 15, point 8: SIGTERM cut off every call, and Envoy answered 503 without a reason.
describeWith(envoyPart(), 'one process behind Envoy, which is restarted', (envoy) => {
  const scratch = testFolder(() => processes?.stop());
  let processes: Processes;
  let token = '';

  const answer = async (headers: Readonly<Record<string, string>> = { authorization: `Bearer ${token}` }) => {
    const call = { host: 'payments.acme.test', path: '/v1/payments/p-1', headers };
    return processes.agent.call(processes.envoyPort, call);
  };

  beforeAll(async () => {
    processes = await Processes.start(envoy, scratch.folder, {
      kind: 'alone',
      drainSeconds: 10,
      // Less than a client waits, and some of what a loaded machine takes to start a process.
      envoyConfig: (text) =>
        withTime(text)
          .replace('num_retries: 8', 'num_retries: 100')
          .replace('max_interval: 10s', 'max_interval: 2s')
          .replace(/^( +)timeout: 10s$/m, '$1timeout: 8s'),
    });
    await processes.serve(1);
    ({ token } = await processes.declare());
    await until(async () => (await answer()).status === 200);
  });

  it('says "not serving" for `drainSeconds`, and answers every call until it ends', async () => {
    const callers = new SteadyCallers(processes.envoyPort, [{ agent: processes.agent, token }]);
    let draining = 0;
    try {
      await until(() => callers.calls.length > 20);
      const { child, exit } = processes.running(1);
      child.kill('SIGTERM');
      await until(async () => (await processes.readiness(1)) === '503 drain: the process is about to stop');
      // Envoy knows it too, and still asks where there is no other process.
      await until(async () => (await processes.healthy()).length === 0);
      draining = callers.calls.length;
      await until(() => callers.calls.length > draining + 20);
      draining = callers.calls.length;
      expect(new Set(callers.calls.map(({ answer: said }) => said))).toEqual(new Set(['200']));
      expect(await exit).toBe(0);
    } finally {
      await callers.stop();
    }
    expect(draining).toBeGreaterThan(40);
  });

  it('causes denials with a reason while it is down', async () => {
    const { status, headers, body } = await answer();
    expect(status).toBe(503);
    expect(headers['x-remit-decision']).toBe('deny;reason=envoy.no-decision');
    expect([headers['retry-after'], headers['content-type']]).toEqual(['1', 'application/json']);
    expect(JSON.parse(body)).toEqual({
      error: 'temporarily_unavailable',
      reason: 'envoy.no-decision',
      request: headers['x-request-id'],
      message: 'no decision could be had, so the call was denied',
    });
  });

  // Issue 37, point 21: each call that came while it was down was lost, however soon it was back.
  it('answers a call that came while it was down and that still waits, as one use', async () => {
    const socket = join(scratch.folder, 'check-1.sock');
    expect(existsSync(socket)).toBe(false);
    const serving = processes.serve(1);
    await until(async () => {
      const isDown = !existsSync(socket);
      const { status } = await answer();
      return isDown && status === 200;
    });
    await serving;
    await until(() => processes.decided(1).length > 0, { what: 'its decision' });
    expect(processes.decided(1).map(({ decision }) => decision)).toEqual(['allow']);
  });

  it('is asked again once it is back, and gives its own denials', async () => {
    expect((await answer()).status).toBe(200);
    const { status, body } = await answer({});
    expect([status, JSON.parse(body).reason]).toEqual([401, 'token.missing']);
  });

  it('is not blamed for a tool server that is down', async () => {
    await processes.payments.close();
    const { status, headers, body } = await answer();
    expect(status).toBe(503);
    expect(JSON.parse(body)).toMatchObject({
      reason: 'envoy.no-upstream',
      decision: expect.stringMatching(/^[0-9a-f-]{36}$/),
      trace: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    expect([headers['x-remit-decision'], headers['retry-after']]).toEqual([undefined, undefined]);
  });

  it.each([
    ['a second SIGTERM', 'SIGTERM', 'SIGTERM'],
    ['SIGINT after SIGTERM', 'SIGTERM', 'SIGINT'],
  ] as const)('ends at once at %s', async (_name, first, second) => {
    const { folder, remove } = await scratchFolder('remit-hurry-');
    const hurried = await Processes.start(envoy, folder, { kind: 'alone', drainSeconds: 300 });
    try {
      const { child, exit } = await hurried.serve(1);
      child.kill(first);
      await until(async () => (await hurried.readiness(1)).startsWith('503'));
      child.kill(second);
      expect(await exit).toBe(0);
    } finally {
      await hurried.stop();
      await remove();
    }
  });
});

for (const version of envoyVersions) {
  describeWith(envoyPart(version), `Envoy ${version} without Remit`, (envoy) => {
    it('denies with its own reason', async () => {
      const { folder, remove } = await scratchFolder('remit-none-');
      const none = await Processes.start(envoy, folder, { kind: 'alone' });
      try {
        const { status, body } = await none.agent.call(none.envoyPort, { host: 'payments.acme.test', path: '/' });
        expect([status, JSON.parse(body).reason]).toEqual([503, 'envoy.no-decision']);
      } finally {
        await none.stop();
        await remove();
      }
    });
  });
}
