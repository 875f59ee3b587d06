import { kept } from './bench.ts';
import type { Bench } from './bench.ts';
import { capturedCheck } from './capture.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { flood } from './flood.ts';
import { AT_CAPACITY, h2load } from './h2load.ts';
import { mustBeAllowed } from './load.ts';
import { reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { median } from './statistics.ts';
import type { ProcessorShare } from './share.ts';
import { runOf, vegeta } from './vegeta.ts';
import { wrk } from './wrk.ts';

/** How many times its limit the noisy agent calls. */
const TIMES = 10;
/** The limit of each agent as a share of the capacity, so that the noisy one asks for twice the capacity. At most the default limit. */
const LIMIT = 0.2;
const MOST_PER_SECOND = 2_000;
/** The share of the capacity that the other agent uses. */
const MODEST = 0.1;

/** The figure: share of allowed calls of an agent beside one that exceeds its limit tenfold. */
export const NEIGHBOUR = 'overload: allowed of a neighbour, share';
/** Its p99 beside that one, of that alone. */
export const NEIGHBOUR_TAIL = 'overload: p99 of a neighbour, of that alone';
/** The same with the noisy agent directly at the socket, as fast as it is refused. */
export const SOCKET_NEIGHBOUR = 'overload: allowed of a neighbour, the other at the socket, share';

/** Processors of Remit with its Envoy, and of the flood. */
interface Shares {
  readonly product: ProcessorShare;
  readonly flood: ProcessorShare;
}

/** What an agent at ten times its limit takes from another with a low rate. */
export async function measureNeighbour(
  bench: Bench,
  { capacity, shares }: { readonly capacity: number; readonly shares: Shares },
): Promise<void> {
  const { collectorPort, domain, effort, go, results, say, stage } = bench;
  const limit = Math.max(1, Math.round(Math.min(MOST_PER_SECOND, capacity * LIMIT)));
  const options = { name: 'neighbour', collectorPort, checksPerAgent: limit };
  const remit = await RemitUnderTest.start(stage, domain, options);
  const envoy = await startEnvoy(stage, {
    socket: remit.socket,
    collectorPort,
    tellsOutcomes: true,
    callsPerAgent: limit,
  });
  for (const { pid } of [remit, envoy]) shares.product.take(pid);
  const { seconds } = effort;
  const { port } = envoy.address;
  await wrk(stage, await reuse(bench, remit), { port, seconds });
  const asking = { binary: go.vegeta, port, seconds, isHttp2: true };
  const allowed: number[] = [];
  const socketShares: number[] = [];
  const tails: number[] = [];
  for (let round = 0; round < effort.rounds; round += 1) {
    const [noisy, modest] = [await reuse(bench, remit), await reuse(bench, remit, domain.reporter)];
    for (const load of [noisy, modest]) await mustBeAllowed(port, load);
    const rates = { noisy: TIMES * limit, modest: Math.max(1, Math.round(capacity * MODEST)) };
    const alone = await vegeta(stage, modest, { ...asking, rate: rates.modest });
    kept(bench, { contender: 'Remit', scenario: 'overload: the neighbour alone' }, alone);
    const [hits, quiet] = await Promise.all([
      flood(stage, noisy, { port, seconds, share: shares.flood, rate: rates.noisy }),
      vegeta(stage, modest, { ...asking, rate: rates.modest }),
    ]);
    const loud = runOf(hits, { rate: rates.noisy, seconds });
    tails.push(quiet.p99Ms / alone.p99Ms);
    kept(bench, { contender: 'Remit', scenario: `overload: an agent at ${TIMES} times its limit` }, loud);
    kept(bench, { contender: 'Remit', scenario: 'overload: its neighbour' }, quiet);
    allowed.push(1 - quiet.failed / (rates.modest * seconds));
    const message = await capturedCheck(stage, noisy, { collectorPort });
    const [atSocket, beside] = await Promise.all([
      h2load(stage, { socket: remit.socket, seconds, message, underWay: AT_CAPACITY }),
      vegeta(stage, modest, { ...asking, rate: rates.modest }),
    ]);
    say(`  at the socket an agent asks ${atSocket.requestsPerSecond.toFixed(0)}/s`);
    kept(bench, { contender: 'Remit', scenario: 'overload: its neighbour, the other at the socket' }, beside);
    socketShares.push(1 - beside.failed / (rates.modest * seconds));
  }
  results.note('overload: limit of an agent', limit, 'checks/s');
  results.note(NEIGHBOUR, median(allowed), '');
  results.note(NEIGHBOUR_TAIL, median(tails), '');
  results.note(SOCKET_NEIGHBOUR, median(socketShares), '');
  await remit.end();
}
