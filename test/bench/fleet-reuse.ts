import { join } from 'node:path';
import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { mustBeAllowedSoon } from './load.ts';
import { reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { policiesWithoutHistory, startSidecar } from './sidecar-under-test.ts';
import { cpuMicroseconds } from './stage.ts';
import { median } from './statistics.ts';
import { wrk } from './wrk.ts';

/** The contenders: one process with its state file, and a sidecar beside an authority that has nothing else to do. */
const EMBEDDED = 'Remit, embedded';
const SIDECAR = 'Remit, sidecar';
const REUSE = 'reuse, without history';
/** Contenders and scenario in the results. */
export const sidecarReuse = { embedded: [EMBEDDED, REUSE], sidecar: [SIDECAR, REUSE] } as const;
/** Processor time of the authority for each check of its sidecar, which is on the same machine here alone. */
const AUTHORITY_COST = 'authority, processor time for each check of its sidecar';
const WARM_SECONDS = 10;
/** The ratio within a round moves by a few percent on a shared machine: more rounds than those of other sections. */
const ROUNDS_MORE = 2;

/**
 * Repeated uses at a sidecar and at an embedded process, in turn, each behind its own Envoy. The authority of a sidecar is on another machine elsewhere;
 * here it takes from the same processors, so beside the embedded process a companion takes as much.
 */
export async function measureSidecarReuse(bench: Bench): Promise<void> {
  const { collectorPort, domain, effort, results, say, stage } = bench;
  const policies = await policiesWithoutHistory(bench, 'policies-of-reuse');
  const embedded = await RemitUnderTest.start(stage, domain, { collectorPort: null, policies, name: 'embedded' });
  const { authority, sidecar } = await startSidecar(bench, { policies });
  const contenders = [];
  const authorityCosts: number[] = [];
  for (const { name, remit, issuer } of [
    { name: SIDECAR, remit: sidecar, issuer: authority },
    { name: EMBEDDED, remit: embedded, issuer: embedded },
  ]) {
    const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
    contenders.push({ name, remit, issuer, port: envoy.address.port });
  }
  for (const { issuer, port } of contenders) {
    const load = await reuse(bench, issuer);
    await mustBeAllowedSoon(port, load);
    await wrk(stage, load, { port, seconds: WARM_SECONDS });
  }
  let takenPerSecond = 0;
  for (let round = 0; round < effort.rounds * ROUNDS_MORE; round += 1) {
    // Each second round begins with the other one.
    for (const { name, remit, issuer, port } of round % 2 === 0 ? contenders : contenders.toReversed()) {
      const load = await reuse(bench, issuer);
      await mustBeAllowedSoon(port, load);
      const companion = issuer === remit ? await startCompanion(bench, takenPerSecond) : null;
      await wrk(stage, load, { port, seconds: 1 });
      const before = cpuMicroseconds(issuer.pid);
      const run = await measure(bench, { contender: name, scenario: REUSE, pid: remit.pid }, () =>
        wrk(stage, load, { port, seconds: effort.seconds }),
      );
      await companion?.end();
      if (issuer === remit) continue;
      const cost = (cpuMicroseconds(issuer.pid) - before) / run.requests;
      authorityCosts.push(cost);
      takenPerSecond = cost * run.requestsPerSecond;
    }
  }
  const ratio = results.ratio('requestsPerSecond', sidecarReuse.sidecar, sidecarReuse.embedded);
  const cost = results.ratio('cpuUs', sidecarReuse.sidecar, sidecarReuse.embedded);
  const authorityCost = median(authorityCosts);
  results.note(AUTHORITY_COST, authorityCost, 'us');
  say(
    `a sidecar answers ${percent(ratio)} of what embedded does, each beside ${authorityCost.toFixed(1)} us of other work for a check; ` +
      `a check takes ${percent(cost)} of the processor time of embedded`,
  );
  for (const remit of [sidecar, embedded, authority]) await remit.end();
}

/** @param takenPerSecond microseconds of processor time */
async function startCompanion({ stage }: Bench, takenPerSecond: number): Promise<{ end: () => Promise<void> }> {
  const script = join(import.meta.dirname, 'companion.ts');
  const { child } = await stage.start([process.execPath, script, takenPerSecond.toFixed(0)], { ready: 'ready' });
  return { end: () => child.end() };
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
