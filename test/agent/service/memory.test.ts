import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { mapSeveral } from '../../../src/core/runtime/collections/map-several.ts';
import { SERVING_ALLOCATOR, SERVING_FLAGS } from '../../../src/core/runtime/system/v8-flags.ts';
import { remit } from '../../e2e/process.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { thoroughly } from '../../thoroughly.ts';
import { until } from '../../until.ts';
import { declaredAt, seenAt, type ServiceDomain, startServiceDomain } from './service-domain.ts';

const folder = testFolders(() => domain.close());
const TASKS = thoroughly(5_000, 300);
/** With what V8 has not collected yet: 5,000 tasks took 143 MiB, 500 took 109 to 114. */
const MOST_MIB = thoroughly(150, 130);
/** Starts it with the flags of its unit of systemd. */
const FLAGS = SERVING_FLAGS.filter((flag) => flag !== '--always-sparkplug');
const AS_ITS_UNIT = ['sh', '-c', `exec "$0" ${FLAGS.join(' ')} "$@"`];
let domain: ServiceDomain;
beforeAll(async () => {
  const limits = { requestsPerSecondPerClient: 100_000, withdrawalsPerSecondPerClient: 100_000 };
  domain = await startServiceDomain(folder(), { tokenSeconds: 900, change: { limits } });
});

/** Resident memory of a process, in MiB. */
const residentMib = (pid: number | undefined): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;

// Issue 44, point 3.
it(
  `\`remit agent\` holds ${TASKS} tasks at once, each called, in ${MOST_MIB} MiB`,
  async () => {
    const at = join(folder(), 'agent');
    const running = remit(
      [
        'agent',
        '--intents',
        domain.intents,
        '--folder',
        at,
        // Longer than it takes to declare them all.
        '--idle',
        '2h',
        ...['tools=https://payments.acme.test', 'files=https://files.acme.test'].flatMap((one) => [
          '--forward',
          `${one},connect=127.0.0.1:${domain.upstreamPort}`,
        ]),
        ...domain.run.options,
      ],
      SERVING_ALLOCATOR,
      AS_ITS_UNIT,
    );
    try {
      await running.said('ready');
      const url = /^REMIT_TASKS=(.*)$/m.exec(readFileSync(join(at, 'environment'), 'utf8'))?.[1] ?? '';
      const tasks = await mapSeveral(Array.from({ length: TASKS }), 8, () =>
        until(async () => {
          const made = await declaredAt(url);
          if (made.status !== 201) return false;
          const seen = await seenAt(`${made.forward['tools']}/v1`);
          return seen.task === made.task && made.task;
        }),
      );
      expect(new Set(tasks).size).toBe(TASKS);
      expect(await (await fetch(url)).json()).toEqual({ open: TASKS, max: 5_000 });
      expect(residentMib(running.child.pid)).toBeLessThan(MOST_MIB);
      running.child.kill('SIGTERM');
      expect(await running.exit).toBe(0);
      // What it had no time to cancel, its watcher does.
      await until(() => tasks.every((task) => domain.run.stateOf(task) === 'cancelled'));
    } finally {
      running.child.kill('SIGKILL');
    }
  },
  thoroughly(3_600_000, 300_000),
);
