import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import {
  Agent as HttpAgent,
  createServer as createHttpServer,
  request as requestHttp,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, createServer, request as requestHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startRunDomain } from '../agent/run/domain.ts';

/**
 * What `remit run --forward` adds to a call: the median through the forwarder less the median of the same call made directly with the same
 * TLS, in turns; beside a bare proxy, which copies headers and pipes bodies by `node:http`. Issuer and upstream are in this process, the built
 * product in a second, the client in a third, the bare proxy in a fourth. `node test/bench/forward.ts [rounds]`
 */

const pool = { keepAlive: true, maxSockets: 64 };
const CALLS_A_TURN = 200;
/** As long as a task token. */
const BEARER = `Bearer ${'x'.repeat(900)}`;

async function serve(rounds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'remit-forward-'));
  const domain = await startRunDomain(folder);
  const own = await domain.authority.svid('/ns/tools/sa/server', { dns: ['payments.acme.test'] });
  const tls = { key: own.keyPem, cert: own.certPem, ca: domain.authority.bundlePem };
  const answer = JSON.stringify({ id: 'p-1', amount: 100, note: 'x'.repeat(900) });
  const upstream = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (request, response) => {
    request.resume().once('end', () => response.setHeader('content-type', 'application/json').end(answer));
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  const forward = `payments=https://payments.acme.test,connect=127.0.0.1:${port}`;
  const main = resolve(import.meta.dirname, '../../dist/main.js');
  const client = [process.execPath, import.meta.filename, String(rounds), 'client', folder, String(port)];
  const words = ['run', '--intent', domain.intent, ...domain.options, '--forward', forward, '--', ...client];
  const bare = spawn(process.execPath, [import.meta.filename, '0', 'bare', folder, String(port)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'inherit', 'inherit'] });
  await once(child, 'exit');
  bare.kill();
  upstream.closeAllConnections();
  upstream.close();
  await domain.close();
  rmSync(folder, { recursive: true });
}

/** Time of one call in milliseconds. */
type Call = (method: string, body: string) => Promise<number>;

const callWith = (
  send: typeof requestHttp | typeof requestHttps,
  options: Omit<RequestOptions, 'headers'> & { readonly headers?: Readonly<Record<string, string>> },
): Call => {
  const own: Readonly<Record<string, string>> = { ...options.headers, 'content-type': 'application/json' };
  return (method, body) =>
    new Promise((settle, reject) => {
      const start = performance.now();
      const headers = { ...own, ...(body === '' ? {} : { 'content-length': String(body.length) }) };
      send({ ...options, method, headers }, (response) => {
        response.resume().once('end', () => settle(performance.now() - start));
      })
        .once('error', reject)
        .end(body);
    });
};

interface Upstream {
  readonly folder: string;
  readonly port: number;
}

const bareSocket = (folder: string): string => join(folder, 'bare.sock');

/** How a workload calls the upstream. */
function directOptions({ folder, port }: Upstream) {
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const tls = { ca: read('bundle.pem'), cert: read('planner.pem'), key: read('planner.key') };
  return { host: '127.0.0.1', port, ...tls, servername: 'payments.acme.test', agent: new HttpsAgent(pool) };
}

/** The least that a proxy by `node:http` does. */
function serveBare(upstream: Upstream): void {
  const options = directOptions(upstream);
  createHttpServer((request, response) => {
    const headers = { ...request.headers, host: 'payments.acme.test', authorization: BEARER };
    const sent = requestHttps({ ...options, method: request.method, path: request.url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    });
    request.pipe(sent);
  }).listen(bareSocket(upstream.folder));
}

async function measure(rounds: number, upstream: Upstream): Promise<void> {
  const { hostname, port: localPort, pathname } = new URL(process.env['REMIT_FORWARD_PAYMENTS'] ?? '');
  const socketPath = process.env['REMIT_FORWARD_PAYMENTS_SOCKET'] ?? '';
  const path = '/v1/payments/p-1';
  const headers = { host: 'payments.acme.test', authorization: BEARER };
  const ways = {
    direct: callWith(requestHttps, { ...directOptions(upstream), path, headers }),
    bare: callWith(requestHttp, { socketPath: bareSocket(upstream.folder), path, agent: new HttpAgent(pool) }),
    port: callWith(requestHttp, { host: hostname, port: localPort, path: pathname + path, agent: new HttpAgent(pool) }),
    socket: callWith(requestHttp, { socketPath, path, agent: new HttpAgent(pool) }),
  };
  for (const [name, method, body, width] of [
    ['GET, one at a time', 'GET', '', 1],
    ['POST of 2 KiB, one at a time', 'POST', 'x'.repeat(2_048), 1],
    ['GET, 16 at a time', 'GET', '', 16],
  ] as const) {
    const turn = async (call: Call): Promise<number> => {
      const times: number[] = [];
      const lane = async (): Promise<void> => {
        while (times.length < CALLS_A_TURN) times.push(await call(method, body));
      };
      await Promise.all(Array.from({ length: width }, lane));
      return median(times);
    };
    const added: Record<'bare' | 'port' | 'socket', number[]> = { bare: [], port: [], socket: [] };
    const directs: number[] = [];
    for (let round = -3; round < rounds; round += 1) {
      const base = await turn(ways.direct);
      const [bare, atPort, atSocket] = [await turn(ways.bare), await turn(ways.port), await turn(ways.socket)];
      // The first rounds only warm.
      if (round < 0) continue;
      directs.push(base);
      added.bare.push(bare - base);
      added.port.push(atPort - base);
      added.socket.push(atSocket - base);
    }
    const [bare, atPort, atSocket] = [added.bare, added.port, added.socket].map((times) => shown(median(times)));
    process.stdout.write(
      `${name}: direct ${shown(median(directs))} ms; a bare proxy adds ${bare} ms, the forwarder ${atPort} ms at its port, ${atSocket} ms at its socket\n`,
    );
  }
  process.exit(0);
}

const shown = (value: number): string => value.toFixed(3);

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;

const [, , rounds = '40', role, folder = '', port = ''] = process.argv;
if (role === 'client') await measure(Number(rounds), { folder, port: Number(port) });
else if (role === 'bare') serveBare({ folder, port: Number(port) });
else await serve(Number(rounds));
