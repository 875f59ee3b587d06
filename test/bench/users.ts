import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { declaredAt, seenAt, startServiceDomain } from '../agent/service/service-domain.ts';
import { scratch } from '../builders/scratch.ts';
import { remit } from '../e2e/process.ts';
import { SERVING_ALLOCATOR, SERVING_FLAGS } from '../../src/core/runtime/system/v8-flags.ts';
import { latencyOf } from './statistics.ts';

/**
 * What a call costs a user of `remit agent`, by how many users call in turn: between two calls 64 tasks keep connections, so with more users than that
 * each call opens one. The built helper in a process of its own; issuer, upstream and client in this one. `npm run build && node test/bench/users.ts`
 */
const USERS = [1, 32, 64, 128, 512] as const;
const CALLS = 2_000;

const { folder, remove } = scratch();
const limits = { requestsPerSecondPerClient: 100_000, withdrawalsPerSecondPerClient: 100_000 };
const at = folder();
const domain = await startServiceDomain(at, { tokenSeconds: 900, change: { limits } });
const home = join(at, 'agent');
const words = ['agent', '--intents', domain.intents, '--folder', home, '--idle', '2h'];
const forward = ['--forward', `tools=https://payments.acme.test,connect=127.0.0.1:${domain.upstreamPort}`];
const running = remit([...words, ...forward, ...domain.run.options], SERVING_ALLOCATOR, [
  'sh',
  '-c',
  `exec "$0" ${SERVING_FLAGS.join(' ')} "$@"`,
]);
try {
  await running.said('ready');
  const url = /^REMIT_TASKS=(.*)$/m.exec(readFileSync(join(home, 'environment'), 'utf8'))?.[1] ?? '';
  const tools: string[] = [];
  while (tools.length < Math.max(...USERS)) tools.push((await declaredAt(url)).forward['tools'] ?? '');
  console.log('| users in turn | p50 ms | p99 ms | connections opened |');
  console.log('|--:|--:|--:|--:|');
  for (const users of USERS) {
    const times: number[] = [];
    const connections = new Set<number>();
    for (let n = 0; n < CALLS; n += 1) {
      const started = performance.now();
      const { connection } = await seenAt(`${tools[n % users]}/v1`);
      times.push(performance.now() - started);
      connections.add(connection);
    }
    const { p50Ms, p99Ms } = latencyOf(times);
    console.log(`| ${users} | ${p50Ms.toFixed(2)} | ${p99Ms.toFixed(2)} | ${connections.size} |`);
  }
} finally {
  running.child.kill('SIGTERM');
  await running.exit;
  await domain.close();
  remove();
}
