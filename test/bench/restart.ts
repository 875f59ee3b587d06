import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { cachedEnvoy, ENVOY_VERSION } from '../../src/dev/envoy-binary.ts';
import { NUMBERS, Processes } from '../e2e/processes.ts';
import type { ProcessName } from '../e2e/processes.ts';
import { cacheFolder } from '../parts/cache.ts';
import { until } from '../until.ts';

/**
 * The calls that are lost over a restart, in counts: `node test/bench/restart.ts [--rate 40] [--drain 5] [--timeout 0.5]`. Calls come at a fixed rate,
 * whether the last one is answered or not, through Envoy with the shipped configuration and its deadline, or another one, in seconds; a process is told to end, or is killed, and started
 * again once it has ended, as systemd does it.
 */
const BEFORE_MS = 3_000;
const AFTER_MS = 3_000;

const { values } = parseArgs({
  options: {
    drain: { type: 'string', default: '5' },
    rate: { type: 'string', default: '40' },
    timeout: { type: 'string' },
  },
});
const rate = Number(values.rate);
/** The shipped configuration, with another deadline of checks where one is given: `guide/install/envoy.md`. */
const envoyConfig = (text: string): string =>
  values.timeout === undefined
    ? text
    : text
        .replace('timeout: 0.5s', `timeout: ${values.timeout}s`)
        .replace('max_interval: 0.5s', `max_interval: ${values.timeout}s`)
        .replace('num_retries: 8', 'num_retries: 16');
/** `npm run parts` installs it. */
const envoy = cachedEnvoy(cacheFolder, ENVOY_VERSION);

type Signal = Parameters<Processes['end']>[1];
type Restart = readonly [what: string, names: readonly ProcessName[], signal: Signal];

const restarts: Readonly<Record<'alone' | 'fleet', readonly Restart[]>> = {
  alone: [
    ['one process, killed', [1], 'SIGKILL'],
    ['one process, restarted', [1], 'SIGTERM'],
  ],
  fleet: [
    ['two sidecars of an authority, both restarted in turn', NUMBERS, 'SIGTERM'],
    ['two sidecars of an authority, which is restarted', ['authority'], 'SIGTERM'],
  ],
};

for (const kind of ['alone', 'fleet'] as const) {
  const folder = await mkdtemp(join(tmpdir(), 'remit-restarts-'));
  const drainSeconds = Number(values.drain);
  const processes = await Processes.start(envoy, folder, { kind, drainSeconds, envoyConfig });
  try {
    for (const name of kind === 'alone' ? ([1] as const) : (['authority', ...NUMBERS] as const))
      await processes.serve(name);
    for (const [what, names, signal] of restarts[kind]) {
      console.log(what);
      for (const [answer, count] of await restarted(processes, names, signal)) console.log(`  ${count} ${answer}`);
    }
  } finally {
    await processes.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** How often each answer occurred, from before the first restart until after the last. */
async function restarted(
  processes: Processes,
  names: readonly ProcessName[],
  signal: Signal,
): Promise<ReadonlyMap<string, number>> {
  const { token } = await processes.declare();
  const counts = new Map<string, number>();
  const call = async (): Promise<string> => {
    const headers = { authorization: `Bearer ${token}` };
    const asked = { host: 'payments.acme.test', path: '/v1/payments/p-1', headers };
    const { status, body } = await processes.agent.call(processes.envoyPort, asked);
    return status === 200 ? '200' : `${status} ${/"reason":"([\w.-]+)"/.exec(body)?.[1] ?? 'without a reason'}`;
  };
  const count = async (): Promise<void> => {
    const answer = await call().catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
    counts.set(answer, (counts.get(answer) ?? 0) + 1);
  };
  // Warms up the code.
  for (let warm = 0; warm < 300; warm += 1) await call();
  const calls: Promise<void>[] = [];
  const due = performance.now();
  const timer = setInterval(() => {
    while (calls.length < ((performance.now() - due) * rate) / 1000) calls.push(count());
  }, 1);
  let awayMs = 0;
  for (const name of names) {
    await delay(BEFORE_MS);
    await processes.end(name, signal);
    const endedMs = performance.now();
    await processes.serve(name);
    awayMs += performance.now() - endedMs;
    await until(async () => (await call()) === '200', { what: 'an answer', withinMs: 60_000 });
  }
  await delay(AFTER_MS);
  clearInterval(timer);
  await Promise.all(calls);
  console.log(`  ${calls.length} calls at ${rate}/s; away for ${Math.round(awayMs)} ms`);
  return counts;
}
