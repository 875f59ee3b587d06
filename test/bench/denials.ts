import { kept, measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { capturedCheck } from './capture.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { h2load } from './h2load.ts';
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

/** Memory after a round of denied calls. */
const residentAfter = (round: number): string => `denials: resident after round ${round}`;

/**
 * What a denial costs beside an allowed call of the same tool server, at the socket; and what an agent that does nothing but denied calls, as
 * fast as they are answered, takes from a neighbour's latency. Its rate is not limited here, so that every call is read and denied.
 */
export async function measureDenials(bench: Bench): Promise<void> {
  const { collectorPort, domain, effort, go, results, stage } = bench;
  const { seconds } = effort;
  const remit = await RemitUnderTest.start(stage, domain, { name: 'denials', collectorPort });
  const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
  const { port } = envoy.address;
  const atSocket = async (load: Load) => ({
    socket: remit.socket,
    seconds,
    message: await capturedCheck(stage, load, { collectorPort }),
  });
  const neighbour = (load: Load) =>
    vegeta(stage, load, { binary: go.vegeta, port, rate: NEIGHBOUR_RATE, seconds, isHttp2: true });
  for (let round = 1; round <= effort.rounds; round += 1) {
    for (const { scenario, message, reason } of CALLS) {
      const load = await toolCalls(bench, remit, message);
      await (reason === null ? mustBeAllowed(port, load) : mustBeDenied(port, load, reason));
      const options = await atSocket(load);
      await measure(bench, { contender: 'Remit', scenario, pid: remit.pid }, () => h2load(stage, options));
    }
    const modest = await reuse(bench, remit, domain.reporter);
    await mustBeAllowed(port, modest);
    kept(bench, { contender: 'Remit', scenario: 'a neighbour alone' }, await neighbour(modest));
    const denied = await atSocket(await toolCalls(bench, remit, CALLS[1].message));
    const [flood, beside] = await Promise.all([h2load(stage, denied), neighbour(modest)]);
    kept(bench, { contender: 'Remit', scenario: 'a flood of denied calls' }, flood);
    kept(bench, { contender: 'Remit', scenario: 'its neighbour' }, beside);
    results.note(residentAfter(round), residentMiB(remit.pid), 'MiB');
    bench.say(`  ${residentMiB(remit.pid).toFixed(0)} MiB resident`);
  }
  await remit.end();
}
