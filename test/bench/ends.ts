import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { Agent } from '../../src/dev/agent.ts';
import { cachedEnvoy, ENVOY_VERSION } from '../../src/dev/envoy-binary.ts';
import { cacheFolder } from '../parts/cache.ts';

/**
 * Calls that are allowed after the acknowledged end of their task, through a real Envoy: `node test/bench/ends.ts [ENDS] [CALLS]` ends
 * ENDS tasks (10,000 by default) while they are used over 16 connections, and then makes CALLS calls of each (100), the first at
 * once. Every other task has a budget, so that its uses are settled in the state file. `remit dev` runs as a process of its own;
 * `npm run build` first.
 */
const ENDS = Number(process.argv[2] ?? 10_000);
const CALLS = Number(process.argv[3] ?? 100);
const AT_A_TIME = 4;
const CONNECTIONS = 16;
/** Pipelined calls on a connection while a task is used. */
const USES = 4;
const AUDIENCE = 'https://payments.acme.test';

/** A connection with pipelined calls (HTTP/1.1), which counts their answers. */
class Pipeline {
  readonly #socket: TLSSocket;
  #text = '';

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.setEncoding('latin1').on('data', (text: string) => {
      this.#text += text;
      socket.emit('answered');
    });
  }

  /** The statuses of `count` calls with a token. */
  async statuses(token: string, count: number): Promise<readonly number[]> {
    const call = `GET /v1/payments/p-1 HTTP/1.1\r\nhost: payments.acme.test\r\nauthorization: Bearer ${token}\r\n\r\n`;
    this.#text = '';
    this.#socket.write(call.repeat(count));
    for (;;) {
      const found = [...this.#text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
      if (found.length >= count && /(?:\r\n0\r\n\r\n|\}|\r\n\r\n)\s*$/.test(this.#text)) return found;
      await once(this.#socket, 'answered');
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

const child = spawn(process.execPath, [resolve(import.meta.dirname, '../../dist/main.js'), 'dev'], {
  env: { ...process.env, ENVOY_BIN: cachedEnvoy(cacheFolder, ENVOY_VERSION) },
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  await main(await places());
} finally {
  child.kill('SIGINT');
}

async function main(where: ReadonlyMap<string, string>): Promise<void> {
  const folder = where.get('folder') ?? '';
  const [cert = '', key = '', ca = ''] = await Promise.all(
    ['planner.pem', 'planner.key', 'bundle.pem'].map((name) => readFile(join(folder, name), 'utf8')),
  );
  const agent = new Agent({ id: 'spiffe://acme.test/ns/agents/sa/planner' as never, certPem: cert, keyPem: key }, ca);
  const [issuerPort = 0, envoyPort = 0] = ['issuer', 'envoy'].map((name) => Number(where.get(name)?.split(':').at(-1)));
  const pipeline = async (): Promise<Pipeline> => {
    const socket = connect({ host: '127.0.0.1', port: envoyPort, cert, key, ca, checkServerIdentity: () => undefined });
    await once(socket, 'secureConnect');
    return new Pipeline(socket);
  };
  const elapsedMs: number[] = [];
  const counts = { started: 0, uses: 0, after: 0, late: 0 };
  const issuer = async (path: string, body: string): ReturnType<Agent['call']> => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await agent
      .call(issuerPort, { host: 'localhost', method: 'POST', path, headers, body })
      // A connection was closed while it was idle. Ending a task twice is harmless.
      .catch(() => null);
    if (answer === null) return issuer(path, body);
    // Beyond the rate of an agent: retried a second later.
    return answer.status === 429 ? issuer(path, body) : answer;
  };
  const declared = async (isBudgeted: boolean): Promise<{ readonly token: string; readonly id: string }> => {
    const constraints = isBudgeted ? { constraints: { max_calls: 1_000_000 } } : {};
    const detail = { type: 'urn:remit:task', locations: [AUDIENCE], actions: ['payments.read'], ...constraints };
    const details = JSON.stringify([{ ...detail, purpose: 'measure' }]);
    const form = { grant_type: 'client_credentials', resource: AUDIENCE, authorization_details: details };
    const answer = await issuer('/oauth/token', new URLSearchParams(form).toString());
    if (answer.status !== 200) throw new Error(`no token: ${answer.body}`);
    const issued = JSON.parse(answer.body);
    return { token: issued.access_token, id: issued.txn };
  };
  const judge = (statuses: readonly number[]): void => {
    counts.after += statuses.length;
    counts.late += statuses.filter((status) => status === 200).length;
  };
  const one = async (first: Pipeline, others: readonly Pipeline[], isBudgeted: boolean): Promise<void> => {
    const { token, id } = await declared(isBudgeted);
    // A busy machine sheds a check now and then.
    for (let tries = 1; (await first.statuses(token, 1))[0] !== 200; tries += 1) {
      if (tries === 50) throw new Error('the token was not good');
    }
    const life = { isEnded: false };
    const share = Math.ceil((CALLS - 1) / others.length);
    const using = others.map(async (each) => {
      while (!life.isEnded) counts.uses += (await each.statuses(token, USES)).length;
      judge(await each.statuses(token, share));
    });
    await new Promise((settle) => setTimeout(settle, 10));
    const ended = await issuer(`/tasks/${id}/complete`, '');
    life.isEnded = true;
    const acknowledgedMs = performance.now();
    if (ended.status !== 200) throw new Error(`not ended: ${ended.body}`);
    judge(await first.statuses(token, 1));
    elapsedMs.push(performance.now() - acknowledgedMs);
    await Promise.all(using);
  };
  const worker = async (): Promise<void> => {
    const [first, ...others] = await Promise.all(Array.from({ length: 1 + CONNECTIONS }, pipeline));
    if (first === undefined) return;
    while (counts.started < ENDS) {
      counts.started += 1;
      await one(first, others, counts.started % 2 === 0);
    }
    for (const each of [first, ...others]) each.close();
  };
  const telling = setInterval(
    () => process.stderr.write(`${elapsedMs.length} ends: ${JSON.stringify(counts)}\n`),
    10_000,
  );
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  clearInterval(telling);
  agent.close();
  elapsedMs.sort((a, b) => a - b);
  const at = (share: number): string =>
    (elapsedMs[Math.min(elapsedMs.length - 1, Math.floor(elapsedMs.length * share))] ?? Number.NaN).toFixed(2);
  const { uses, after, late } = counts;
  process.stdout.write(
    `${ENDS} ends of tasks in use (${uses} uses before); ${after} calls after their acknowledgement, allowed: ${late}\n`,
  );
  process.stdout.write(`acknowledged end to first refusal, ms: p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)}\n`);
}

/** What `remit dev` prints, once it runs. */
function places(): Promise<ReadonlyMap<string, string>> {
  return new Promise((settle, fail) => {
    let text = '';
    child.once('exit', () => fail(new Error('remit dev ended')));
    child.stdout.on('data', (chunk: Buffer) => {
      text += String(chunk);
      if (!text.includes('look at the tasks')) return;
      settle(new Map([...text.matchAll(/^ {2}(\w+) +(\S+)$/gm)].map(([, name = '', value = '']) => [name, value])));
    });
  });
}
