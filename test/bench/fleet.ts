import { request } from 'node:https';
import { parseArgs } from 'node:util';
import { jtiDigestOf } from '../../src/ledger/record.ts';
import { systemPorts } from '../../src/runtime/ports.ts';
import { after } from '../../src/runtime/timers.ts';
import { isStoreFailure } from '../../src/sqlite/store-failure.ts';
import { SidecarState } from '../../src/state/remote/sidecar-state.ts';
import { freePort } from '../free-port.ts';
import { mustSpiffeId } from '../builders/spiffe-id.ts';
import { svidOf } from '../authority/serving.ts';
import { until } from '../until.ts';
import { audiences } from './loads.ts';
import { newDomain, RemitUnderTest, issuerUrl } from './remit-under-test.ts';
import type { Domain } from './remit-under-test.ts';
import { cpuMicroseconds, residentMiB, Stage } from './stage.ts';
import { latencyOf } from './statistics.ts';

/**
 * An authority on a state file and its sidecars, over mutual TLS: `node test/bench/fleet.ts [--streams 1,10,100,2000] [--ends 20]
 * [--seconds 5]`, after `npm run build`. The authority is a process of its own; the sidecars are the product's `SidecarState`, all in this
 * process, with a connection each. For each number of streams, all of them hold each task that is ended. Prints how long an end takes from
 * request to acknowledgement, how many sidecars still allowed the task when it was acknowledged (none may), what the streams cost the
 * authority while nothing happens, and opens and settled uses a second over one of the streams.
 */
const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '1,10,100,2000' },
    ends: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '5' },
  },
});
const counts = values.streams.split(',').map(Number);
const [ends, seconds] = [Number(values.ends), Number(values.seconds)];
/** Sidecars that connect at the same time: an authority takes 200 a second. */
const AT_ONCE = 50;
const AT_ONCE_CALLS = 64;
/** The default lease, and more than its margin. */
const LEASE_MS = 6_000;
/** Memory of fewer streams is lost in that of the process. */
const MANY = 100;

interface Token {
  readonly key: { readonly issuer: string; readonly id: string };
  readonly jtiDigest: string;
}

const claimsOf = (token: string): { readonly jti: string; readonly txn: string } =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

const tokenOf = (token: string): Token => {
  const { jti, txn } = claimsOf(token);
  return { key: { issuer: issuerUrl, id: txn }, jtiDigest: jtiDigestOf(jti) };
};

const isAllowed = ({ states }: SidecarState, { key, jtiDigest }: Token): boolean => {
  const state = states.of(key, jtiDigest);
  return state !== undefined && !isStoreFailure(state) && state.task.state === 'active';
};

function sidecarOf(port: number, { authority, planner }: Domain): SidecarState {
  const svid = svidOf(planner.svid, authority);
  return SidecarState.open({
    targets: [`127.0.0.1:${port}`],
    placeOf: (target) => ({ target, tls: { svid, authorityId: mustSpiffeId('spiffe://acme.test/remit') } }),
    hello: () => ({ version: '0', policy_set: '', log: null }),
    status: () => ({ policy_set: '', policy_generation: 0, unacknowledged_records: 0, last_error: '' }),
    ports: systemPorts,
    after,
    onKeys: () => undefined,
    onProblem: () => undefined,
    onOpened: () => undefined,
    onSettled: () => undefined,
  });
}

/** `POST /tasks/{id}/complete` as the agent of the task; gives the status and the receipt. */
function complete(port: number, id: string, { authority, planner }: Domain): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method: 'POST', path: `/tasks/${id}/complete`, servername: 'localhost' };
    const { certPem: cert, keyPem: key } = planner.svid;
    const asked = request({ ...options, ca: authority.bundlePem, cert, key, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString()).enforcement ?? {}));
    });
    asked.on('error', reject).end();
  });
}

/** Repeats work for some seconds, `AT_ONCE_CALLS` at a time. Gives how often a second, and the latencies. */
async function rate(work: () => Promise<unknown>): Promise<{ readonly perSecond: number; readonly ms: number[] }> {
  const ms: number[] = [];
  const began = performance.now();
  const worker = async (): Promise<void> => {
    while (performance.now() - began < seconds * 1_000) {
      const at = performance.now();
      await work();
      ms.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE_CALLS }, worker));
  return { perSecond: (ms.length * 1_000) / (performance.now() - began), ms };
}

const figures = (ms: readonly number[]): string => {
  const { p50Ms, p99Ms } = latencyOf(ms);
  return `p50 ${p50Ms.toFixed(1)} ms  p99 ${p99Ms.toFixed(1)} ms  max ${Math.max(...ms).toFixed(1)} ms`;
};

const stage = await Stage.open();
const sidecars: SidecarState[] = [];
try {
  const domain = await newDomain();
  const port = await freePort();
  const remit = await RemitUnderTest.start(stage, domain, {
    name: 'authority',
    collectorPort: null,
    authority: {
      listen: [`127.0.0.1:${port}`],
      sidecars: [{ id: 'spiffe://acme.test/ns/agents/sa/*', audiences: Object.values(audiences) }],
    },
  });
  const intent = { audience: audiences.files, actions: ['files.read'], by: domain.planner };
  // Until then no end is enforced: sidecars might have a lease of an authority before this one.
  await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
  await remit.tokens(200, intent);
  const emptyMiB = residentMiB(remit.pid);
  for (const count of counts) {
    while (sidecars.length < count) {
      const more = Array.from({ length: Math.min(AT_ONCE, count - sidecars.length) }, () => sidecarOf(port, domain));
      sidecars.push(...more);
      await until(() => more.every((one) => one.problem() === null), { what: `${sidecars.length} leases` });
    }
    const cpuUs = cpuMicroseconds(remit.pid);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    const core = (cpuMicroseconds(remit.pid) - cpuUs) / (seconds * 1e6);
    const perStream = ((residentMiB(remit.pid) - emptyMiB) * 1_024) / count;
    const tokens = (await remit.tokens(ends, intent)).map(tokenOf);
    const [took, late, told] = [[] as number[], [] as number[], [] as unknown[]];
    for (const token of tokens) {
      // A loaded machine lets an open fail now and then.
      const areOpen = async (): Promise<boolean> => {
        for (let from = 0; from < count; from += AT_ONCE) {
          const some = sidecars.slice(from, from + AT_ONCE).filter((one) => !isAllowed(one, token));
          await Promise.all(some.map(async ({ states }) => states.open(token.key, token.jtiDigest)));
        }
        return sidecars.every((one) => isAllowed(one, token));
      };
      await until(areOpen, { what: `an open task at ${count} sidecars` });
      const at = performance.now();
      const receipt = await complete(remit.issuerPort, token.key.id, domain);
      took.push(performance.now() - at);
      late.push(sidecars.filter((one) => isAllowed(one, token)).length);
      told.push(receipt['holders']);
    }
    if (!told.every((holders) => holders === count)) throw new Error(`holders were ${told.join(', ')}, not ${count}`);
    console.log(
      `${String(count).padStart(5)} streams: end to acknowledgement ${figures(took)}; allowed after it: ` +
        `${late.reduce((sum, one) => sum + one, 0)}; ${(core * 100).toFixed(1)} % of a core${count < MANY ? '' : `, ${perStream.toFixed(0)} KiB a stream`}`,
    );
  }
  const [first] = sidecars;
  if (first === undefined) throw new Error('no sidecar');
  const [budgeted] = (await remit.tokens(1, { ...intent, constraints: { max_calls: 1_000_000 } })).map(tokenOf);
  if (budgeted === undefined) throw new Error('no token');
  await first.states.open(budgeted.key, budgeted.jtiDigest);
  let decision = 0;
  const settled = await rate(async () => {
    decision += 1;
    const decisionId = `0198c0de-0000-7000-8000-${String(decision).padStart(12, '0')}`;
    await first.settling.settle({ decisionId, ...budgeted, spends: [{ kind: 'calls', limit: 1_000_000 }] });
  });
  console.log(`settled uses of one task: ${settled.perSecond.toFixed(0)}/s, ${figures(settled.ms)}`);
  const waiting = (await remit.tokens(seconds * 2_000, intent)).map(tokenOf);
  const opened = await rate(async () => {
    const token = waiting.pop();
    if (token !== undefined) await first.states.open(token.key, token.jtiDigest);
    else await new Promise((resolve) => setTimeout(resolve, 1_000));
  });
  console.log(`opened tasks: ${opened.perSecond.toFixed(0)}/s, ${figures(opened.ms)}`);
} finally {
  for (const one of sidecars) one.close();
  await stage.close();
}
