import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { mustBeAllowedSoon } from './load.ts';
import type { Load } from './load.ts';
import { budgeted, reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { policiesWithoutHistory, startSidecar } from './sidecar-under-test.ts';
import { wrk } from './wrk.ts';

const UNBUDGETED = 'uses without a budget';
const BUDGETED = 'uses with a budget';

/** Contender and scenario of uses with a budget and of the same uses without, by where they are decided. */
export const budgets = {
  embedded: { with: ['Remit', BUDGETED], without: ['Remit', UNBUDGETED] },
  sidecar: { with: ['Remit, sidecar', BUDGETED], without: ['Remit, sidecar', UNBUDGETED] },
} as const;

const WARM_SECONDS = 5;
/** Before each run: a share is lent after four uses of its task, and given back once it lies idle, as it does while the others have their turn. */
const LEAD_SECONDS = 4;
/** The ratio within a round moves by a few percent on a shared machine: more rounds than those of other sections. */
const ROUNDS_MORE = 2;

interface Asked {
  readonly series: (typeof budgets)[keyof typeof budgets];
  readonly remit: RemitUnderTest;
  readonly port: number;
  readonly loads: { readonly with: Load; readonly without: Load };
}

/**
 * What a budget costs a use: repeated uses of tasks with a budget of calls and of tasks without, in turn, by the same process through the same
 * Envoy: one process with its state file, then a sidecar of an authority.
 */
export async function measureBudgets(bench: Bench): Promise<void> {
  const { collectorPort, domain, effort, stage } = bench;
  const policies = await policiesWithoutHistory(bench, 'policies-of-budgets');
  const embedded = await RemitUnderTest.start(stage, domain, { collectorPort: null, policies, name: 'budgets' });
  const { authority, sidecar } = await startSidecar(bench, { policies });
  const asked: Asked[] = [];
  for (const { series, remit, issuer } of [
    { series: budgets.embedded, remit: embedded, issuer: embedded },
    { series: budgets.sidecar, remit: sidecar, issuer: authority },
  ]) {
    const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
    const loads = { with: await budgeted(bench, issuer), without: await reuse(bench, issuer) };
    asked.push({ series, remit, port: envoy.address.port, loads });
  }
  for (const { port, loads } of asked) {
    for (const load of [loads.with, loads.without]) {
      await mustBeAllowedSoon(port, load);
      await wrk(stage, load, { port, seconds: WARM_SECONDS });
    }
  }
  for (let round = 0; round < effort.rounds * ROUNDS_MORE; round += 1) {
    // Each second round begins with the other one.
    for (const which of round % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const))
      for (const one of asked) await run(bench, one, which);
  }
  sayRatios(bench);
  for (const remit of [sidecar, embedded, authority]) await remit.end();
}

async function run(bench: Bench, { series, remit, port, loads }: Asked, which: 'with' | 'without'): Promise<void> {
  const { effort, stage } = bench;
  const [contender, scenario] = series[which];
  await wrk(stage, loads[which], { port, seconds: LEAD_SECONDS });
  await measure(bench, { contender, scenario, pid: remit.pid }, () =>
    wrk(stage, loads[which], { port, seconds: effort.seconds }),
  );
}

function sayRatios({ results, say }: Bench): void {
  for (const [where, { with: budgetedUses, without }] of Object.entries(budgets)) {
    const rate = results.ratio('requestsPerSecond', budgetedUses, without);
    const tail = results.latencyRatio('p99Ms', budgetedUses, without);
    say(`${where}: a budget leaves ${rate.toFixed(3)} of the throughput, at ${tail.toFixed(2)} times the p99`);
  }
}
