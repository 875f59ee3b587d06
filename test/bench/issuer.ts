import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audience, details, formHeaders, startBench } from '../authority/issuer/bench.ts';

/**
 * Tokens issued per second on one core: the issuer in this process on a real disk, its client in another. Counts the processor time of all
 * threads of the issuer. `node test/bench/issuer.ts [seconds]`
 */

interface Load {
  readonly port: number;
  readonly bundle: string;
  readonly cert: string;
  readonly key: string;
  readonly seconds: number;
}

const CONNECTIONS = 8;
const body = new URLSearchParams({
  grant_type: 'client_credentials',
  resource: audience,
  authorization_details: details(),
}).toString();

async function serve(seconds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'remit-rate-'));
  const bench = await startBench(folder);
  const client = fork(import.meta.filename, ['client']);
  const { certPem: cert, keyPem: key } = bench.planner;
  client.send({ port: bench.port, bundle: bench.authority.bundlePem, cert, key, seconds } satisfies Load);
  await once(client, 'message');
  const [startCpu, startMs] = [process.cpuUsage(), performance.now()];
  const [tokens] = (await once(client, 'message')) as [number];
  const { user, system } = process.cpuUsage(startCpu);
  const [cpuSeconds, wallSeconds] = [(user + system) / 1e6, (performance.now() - startMs) / 1_000];
  process.stdout.write(
    `${tokens} tokens in ${wallSeconds.toFixed(1)} s (${Math.round(tokens / wallSeconds)}/s) ` +
      `took ${cpuSeconds.toFixed(1)} s of processor: ${Math.round(tokens / cpuSeconds)} tokens/s on one core\n`,
  );
  await bench.close();
  rmSync(folder, { recursive: true });
}

async function load({ port, bundle, cert, key, seconds }: Load): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const options = { host: '127.0.0.1', servername: 'issuer.acme.test', ca: bundle, cert, key, agent };
  const ask = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const request = httpsRequest(
        { ...options, port, path: '/oauth/token', method: 'POST', headers: formHeaders },
        (response) => {
          response.resume();
          response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error('no token'))));
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  const askUntil = async (endMs: number): Promise<number> => {
    let tokens = 0;
    while (performance.now() < endMs) {
      await ask();
      tokens += 1;
    }
    return tokens;
  };
  const all = (forMs: number): Promise<number[]> =>
    Promise.all(Array.from({ length: CONNECTIONS }, () => askUntil(performance.now() + forMs)));
  await all(2_000);
  process.send?.('warm');
  const counts = await all(seconds * 1_000);
  process.send?.(counts.reduce((sum, count) => sum + count, 0));
  agent.destroy();
}

if (process.argv[2] === 'client') {
  const [message] = (await once(process, 'message')) as [Load];
  await load(message);
  process.disconnect?.();
} else {
  await serve(Number(process.argv[2] ?? 10));
}
