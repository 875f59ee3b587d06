import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:https';
import { join } from 'node:path';
import { jtiDigestOf } from '../../src/core/token/jti-digest.ts';
import { freePort } from '../free-port.ts';
import { until } from '../until.ts';
import type { Bench } from './bench.ts';
import type { ClientAnswer, ClientOrder } from './fleet-client.ts';
import { benchSidecar, isAllowed } from './fleet-sidecar.ts';
import type { BenchToken, SidecarPlace } from './fleet-sidecar.ts';
import { audiences } from './loads.ts';
import { issuerUrl, RemitUnderTest } from './remit-under-test.ts';
import type { Domain } from './remit-under-test.ts';
import { cpuMicroseconds, residentMiB } from './stage.ts';
import { latencyOf } from './statistics.ts';

/** Sidecars of one client process: it has some 0.5 MiB for each. */
const IN_ONE_PROCESS = 250;
/** The default lease, and more than its margin. */
const LEASE_MS = 6_000;
/** Memory of fewer streams is lost in that of the process. */
const MANY = 100;
/** Fewer where each is opened at so many sidecars before. */
const endsOf = (count: number): number => (count > 500 ? 10 : 20);
const CALLS_AT_ONCE = 64;
/** Open tasks of the agent that is stopped. */
const TASKS = 10_000;
/** Stops of each kind. */
const STOPS = 10;

/**
 * An authority on a state file, and sidecars in other processes, each with a stream of its own over mutual TLS. For each number of streams
 * all of them hold each task that is ended. Then settled uses and opens over one stream.
 */
export async function measureStreams(bench: Bench, counts: readonly number[]): Promise<void> {
  const { domain, effort, results, say, stage } = bench;
  const port = await freePort();
  const remit = await RemitUnderTest.start(stage, domain, {
    name: 'authority',
    collectorPort: null,
    operators: [domain.reporter.svid.id],
    authority: {
      listen: [`127.0.0.1:${port}`],
      sidecars: [{ id: 'spiffe://acme.test/ns/agents/sa/*', audiences: Object.values(audiences) }],
    },
  });
  const place: SidecarPlace = { port, svid: domain.planner.svid, bundlePem: domain.authority.bundlePem };
  const intent = { audience: audiences.files, actions: ['files.read'], by: domain.planner };
  // Until then no end is enforced: sidecars might have a lease of an authority before this one.
  await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
  await remit.tokens(200, intent);
  const emptyMiB = residentMiB(remit.pid);
  const clients = new Clients(bench, place);
  // The agent that is stopped below has them all open.
  await remit.tokens(TASKS, intent);
  for (const count of counts) {
    await clients.grow(count);
    const cpuUs = cpuMicroseconds(remit.pid);
    await new Promise((resolve) => setTimeout(resolve, effort.seconds * 1_000));
    const core = (cpuMicroseconds(remit.pid) - cpuUs) / (effort.seconds * 1e6);
    const ends = await measureEnds(clients, await remit.tokens(endsOf(count), intent), { remit, domain, count });
    const of = `${count} sidecars`;
    noted(bench, `end to acknowledgement, ${of}`, ends.tookMs);
    noted(bench, `acknowledged end to first refusal, ${of}`, ends.refusedMs);
    results.note(`allowed after an acknowledged end, ${of}`, ends.late, 'uses');
    results.note(`authority while nothing happens, ${of}`, core * 100, '% of a core');
    await measureStops(clients, { bench, remit, of });
    if (count >= MANY)
      results.note(`memory of a stream, ${of}`, ((residentMiB(remit.pid) - emptyMiB) * 1_024) / count, 'KiB');
    say(
      `${of}: ${endsOf(count)} ends, ${ends.late} uses allowed after one, ${(core * 100).toFixed(1)} % of a core while idle`,
    );
  }
  await clients.end();
  await measureCalls(bench, remit, place);
}

/** The processes with the sidecars. */
class Clients {
  readonly #bench: Bench;
  readonly #place: SidecarPlace;
  readonly #children: ChildProcess[] = [];
  #count = 0;

  constructor(bench: Bench, place: SidecarPlace) {
    this.#bench = bench;
    this.#place = place;
  }

  async grow(to: number): Promise<void> {
    const needed = Math.ceil(to / IN_ONE_PROCESS);
    while (this.#children.length < needed) {
      const child = fork(join(import.meta.dirname, 'fleet-client.ts'), {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      this.#children.push(child);
      this.#bench.stage.onClose(async () => void child.kill('SIGKILL'));
    }
    this.#count = to;
    for (const [at, child] of this.#children.entries()) {
      const count = Math.min(IN_ONE_PROCESS, to - at * IN_ONE_PROCESS);
      if (count > 0) await ask(child, { to: 'grow', place: this.#place, count });
    }
  }

  async open(token: BenchToken): Promise<void> {
    await this.#all({ to: 'open', token });
  }

  async look(token: BenchToken): Promise<ClientAnswer> {
    const answers = await this.#all({ to: 'look', token });
    const lookedMs = answers.flatMap((answer) => answer.lookedMs);
    if (lookedMs.length !== this.#count)
      throw new Error(`${lookedMs.length} sidecars were looked at, not ${this.#count}`);
    return { allowed: answers.reduce((sum, { allowed }) => sum + allowed, 0), lookedMs };
  }

  /** Waits until each sidecar has a stop, or has none: when that was first seen at each. */
  async followed(to: 'stop' | 'lift'): Promise<readonly number[]> {
    return (await this.#all({ to })).flatMap(({ lookedMs }) => lookedMs);
  }

  async end(): Promise<void> {
    for (const child of this.#children.splice(0)) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
  }

  #all(order: ClientOrder): Promise<readonly ClientAnswer[]> {
    return Promise.all(this.#children.map((child) => ask(child, order)));
  }
}

function ask(child: ChildProcess, order: ClientOrder): Promise<ClientAnswer> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new Error('a client process ended'));
    child.once('exit', gone);
    // Of our own process.
    child.once('message', (answer: ClientAnswer | { readonly problem: string }) => {
      child.off('exit', gone);
      if ('problem' in answer) reject(new Error(answer.problem));
      else resolve(answer);
    });
    child.send(order);
  });
}

interface Ends {
  /** From the request to the acknowledgement, for each end. */
  readonly tookMs: readonly number[];
  /** From the acknowledgement to the first look that would deny, for each sidecar and end. */
  readonly refusedMs: readonly number[];
  /** Sidecars that would have allowed a use after the acknowledgement, over all ends. */
  readonly late: number;
}

async function measureEnds(
  clients: Clients,
  tokens: readonly string[],
  { remit, domain, count }: { readonly remit: RemitUnderTest; readonly domain: Domain; readonly count: number },
): Promise<Ends> {
  const tookMs: number[] = [];
  const refusedMs: number[] = [];
  let late = 0;
  for (const token of tokens.map(tokenOf)) {
    await clients.open(token);
    const began = monotonicMs();
    const { holders } = await complete(remit.issuerPort, token.key.id, domain);
    const acknowledgedMs = monotonicMs();
    if (holders !== count) throw new Error(`the end had ${String(holders)} holders, not ${count}`);
    const { allowed, lookedMs } = await clients.look(token);
    tookMs.push(acknowledgedMs - began);
    refusedMs.push(...lookedMs.map((atMs) => atMs - acknowledgedMs));
    late += allowed;
  }
  return { tookMs, refusedMs, late };
}

/** From an operator's command to the last sidecar that refuses, and to its receipt: stops of the agent, and of everything. */
async function measureStops(
  clients: Clients,
  { bench, remit, of }: { readonly bench: Bench; readonly remit: RemitUnderTest; readonly of: string },
): Promise<void> {
  const { authority, reporter: operator } = bench.domain;
  const asked = (method: 'POST' | 'DELETE', path: string, body?: object): Promise<Readonly<Record<string, unknown>>> =>
    asking(remit.issuerPort, { method, path, bundlePem: authority.bundlePem, svid: operator.svid, body });
  for (const stop of [{ kind: 'agent', what: bench.domain.planner.svid.id }, { kind: 'all' }]) {
    const [refusedMs, receiptMs]: number[][] = [[], []];
    for (let round = 0; round < STOPS; round += 1) {
      const began = monotonicMs();
      const refusing = clients.followed('stop');
      const { id } = await asked('POST', '/stops', { ...stop, because: 'a measurement' });
      receiptMs?.push(monotonicMs() - began);
      refusedMs?.push(...(await refusing).map((atMs) => atMs - began));
      const lifting = clients.followed('lift');
      await asked('DELETE', `/stops/${String(id)}`);
      await lifting;
    }
    noted(bench, `stop of ${stop.kind} to refusal, ${of}`, refusedMs ?? []);
    noted(bench, `stop of ${stop.kind} to receipt, ${of}`, receiptMs ?? []);
  }
}

/** Settled uses of one task, and opens, 64 at a time over one stream. */
async function measureCalls(bench: Bench, remit: RemitUnderTest, place: SidecarPlace): Promise<void> {
  const { domain, effort, results, stage } = bench;
  const intent = { audience: audiences.files, actions: ['files.read'], by: domain.planner };
  const limit = 1_000_000;
  const [text = ''] = await remit.tokens(1, { ...intent, constraints: { max_calls: limit } });
  const waiting = (await remit.tokens(effort.seconds * 2_000, intent)).map(tokenOf);
  const sidecar = benchSidecar(place, 100_000);
  stage.onClose(async () => sidecar.close());
  await until(() => sidecar.problem() === null, { what: 'a lease' });
  const token = tokenOf(text);
  const isOpen = async (): Promise<boolean> => {
    await sidecar.states.open(token.key, token.jtiDigest);
    return isAllowed(sidecar, token);
  };
  await until(isOpen, { what: 'an open task' });
  let decision = 0;
  const settled = await rate(effort.seconds, async () => {
    decision += 1;
    const decisionId = `0198c0de-0000-7000-8000-${String(decision).padStart(12, '0')}`;
    await sidecar.settling.settle({ decisionId, ...token, spends: [{ kind: 'calls', limit }] });
  });
  results.note('settled uses of one task', settled.perSecond, '/s');
  noted(bench, 'settled use', settled.ms);
  const opened = await rate(effort.seconds, async () => {
    const next = waiting.pop();
    if (next === undefined) return false;
    await sidecar.states.open(next.key, next.jtiDigest);
    return true;
  });
  results.note('opened tasks', opened.perSecond, '/s');
  noted(bench, 'opened task', opened.ms);
  sidecar.close();
}

/** Repeats work for some seconds, or until it gives `false`, `CALLS_AT_ONCE` at a time. Gives how often a second, and the latencies. */
async function rate(
  seconds: number,
  work: () => Promise<unknown>,
): Promise<{ readonly perSecond: number; readonly ms: readonly number[] }> {
  const ms: number[] = [];
  const began = monotonicMs();
  const worker = async (): Promise<void> => {
    while (monotonicMs() - began < seconds * 1_000) {
      const at = monotonicMs();
      if ((await work()) === false) return;
      ms.push(monotonicMs() - at);
    }
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, worker));
  return { perSecond: (ms.length * 1_000) / (monotonicMs() - began), ms };
}

/** `POST /tasks/{id}/complete` as the agent of the task; gives the receipt. */
async function complete(
  port: number,
  id: string,
  { authority, planner }: Domain,
): Promise<Readonly<Record<string, unknown>>> {
  const path = `/tasks/${id}/complete`;
  const { enforcement } = await asking(port, {
    method: 'POST',
    path,
    bundlePem: authority.bundlePem,
    svid: planner.svid,
  });
  return typeof enforcement === 'object' ? { ...enforcement } : {};
}

/** Asks the issuer with an SVID; gives its answer. */
function asking(
  port: number,
  {
    body,
    bundlePem,
    method,
    path,
    svid,
  }: Pick<SidecarPlace, 'bundlePem' | 'svid'> & {
    readonly method: 'POST' | 'DELETE';
    readonly path: string;
    readonly body?: object | undefined;
  },
): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const options = { host: '127.0.0.1', port, method, path, headers, servername: 'localhost' };
    const { certPem: cert, keyPem: key } = svid;
    const asked = request({ ...options, ca: bundlePem, cert, key, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString() || '{}')));
    });
    asked.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function tokenOf(token: string): BenchToken {
  const { jti, txn } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  return { key: { issuer: issuerUrl, id: txn }, jtiDigest: jtiDigestOf(jti) };
}

function noted({ results, say }: Bench, name: string, ms: readonly number[]): void {
  const { p50Ms, p99Ms } = latencyOf(ms);
  const maxMs = ms.reduce((most, one) => Math.max(most, one), 0);
  for (const [figure, value] of Object.entries({ p50: p50Ms, p99: p99Ms, max: maxMs }))
    results.note(`${name}, ${figure}`, value, 'ms');
  say(`${name}: p50 ${p50Ms.toFixed(1)} ms  p99 ${p99Ms.toFixed(1)} ms  max ${maxMs.toFixed(1)} ms`);
}

/** The monotonic clock of the machine, which all its processes share. */
const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;
