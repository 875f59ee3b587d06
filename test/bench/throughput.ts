import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { capturedCheck } from './capture.ts';
import type { Contender, Contenders } from './contenders.ts';
import { h2load } from './h2load.ts';
import { mustBeAllowed } from './load.ts';
import type { Load } from './load.ts';
import { cold, highRisk, newDecisions, newTokens, reuse } from './loads.ts';
import type { RemitUnderTest } from './remit-under-test.ts';
import { wrk } from './wrk.ts';

/** The scenarios that are compared through Envoy. */
export const scenarios = {
  reuse: 'reuse',
  highRisk: 'reuse, high risk',
  newToken: 'new token',
  newDecision: 'new decision',
  cold: 'new token and decision',
  socket: 'reuse, at the socket',
} as const;

const ESTIMATE_SECONDS = 1;

/** Throughput of a closed loop through Envoy. The contenders take turns, round after round. */
export async function measureThroughput(bench: Bench, contenders: Contenders): Promise<void> {
  const { envoy, grpcJs, go, floor, opa, opaMemory, opaPlugin, remit, unrecorded, noOutcomes } = contenders;
  const repeated = [envoy, grpcJs, go, floor, opa, opaMemory, opaPlugin, remit, unrecorded, noOutcomes];
  const fresh = [
    { scenario: scenarios.newToken, pool: new Pool(bench, newTokens), of: [remit] },
    { scenario: scenarios.newDecision, pool: new Pool(bench, newDecisions), of: [remit] },
    { scenario: scenarios.cold, pool: new Pool(bench, cold), of: [remit, opa, opaPlugin] },
  ];
  for (const { pool, of } of fresh) for (const contender of of) await pool.estimate(contender);
  for (let round = 0; round < bench.effort.rounds; round += 1) {
    for (const contender of repeated) {
      await closedLoop(bench, contender, { scenario: scenarios.reuse, load: await reuse(bench, contender.issuer) });
    }
    const load = await highRisk(bench, remit.issuer);
    await closedLoop(bench, remit, { scenario: scenarios.highRisk, load });
    for (const { scenario, pool, of } of fresh) {
      const shared = await pool.load(remit.issuer);
      for (const contender of of) {
        const { requests } = await closedLoop(bench, contender, { scenario, load: shared });
        pool.needed(requests);
      }
    }
  }
}

/** The same check directly at each socket, as from one Envoy worker, without access logs. */
export async function measureSockets(bench: Bench, { grpcJs, go, opa, noOutcomes }: Contenders): Promise<void> {
  const { collectorPort, effort, stage } = bench;
  const asked = [grpcJs, go, opa, noOutcomes];
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const contender of asked) {
      const { name, pid, socket, issuer } = contender;
      const load = await reuse(bench, issuer);
      const headers = contender === opa ? ({ headers: 'text' } as const) : {};
      const message = await capturedCheck(stage, load, { collectorPort, ...headers });
      await mustBeAllowed(contender.port, load);
      const before = await issuer.metric('remit_decisions_total', ALLOWED);
      const run = await measure(bench, { contender: name, scenario: scenarios.socket, pid }, () =>
        h2load(stage, { socket: socket ?? '', seconds: effort.seconds, message }),
      );
      // A gRPC answer is HTTP 200 whatever it contains.
      const allowed = (await issuer.metric('remit_decisions_total', ALLOWED)) - before;
      if (contender === noOutcomes && allowed < run.requests)
        throw new Error('not every check at the socket was allowed');
    }
  }
}

const ALLOWED = 'decision="allow"';

/** One run, if the load is allowed. Late calls, and those denied for a full queue of records, count as failed. */
async function closedLoop(
  bench: Bench,
  { name, pid, port }: Contender,
  { scenario, load }: { readonly scenario: string; readonly load: Load },
): Promise<{ readonly requests: number }> {
  await mustBeAllowed(port, load);
  const run = await measure(bench, { contender: name, scenario, pid }, () =>
    wrk(bench.stage, load, { port, seconds: bench.effort.seconds }),
  );
  if (load.isOnce === true && run.requests > load.calls.length) {
    bench.say(`  of ${run.requests} calls ${run.requests - load.calls.length} were made a second time`);
  }
  return run;
}

/** Loads without repeated calls, as large as earlier runs make likely. */
class Pool {
  readonly #bench: Bench;
  readonly #make: (bench: Bench, issuer: RemitUnderTest, count: number) => Promise<Load>;
  #mostRequests = 0;

  constructor(bench: Bench, make: (bench: Bench, issuer: RemitUnderTest, count: number) => Promise<Load>) {
    this.#bench = bench;
    this.#make = make;
  }

  /** Runs with a small pool, to learn how large a whole one must be. */
  async estimate(contender: Contender): Promise<void> {
    const run = await wrk(this.#bench.stage, await this.#make(this.#bench, contender.issuer, FIRST_POOL), {
      port: contender.port,
      seconds: ESTIMATE_SECONDS,
    });
    this.needed((run.requests * this.#bench.effort.seconds) / ESTIMATE_SECONDS);
  }

  needed(requests: number): void {
    this.#mostRequests = Math.max(this.#mostRequests, requests);
  }

  load(issuer: RemitUnderTest): Promise<Load> {
    return this.#make(this.#bench, issuer, Math.ceil(this.#mostRequests * SPARE) + FIRST_POOL);
  }
}

const FIRST_POOL = 500;
const SPARE = 1.25;
