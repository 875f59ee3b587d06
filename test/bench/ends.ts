import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Agent } from '../../src/dev/agent.ts';
import { cachedEnvoy, ENVOY_VERSION } from '../../src/dev/envoy-binary.ts';
import { cacheFolder } from '../parts/cache.ts';

/**
 * From the acknowledged end of a task to the first refusal of its token, through a real Envoy: `node test/bench/ends.ts [N]`
 * ends N tasks (10,000 by default), four at a time, and calls once right after each acknowledgement. `remit dev` runs as a
 * process of its own; `npm run build` first.
 */
const ENDS = Number(process.argv[2] ?? 10_000);
const AT_A_TIME = 4;
const AUDIENCE = 'https://payments.acme.test';

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
  const [certPem, keyPem, bundlePem] = await Promise.all(
    ['planner.pem', 'planner.key', 'bundle.pem'].map((name) => readFile(join(folder, name), 'utf8')),
  );
  const svid = { id: 'spiffe://acme.test/ns/agents/sa/planner' as never, certPem: certPem ?? '', keyPem: keyPem ?? '' };
  const agent = new Agent(svid, bundlePem ?? '');
  const [issuerPort, envoyPort] = ['issuer', 'envoy'].map((name) => Number(where.get(name)?.split(':').at(-1)));
  const elapsedMs: number[] = [];
  let [allowed, started] = [0, 0];
  const issuer = async (path: string, body: string): ReturnType<Agent['call']> => {
    const answer = await agent.call(issuerPort ?? 0, {
      host: 'localhost',
      method: 'POST',
      path,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
    });
    // More than an agent may ask in a second: the answer came a second later.
    return answer.status === 429 ? issuer(path, body) : answer;
  };
  const details = JSON.stringify([
    { type: 'urn:remit:task', locations: [AUDIENCE], actions: ['payments.read'], purpose: 'measure' },
  ]);
  const one = async (): Promise<void> => {
    const form = { grant_type: 'client_credentials', resource: AUDIENCE, authorization_details: details };
    const issued = JSON.parse((await issuer('/oauth/token', new URLSearchParams(form).toString())).body);
    const headers = { authorization: `Bearer ${issued.access_token}` };
    const call = () => agent.call(envoyPort ?? 0, { host: 'payments.acme.test', path: '/v1/payments/p-1', headers });
    if ((await call()).status !== 200) throw new Error('the token was not good');
    await issuer(`/tasks/${issued.txn}/complete`, '');
    const acknowledgedMs = performance.now();
    if ((await call()).status !== 403) allowed += 1;
    elapsedMs.push(performance.now() - acknowledgedMs);
  };
  const worker = async (): Promise<void> => {
    while (started < ENDS) {
      started += 1;
      await one();
      if (elapsedMs.length % 1000 === 0) process.stderr.write(`${elapsedMs.length} ends\n`);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  agent.close();
  elapsedMs.sort((a, b) => a - b);
  const at = (share: number): string =>
    (elapsedMs[Math.min(elapsedMs.length - 1, Math.floor(elapsedMs.length * share))] ?? NaN).toFixed(2);
  process.stdout.write(`${ENDS} ends, allowed after the acknowledgement: ${allowed}\n`);
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
