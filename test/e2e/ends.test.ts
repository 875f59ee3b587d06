import { beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, mustDeclare, startDomain } from './domain.ts';

const TASKS = 60;
const CALLERS = 4;

interface Call {
  readonly startedMs: number;
  readonly status: number;
  readonly reason: string | null;
}

describeWith(envoyPart(), 'the end of a task under load', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder });
  });

  it.each(['complete', 'cancel'] as const)(
    'is enforced for every call that starts after its acknowledgement: %s',
    async (end) => {
      const { planner, issuerPort, issuerHost } = domain.stage;
      let [allows, lateCalls] = [0, 0];
      for (let round = 0; round < TASKS / 2; round += 1) {
        const { token, taskId } = await mustDeclare(planner, domain);
        const over = new AbortController();
        const calls: Call[] = [];
        const caller = async (): Promise<void> => {
          while (!over.signal.aborted) {
            const startedMs = performance.now();
            const [status, reason] = await callPayments(planner, domain, { token });
            calls.push({ startedMs, status, reason });
          }
        };
        const callers = Array.from({ length: CALLERS }, caller);
        await until(() => calls.length > 2);
        const ended = await planner.call(issuerPort, {
          host: issuerHost,
          method: 'POST',
          path: `/tasks/${taskId}/${end}`,
        });
        const acknowledgedMs = performance.now();
        expect(ended.status).toBe(200);
        await until(() => calls.filter((call) => call.startedMs > acknowledgedMs).length >= CALLERS);
        over.abort();
        await Promise.all(callers);
        const late = calls.filter((call) => call.startedMs > acknowledgedMs);
        expect(late.filter((call) => call.status < 300)).toEqual([]);
        expect(new Set(late.map((call) => call.reason))).toEqual(
          new Set([`task.${end === 'cancel' ? 'cancelled' : 'completed'}`]),
        );
        allows += calls.filter((call) => call.status === 200).length;
        lateCalls += late.length;
      }
      expect(allows).toBeGreaterThan(TASKS);
      expect(lateCalls).toBeGreaterThanOrEqual((TASKS / 2) * CALLERS);
    },
  );
});
