import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Agent } from '../../src/dev/agent.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { startDevProcess } from './dev-process.ts';
import type { DevProcess } from './dev-process.ts';

/** Enough lines of this path to fill the pipe and the 1 MiB that may wait behind it, twice over. */
const FLOOD = 1_000;
const LONG_PATH = `/v1/payments/${'p'.repeat(2_000)}`;

describeWith(envoyPart(), 'the decision log on standard output', (envoy) => {
  let dev: DevProcess;
  let planner: Agent;
  const lines = (): readonly Record<string, unknown>[] =>
    dev.running
      .out()
      .split('\n')
      // Text after the last line end is not a complete line.
      .slice(0, -1)
      .filter((line) => line.startsWith('{"kind":"decision"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const call = async (path: string): Promise<readonly [number, string]> => {
    const { status, headers } = await planner.call(dev.port('envoy'), {
      host: 'payments.acme.test',
      path,
    });
    return [status, String(headers['x-remit-decision'])];
  };
  const dropped = async (): Promise<number> =>
    Number(/^remit_decision_log_dropped_total (\d+)$/m.exec(await dev.metrics())?.[1]);

  beforeAll(async () => {
    dev = await startDevProcess({ ENVOY_BIN: envoy, REMIT_DECISION_LOG: 'stdout' });
    planner = await dev.agent('planner');
  });
  afterAll(async () => {
    dev?.running.child.stdout?.resume();
    await dev?.stop();
  });

  it('has one line for each check, with the id in the answer', async () => {
    const answers = [await call('/v1/payments/p-1'), await call('/nothing')];
    await dev.running.said(/"path":"\/nothing"/);
    expect(lines().map(({ decisionId, reason }) => [decisionId, reason])).toEqual(
      answers.map(([, header]) => [/id="([^"]+)"/.exec(header)?.[1], /reason=([\w.-]+)/.exec(header)?.[1]]),
    );
  });

  it('delays no answer while nobody reads it, and drops and counts excess lines', async () => {
    const { stdout } = dev.running.child;
    stdout?.pause();
    const statuses: number[] = [];
    for (let n = 0; n < FLOOD; n += 20) {
      const replies = await Promise.all(Array.from({ length: 20 }, () => call(LONG_PATH)));
      statuses.push(...replies.map(([status]) => status));
    }
    // A busy machine may be late for single checks, of which there may be a line or not.
    const late = statuses.filter((status) => status === 503).length;
    expect(late).toBeLessThan(FLOOD / 10);
    expect(new Set(statuses.filter((status) => status !== 503))).toEqual(new Set([401]));
    const lost = await dropped();
    expect(lost).toBeGreaterThan(0);
    stdout?.resume();
    await until(() => lines().length >= FLOOD + 2 - late - lost);
    await call('/nothing');
    // Lines are in order: nothing comes before this one any more.
    await until(() => lines().filter(({ path }) => path === '/nothing').length === 2);
    expect(lines().length).toBeGreaterThanOrEqual(FLOOD + 3 - late - lost);
    expect(lines().length).toBeLessThanOrEqual(FLOOD + 3 - lost);
    expect(await dropped()).toBe(lost);
  });
});
