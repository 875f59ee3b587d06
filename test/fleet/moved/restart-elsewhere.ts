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
/** A restart that takes longer than this, on a loaded machine, may outlast the default lease: then calls until soon after it are excused. */
const SLOW_MS = 9_000;
/** The longest pause between two attempts, and some. */
const FOUND_MS = 7_000;

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
  const answers: { readonly answer: string; readonly askedMs: number }[] = [];
  const count = async (): Promise<void> => {
    const askedMs = performance.now();
    const answer = await fleet.call(token).catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
    answers.push({ answer, askedMs });
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
  const [away_ms, found_ms] = [readyMs - endedMs, followedMs - readyMs].map(Math.round);
  const lost: Record<string, number> = {};
  let [allowed, excused] = [0, 0];
  for (const { answer, askedMs } of answers) {
    if (answer === '200') allowed += 1;
    else if (readyMs - endedMs > SLOW_MS && askedMs < readyMs + FOUND_MS) excused += 1;
    else lost[answer] = (lost[answer] ?? 0) + 1;
  }
  console.log(JSON.stringify({ calls: calls.length, allowed, excused, lost, away_ms, found_ms, asked: names.asked }));
} finally {
  await fleet.stop();
  names.close();
  await rm(folder, { recursive: true, force: true });
}
