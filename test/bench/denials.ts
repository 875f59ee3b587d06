import { kept, measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { capturedCheck } from './capture.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { AT_CAPACITY, h2load } from './h2load.ts';
import { mustBeAllowed, mustBeDenied } from './load.ts';
import type { Load } from './load.ts';
import { reuse, toolCalls, toolMessage } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { residentMiB } from './stage.ts';
import { vegeta } from './vegeta.ts';

/** Calls of one MCP tool server: the allowed one, and denials with what each needs to be told. */
const CALLS = [
  { scenario: 'an allowed tool call', message: toolMessage('create_ticket', { title: 'a report' }), reason: null },
  {
    scenario: 'denied: outside the intent',
    message: toolMessage('search_customers', { query: 'ada' }),
    reason: 'action.outside-intent',
  },
  { scenario: 'denied: a missing argument', message: toolMessage('create_ticket', {}), reason: 'action.arguments' },
  {
    scenario: 'denied: a misspelt tool',
    message: toolMessage('creat_ticket', { title: 'a report' }),
    reason: 'action.unknown',
  },
] as const;

/** Calls per second of the neighbour of an agent whose calls are all denied. */
const NEIGHBOUR_RATE = 200;

/** Denied calls a second that one agent sends, by far more than the limit of an agent that is shipped. */
const FLOOD_RATE = 10_000;
const SHIPPED_LIMIT = 2_000;

/**
 * What a denial costs beside an allowed call of the same tool server, at the socket; and what an agent that does nothing but denied calls takes
 * from a neighbour's latency: as fast as they are answered where its rate is not limited, so that every call is read and denied, and 10,000 a
 * second with the limit that is shipped.
 */
export async function measureDenials(bench: Bench): Promise<void> {
  const { effort, results } = bench;
  const unlimited = await served(bench, 'denials');
  const shipped = await served(bench, 'denials-shipped', SHIPPED_LIMIT);
  for (let round = 1; round <= effort.rounds; round += 1) {
    await measureCalls(bench, unlimited);
    await measureFlood(bench, unlimited, { title: 'a flood of denied calls' });
    await measureFlood(bench, shipped, { title: `${FLOOD_RATE} denied calls a second`, ratePerSecond: FLOOD_RATE });
    for (const { name, remit } of [unlimited, shipped]) {
      const resident = residentMiB(remit.pid);
      results.note(`${name}: resident after round ${round}`, resident, 'MiB');
      bench.say(`  ${name}: ${resident.toFixed(0)} MiB resident`);
    }
  }
  for (const { remit } of [unlimited, shipped]) await remit.end();
}

/** A Remit behind an Envoy of its own. */
interface Served {
  readonly name: string;
  readonly remit: RemitUnderTest;
  /** Port of the Envoy. */
  readonly port: number;
}

/** @param checksPerAgent checks per second of one agent. Default: enough for a whole load */
async function served({ collectorPort, domain, stage }: Bench, name: string, checksPerAgent?: number): Promise<Served> {
  const limit = checksPerAgent === undefined ? {} : { checksPerAgent };
  const remit = await RemitUnderTest.start(stage, domain, { name, collectorPort, ...limit });
  const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
  return { name, remit, port: envoy.address.port };
}

/** The same call again and again at the socket. */
async function atSocket({ collectorPort, effort, stage }: Bench, remit: RemitUnderTest, load: Load) {
  return {
    socket: remit.socket,
    seconds: effort.seconds,
    message: await capturedCheck(stage, load, { collectorPort }),
  };
}

async function measureCalls(bench: Bench, { remit, port }: Served): Promise<void> {
  for (const { scenario, message, reason } of CALLS) {
    const load = await toolCalls(bench, remit, message);
    await (reason === null ? mustBeAllowed(port, load) : mustBeDenied(port, load, reason));
    const options = await atSocket(bench, remit, load);
    await measure(bench, { contender: 'Remit', scenario, pid: remit.pid }, () => h2load(bench.stage, options));
  }
}

interface Flood {
  readonly title: string;
  /** Default: the next call at each answer, 16 under way. */
  readonly ratePerSecond?: number;
}

async function measureFlood(bench: Bench, { remit, port }: Served, { title, ratePerSecond }: Flood): Promise<void> {
  const { domain, effort, go, stage } = bench;
  const asking = { binary: go.vegeta, port, rate: NEIGHBOUR_RATE, seconds: effort.seconds, isHttp2: true };
  const modest = await reuse(bench, remit, domain.reporter);
  await mustBeAllowed(port, modest);
  kept(bench, { contender: 'Remit', scenario: `${title}: a neighbour alone` }, await vegeta(stage, modest, asking));
  const denied = await atSocket(bench, remit, await toolCalls(bench, remit, CALLS[1].message));
  const pace = ratePerSecond === undefined ? {} : { ratePerSecond, underWay: AT_CAPACITY };
  const [, beside] = await Promise.all([
    measure(bench, { contender: 'Remit', scenario: title, pid: remit.pid }, () =>
      h2load(stage, { ...denied, ...pace }),
    ),
    vegeta(stage, modest, asking),
  ]);
  kept(bench, { contender: 'Remit', scenario: `${title}: the neighbour` }, beside);
}
