import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createHash, X509Certificate } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parseDocument, stringify } from 'yaml';
import { Agent } from '../../src/dev/agent.ts';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import { shippedEnvoyConfig } from '../../src/dev/envoy-config.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { systemPorts } from '../../src/ports.ts';
import { cachedEnvoy, ENVOY_VERSION } from '../../src/dev/envoy-binary.ts';
import { cacheFolder } from '../parts/cache.ts';

/**
 * One quick load run: repeated use of a live token through Envoy, 16 connections, beside a server that does nothing on
 * grpc-js and one on Remit's own transport, in turn. Remit runs as `remit serve` with everything on: identity, token, task state, Cedar, records. Needs `wrk`.
 * `npm run bench`.
 */
const ROUNDS = 3;
const SECONDS = 8;
const CONNECTIONS = 16;
const PROXY = 'spiffe://acme.test/gateway';
const root = resolve(import.meta.dirname, '../..');

interface Contender {
  readonly name: string;
  readonly envoy: EnvoyProcess;
}

/** One measured run of the load generator. */
interface Run {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const folder = await mkdtemp(join(tmpdir(), 'remit-bench-'));
const ends: (() => Promise<unknown> | void)[] = [() => rm(folder, { recursive: true, force: true })];
try {
  await main();
} finally {
  for (const end of ends.toReversed()) await end();
}

async function main(): Promise<void> {
  const { headers, remitSocket } = await startRemit();
  const [noopSocket, ownSocket] = [join(folder, 'noop.sock'), join(folder, 'own.sock')];
  for (const [file, socket] of [
    ['noop.ts', noopSocket],
    ['noop-own.ts', ownSocket],
  ] as const) {
    const script = join(root, 'test/bench', file);
    await started(spawn(process.execPath, [script, socket], { stdio: ['ignore', 'pipe', 'inherit'] }), 'ready');
  }
  const contenders: Contender[] = [
    { name: 'Envoy alone', envoy: await startEnvoy(null) },
    { name: 'do-nothing grpc-js', envoy: await startEnvoy(noopSocket) },
    { name: 'do-nothing, own server', envoy: await startEnvoy(ownSocket) },
    { name: 'Remit, everything on', envoy: await startEnvoy(remitSocket) },
  ];
  const runs = new Map<string, Run[]>(contenders.map(({ name }) => [name, []]));
  for (const { envoy } of contenders) await load(envoy, headers, 2);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { name, envoy } of contenders) {
      const run = await load(envoy, headers, SECONDS);
      runs.get(name)?.push(run);
      process.stderr.write(`round ${round + 1}  ${name.padEnd(22)} ${Math.round(run.requestsPerSecond)}/s\n`);
    }
  }
  report(runs);
}

function report(runs: ReadonlyMap<string, readonly Run[]>): void {
  const noop = median((runs.get('do-nothing grpc-js') ?? []).map((run) => run.requestsPerSecond));
  process.stdout.write('                        requests/s   p50 ms   p99 ms   of do-nothing\n');
  for (const [name, of] of runs) {
    const rate = median(of.map((run) => run.requestsPerSecond));
    const [p50, p99] = [median(of.map((run) => run.p50Ms)), median(of.map((run) => run.p99Ms))];
    process.stdout.write(
      `${name.padEnd(22)} ${rate.toFixed(0).padStart(11)} ${p50.toFixed(2).padStart(8)} ${p99.toFixed(2).padStart(8)} ${(rate / noop).toFixed(2).padStart(15)}\n`,
    );
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

async function load(envoy: EnvoyProcess, headers: readonly string[], seconds: number): Promise<Run> {
  const { stdout } = await promisify(execFile)('wrk', [
    '-t1',
    `-c${CONNECTIONS}`,
    `-d${seconds}s`,
    '--latency',
    ...headers.flatMap((header) => ['-H', header]),
    `http://127.0.0.1:${envoy.address.port}/v1/payments`,
  ]);
  if (/Non-2xx/.test(stdout)) throw new Error(`not every call was allowed: ${await answerTo(envoy, headers)}`);
  const milliseconds = (percent: string): number => {
    const [, value, unit] = new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(stdout) ?? [];
    return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit as 'us' | 'ms' | 's'];
  };
  return {
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p50Ms: milliseconds('50'),
    p99Ms: milliseconds('99'),
  };
}

async function answerTo(envoy: EnvoyProcess, headers: readonly string[]): Promise<string> {
  const lines = headers.flatMap((header) => ['-H', header]);
  return (await promisify(execFile)('curl', ['-si', ...lines, `http://127.0.0.1:${envoy.address.port}/v1/payments`]))
    .stdout;
}

/** The shipped configuration with a plain listener that answers itself, since load generators bring no client certificate. */
async function startEnvoy(socket: string | null): Promise<EnvoyProcess> {
  const shipped = await shippedEnvoyConfig();
  const binary = cachedEnvoy(cacheFolder, ENVOY_VERSION);
  const envoy = await EnvoyProcess.start({
    binary,
    config: (adminSocket) => plainConfig(shipped, { adminSocket, socket }),
  });
  if (!(envoy instanceof EnvoyProcess)) throw new Error(envoy.problem);
  ends.push(() => envoy.stop());
  return envoy;
}

function plainConfig(
  shipped: string,
  { adminSocket, socket }: { readonly adminSocket: string; readonly socket: string | null },
): string {
  const document = parseDocument(shipped);
  const chain = ['static_resources', 'listeners', 0, 'filter_chains', 0];
  const manager = [...chain, 'filters', 0, 'typed_config'];
  document.setIn(['admin', 'address', 'pipe', 'path'], adminSocket);
  document.setIn(['static_resources', 'listeners', 0, 'address', 'socket_address'], {
    address: '127.0.0.1',
    port_value: 0,
  });
  document.deleteIn([...chain, 'transport_socket']);
  document.deleteIn([...manager, 'tracing']);
  document.deleteIn([...manager, 'access_log']);
  document.setIn([...manager, 'forward_client_cert_details'], 'ALWAYS_FORWARD_ONLY');
  document.setIn(
    [...manager, 'route_config', 'virtual_hosts'],
    [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }] }],
  );
  if (socket === null) document.deleteIn([...manager, 'http_filters', 0]);
  document.setIn(
    [
      'static_resources',
      'clusters',
      0,
      'load_assignment',
      'endpoints',
      0,
      'lb_endpoints',
      0,
      'endpoint',
      'address',
      'pipe',
      'path',
    ],
    socket ?? join(folder, 'nobody.sock'),
  );
  return document.toString({ lineWidth: 0 });
}

async function startRemit(): Promise<{ readonly headers: readonly string[]; readonly remitSocket: string }> {
  const authority = await createAuthority('acme.test', systemPorts);
  const remitSocket = join(folder, 'check.sock');
  const svid = await writeCredential(
    folder,
    'remit',
    await authority.svid('/remit', { dns: ['localhost'], ips: ['127.0.0.1'] }),
  );
  const config = {
    trustDomains: ['acme.test'],
    extAuthz: {
      listen: `unix:${remitSocket}`,
      identity: 'xfcc',
      proxyId: PROXY,
      maxChecksPerSecondPerAgent: 1_000_000,
    },
    svid: { ...svid, bundle: await writeBundle(folder, 'bundle', authority) },
    issuer: { listen: '127.0.0.1:19472', url: 'https://issuer.acme.test', signingKey: 'key.pem', tokenSeconds: 300 },
    admin: { listen: '127.0.0.1:0' },
    policies: join(root, 'cedar-policies'),
    state: 'sqlite:state.db',
  };
  const file = join(folder, 'remit.yaml');
  await writeFile(file, stringify(config));
  await started(
    spawn(process.execPath, [join(root, 'dist/main.js'), 'serve', '--config', file], {
      stdio: ['ignore', 'inherit', 'pipe'],
    }),
    'checks on',
  );
  const planner = await authority.svid('/ns/agents/sa/planner');
  const agent = new Agent(planner, authority.bundlePem);
  const reply = await agent.call(19472, {
    host: 'localhost',
    method: 'POST',
    path: '/oauth/token',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      resource: 'https://payments.acme.test',
      authorization_details: JSON.stringify([
        {
          type: 'urn:remit:task',
          locations: ['https://payments.acme.test'],
          actions: ['payments.list'],
          purpose: 'load',
        },
      ]),
    }).toString(),
  });
  agent.close();
  const hash = createHash('sha256').update(new X509Certificate(planner.certPem).raw).digest('hex');
  const token: string = JSON.parse(reply.body).access_token;
  return {
    remitSocket,
    headers: [
      'Host: payments.acme.test',
      `authorization: Bearer ${token}`,
      `x-forwarded-client-cert: By=${PROXY};Hash=${hash};URI=${planner.id}`,
    ],
  };
}

/** Waits until a process has said `word`; ends it with the rest. */
async function started(child: ChildProcess, word: string): Promise<void> {
  ends.push(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  });
  await new Promise<void>((done, failed) => {
    child.once('exit', () => failed(new Error(`the process ended before it said \`${word}\``)));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        if (String(chunk).includes(word)) done();
      });
    }
  });
}
