import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { cachedEnvoy, ENVOY_VERSION } from '../../../src/dev/envoy-binary.ts';
import { cacheFolder } from '../../parts/cache.ts';
import { until } from '../../until.ts';
import { NameServer } from './name-server.ts';
import { OneAuthority } from './one-authority.ts';

/**
 * A planned restart of the only authority, which comes back at another address, as a pod does: how many calls were lost, as a line of JSON.
 * `in-own-network.ts` runs it in a network with a DNS server of its own. Calls come at a fixed rate, whether the last one is
 * answered or not.
 */
const RATE = 40;
const BEFORE_MS = 3_000;
const AFTER_MS = 3_000;

const { values } = parseArgs({
  options: {
    lease: { type: 'string' },
    drain: { type: 'string', default: '1' },
    /** How long no authority runs, as while a pod is scheduled. */
    away: { type: 'string', default: '0' },
  },
});

const names = await NameServer.start('127.0.0.1', 53);
names.addresses = ['127.0.1.1'];
const folder = await mkdtemp(join(tmpdir(), 'remit-moved-'));
const fleet = await OneAuthority.start(cachedEnvoy(cacheFolder, ENVOY_VERSION), join(folder, 'fleet'), {
  leaseSeconds: values.lease === undefined ? null : Number(values.lease),
  drainSeconds: Number(values.drain),
});
try {
  await fleet.serveAuthority('127.0.1.1');
  await fleet.serveSidecar();
  const token = await fleet.declare();
  // The first uses are settled, and warm up the code.
  for (let warm = 0; warm < 100; warm += 1) await fleet.call(token);
  await until(async () => (await fleet.call(token)) === '200', { what: 'a use' });
  const answers = new Map<string, number>();
  const count = async (): Promise<void> => {
    const answer = await fleet.call(token).catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  };
  const calls: Promise<void>[] = [];
  const startedMs = performance.now();
  const timer = setInterval(() => {
    while (calls.length < ((performance.now() - startedMs) * RATE) / 1_000) calls.push(count());
  }, 1);
  await delay(BEFORE_MS);
  await fleet.endAuthority();
  const endedMs = performance.now();
  names.addresses = ['127.0.1.2'];
  await delay(Number(values.away) * 1_000);
  await fleet.serveAuthority('127.0.1.2');
  const readyMs = performance.now();
  await until(() => fleet.isFollowed(), { what: 'the sidecar follows the authority' });
  const followedMs = performance.now();
  await until(async () => (await fleet.call(token)) === '200', { what: 'a use' });
  await delay(AFTER_MS);
  clearInterval(timer);
  await Promise.all(calls);
  const allowed = answers.get('200') ?? 0;
  answers.delete('200');
  const lost = Object.fromEntries(answers);
  const [away_ms, found_ms] = [readyMs - endedMs, followedMs - readyMs].map(Math.round);
  console.log(JSON.stringify({ calls: calls.length, allowed, lost, away_ms, found_ms, asked: names.asked }));
} finally {
  await fleet.stop();
  names.close();
  await rm(folder, { recursive: true, force: true });
}
