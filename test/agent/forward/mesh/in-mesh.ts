// The forwarder in a pod of a mesh: a network of its own, iptables that redirect as Istio's do, and a real Envoy that has its configuration
// by files. Run by `mesh-connection.test.ts` as root in a network of its own; prints what became of each case as JSON.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, renameSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { openForwarders } from '../../../../src/agent/forward/forwarders.ts';
import { forwardOptionsFrom } from '../../../../src/agent/forward/forward-option.ts';
import { forwardTargetsFrom } from '../../../../src/agent/forward/forward-target.ts';
import {
  defaultUpstreamBounds,
  UpstreamConnections,
} from '../../../../src/agent/forward/upstream/upstream-connections.ts';
import { OwnSvid } from '../../../../src/agent/run/own-svid.ts';
import { createAuthority, writeBundle, writeCredential } from '../../../../src/dev/authority.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { credentialOf } from '../upstream.ts';
import { ADMIN, meshFiles } from './mesh-files.ts';

const [, , envoyBinary = ''] = process.argv;
const HOST = 'tools.demo.svc.cluster.local';
const RESOURCE = `https://${HOST}`;
/** The user of istio-proxy, whose own connections are not redirected. */
const PROXY = 1_337;

const run = (...words: readonly string[]): string => execFileSync(words[0] ?? '', words.slice(1), { encoding: 'utf8' });
const redirects = (verb: '-A' | '-D'): string =>
  run(
    'iptables',
    '-t',
    'nat',
    verb,
    'OUTPUT',
    '-p',
    'tcp',
    '!',
    '-d',
    '127.0.0.1/32',
    '-m',
    'owner',
    '!',
    '--uid-owner',
    String(PROXY),
    '-j',
    'REDIRECT',
    '--to-ports',
    '15001',
  );

const folder = mkdtempSync(join(tmpdir(), 'mesh-'));
const authority = await createAuthority('acme.test', systemPorts);
const files = await writeCredential(folder, 'agent', await authority.svid('/ns/agents/sa/planner'));
const own = await writeCredential(folder, 'tools', await authority.svid('/ns/demo/sa/tools', { dns: [HOST] }));
const bundle = await writeBundle(folder, 'bundle', authority);

// The network of the tools, at the other end of a pair of interfaces.
const tools = spawn(
  'unshare',
  ['--net', '--kill-child', process.execPath, resolve(import.meta.dirname, 'tools.ts'), own.certificate, own.key],
  {
    stdio: ['pipe', 'pipe', 'ignore'],
  },
);
// `unshare` ignores other signals while its child runs.
process.once('exit', () => tools.kill('SIGKILL'));
const arrived: { readonly over: string; readonly authorization?: string | null }[] = [];
createInterface({ input: tools.stdout }).on('line', (line) => arrived.push(JSON.parse(line)));
const waited = async (what: string, is: () => boolean | Promise<boolean>): Promise<void> => {
  for (let look = 0; look < 600; look += 1) {
    if (await is()) return;
    await delay(100);
  }
  throw new Error(`waited in vain for ${what}`);
};
await waited('a network', () => run('readlink', `/proc/${tools.pid}/ns/net`) !== run('readlink', '/proc/self/ns/net'));
run('ip', 'link', 'add', 'pod', 'type', 'veth', 'peer', 'name', 'tools', 'netns', String(tools.pid));
run('ip', 'addr', 'add', '10.1.0.2/24', 'dev', 'pod');
run('ip', 'link', 'set', 'pod', 'up');
for (const words of ['addr add 10.1.0.1/24 dev tools', 'link set tools up', 'link set lo up'])
  run('nsenter', '-t', String(tools.pid), '-n', 'ip', ...words.split(' '));
tools.stdin.write('go\n');
await waited('the tools', () => arrived.some(({ over }) => over === 'ready'));

const mesh = meshFiles({ host: HOST, address: '10.1.0.1', folder });
const put = (name: string, text: string): void => {
  writeFileSync(join(folder, `${name}.next`), text);
  renameSync(join(folder, `${name}.next`), join(folder, name));
};
put('cds.json', mesh.clusters('tls'));
put('rds.json', mesh.routes);
put('lds.json', mesh.listeners);
put('envoy.json', mesh.bootstrap);
// That user may not reach the program in the cache of another one.
copyFileSync(envoyBinary, join(folder, 'envoy'));
chmodSync(join(folder, 'envoy'), 0o755);
chmodSync(folder, 0o755);
const envoy = spawn(
  join(folder, 'envoy'),
  ['-c', join(folder, 'envoy.json'), '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'],
  { uid: PROXY, gid: PROXY, stdio: 'ignore' },
);
const dump = (): Promise<string> =>
  fetch(`${ADMIN}/config_dump`).then(
    (answer) => answer.text(),
    () => '',
  );
/** Waits until Envoy's configuration has or lacks a text. */
const inEnvoy = (text: string, is = true): Promise<void> =>
  waited(`Envoy with ${text}`, async () => {
    const now = await dump();
    return now !== '' && now.includes(text) === is;
  });
await inEnvoy('"route_config"');

const svid = await OwnSvid.open({ kind: 'files', ...files, bundle }, systemPorts);
const told: string[] = [];
const targetsFor = (url: string, port = 80) => {
  const options = forwardOptionsFrom([`tools=${url},connect=10.1.0.1:${port}`]);
  if ('problem' in options) throw new Error(options.problem);
  const targets = forwardTargetsFrom(options, [RESOURCE]);
  if ('problem' in targets) throw new Error(targets.problem);
  return targets;
};
/** A forwarder to a URL, and what it answers. */
const forwarderTo = async (url: string, port?: number) => {
  const targets = targetsFor(url, port);
  const credential = async () => credentialOf('the-token', svid.thumbprint() ?? '');
  const opened = await openForwarders(targets, {
    mcpServers: null,
    variables: {},
    svid,
    keeperOf: () => ({ current: credential, another: credential }),
    ports: systemPorts,
    tell: (line) => void told.push(line),
    onFolder: () => undefined,
  });
  if ('problem' in opened) throw new Error(opened.problem);
  const local = opened.variables['REMIT_FORWARD_TOOLS'] ?? '';
  return {
    close: opened.close,
    call: async () => {
      const answer = await fetch(`${local}/items`, { method: 'POST', body: '{}' });
      return { status: answer.status, text: await answer.text() };
    },
    http2: () =>
      new Promise<number>((done, fail) => {
        const { origin, pathname } = new URL(local);
        const session = connectHttp2(origin).on('error', fail);
        const stream = session.request({ ':path': `${pathname}/items` });
        stream.on('response', (headers) => {
          session.destroy();
          done(headers[':status'] ?? 0);
        });
        stream.on('error', fail).end();
      }),
  };
};

const MESH = `http://${HOST}`;
const outcome: Record<string, unknown> = {};
/** What became of a case: the answer, and what reached the tools since. */
const tried = async (name: string, call: () => Promise<unknown>): Promise<void> => {
  arrived.length = 0;
  const answer = await call();
  await delay(200);
  outcome[name] = { answer, arrived: [...arrived] };
};

const before = await forwarderTo(MESH);
outcome['told without redirection'] = [...told];
await tried('not redirected', before.call);
await tried('not redirected, over HTTP/2', before.http2);
redirects('-A');
await tried('redirected', before.call);
await tried('redirected, over HTTP/2', before.http2);
put('cds.json', mesh.clusters('matches'));
await inEnvoy('transport_socket_matches');
// The connections that were opened before are ended within seconds; a call may still pass on one.
await waited('an end', async () => (await before.call()).status !== 200);
await tried('by automatic mTLS', before.call);
put('cds.json', mesh.clusters('clear'));
await inEnvoy('transport_socket_matches', false);
await tried('by a cluster in clear', before.call);
put('cds.json', mesh.clusters('tls'));
await inEnvoy('UpstreamTlsContext');
await tried('by TLS again', before.call);
/** How many connections Envoy's admin interface has had. */
const questions = async (): Promise<number> => {
  const stats = await (await fetch(`${ADMIN}/stats?filter=listener.admin.downstream_cx_total`)).text();
  return Number(/: (\d+)/.exec(stats)?.[1]);
};
const many = await forwarderTo(MESH);
await tried('questions for twenty calls at once', async () => {
  const asked = await questions();
  await Promise.all(Array.from({ length: 20 }, many.call));
  return (await questions()) - asked;
});
await many.close();
await tried('questions for twenty tasks', async () => {
  const [target] = targetsFor(MESH);
  if (target === undefined) throw new Error('no target');
  const asked = await questions();
  const opened = async (): Promise<void> => {
    const connections = new UpstreamConnections(target, { svid, bounds: defaultUpstreamBounds, authorities: [] });
    const bound = await connections.boundTo(svid.thumbprint() ?? '');
    if ('problem' in bound) throw new Error(bound.problem);
    await new Promise<void>((done, fail) => void bound.connect((error) => (error === null ? done() : fail(error))));
    connections.close();
  };
  await Promise.all(Array.from({ length: 20 }, opened));
  return (await questions()) - asked;
});
redirects('-D');
await waited('an end', async () => (await before.call()).status !== 200);
await tried('redirected no more', before.call);
redirects('-A');
await before.close();
const elsewhere = await forwarderTo('http://other.demo.svc.cluster.local');
await tried('of a service that the mesh does not know', elsewhere.call);
await elsewhere.close();
const passed = await forwarderTo(RESOURCE, 8443);
await tried('by TLS that the sidecar passes on', passed.call);
await passed.close();
const twice = await forwarderTo(RESOURCE);
await tried('by TLS to a port of HTTP', twice.call);
await twice.close();
const gone = await forwarderTo(MESH);
envoy.kill();
await once(envoy, 'exit');
const thief = createServer((socket) => socket.on('data', () => arrived.push({ over: 'thief' })));
await new Promise<void>((done) => thief.listen(15_001, '0.0.0.0', () => done()));
await tried('redirected to another process', gone.call);
await gone.close();
process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit());
