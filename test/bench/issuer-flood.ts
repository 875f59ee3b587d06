import { fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { mustBeAllowed } from './load.ts';
import { reuse } from './loads.ts';
import type { FloodOrder } from './token-flood.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { wrk } from './wrk.ts';

const CONTENDER = 'Remit';
/** Connections of the agent that loops on the token endpoint. */
const CONNECTIONS = 64;
/** A fresh issuer permits a burst, so the first refusals come after a second. */
const WARM_MS = 2_000;

/** The series of checks with and without the flood. */
export const issuerFlood = {
  without: [CONTENDER, 'issuer: checks, no flood'],
  beside: [CONTENDER, `issuer: checks beside ${CONNECTIONS} connections on /oauth/token`],
} as const;

/**
 * What an agent that loops on the token endpoint costs the checks of another: their latency with and without it, in turn. The issuer has
 * its default limits.
 */
export async function measureIssuer(bench: Bench): Promise<void> {
  const { collectorPort, domain, effort, results, say, stage } = bench;
  const remit = await RemitUnderTest.start(stage, domain, { name: 'issuer', collectorPort, issuerLimits: {} });
  const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
  const { port } = envoy.address;
  const load = await reuse(bench, remit, domain.reporter);
  await mustBeAllowed(port, load);
  const run = ([contender, scenario]: readonly [string, string]) =>
    measure(bench, { contender, scenario, pid: remit.pid }, () => wrk(stage, load, { port, seconds: effort.seconds }));
  await wrk(stage, load, { port, seconds: effort.seconds });
  const issued = 'remit_tokens_issued_total';
  let [granted, seconds] = [0, 0];
  for (let round = 0; round < effort.rounds; round += 1) {
    await run(issuerFlood.without);
    const end = await startFlood(bench, remit.issuerPort);
    await new Promise((settle) => setTimeout(settle, WARM_MS));
    const before = { tokens: await remit.metric(issued), ms: performance.now() };
    await run(issuerFlood.beside);
    granted += (await remit.metric(issued)) - before.tokens;
    seconds += (performance.now() - before.ms) / 1_000;
    await end();
  }
  const refused = await remit.metric('remit_issuer_refusals_total');
  say(`  the flood was granted ${(granted / seconds).toFixed(0)} tokens/s, ${refused} requests were refused`);
  results.note('issuer: tokens granted to the flood', granted / seconds, '/s');
  await remit.end();
}

/** Starts the flood in a separate process. The returned function ends it. */
export async function startFlood({ domain, stage }: Bench, port: number): Promise<() => Promise<void>> {
  const child = fork(resolve(import.meta.dirname, 'token-flood.ts'));
  const ended = once(child, 'exit');
  const end = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  stage.onClose(end);
  const { certPem: cert, keyPem: key } = domain.planner.svid;
  const order: FloodOrder = { port, ca: domain.authority.bundlePem, cert, key, connections: CONNECTIONS };
  child.send(order);
  return end;
}
