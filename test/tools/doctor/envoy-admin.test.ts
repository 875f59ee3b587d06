import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from '@jest/globals';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { adminAddressFrom } from '../../../src/tools/doctor/collect/admin-address.ts';
import type { AdminAddress } from '../../../src/tools/doctor/collect/admin-address.ts';
import { collectEnvoy } from '../../../src/tools/doctor/collect/envoy-admin.ts';
import { checks } from '../../../src/tools/doctor/checks.ts';
import { reportOf } from '../../../src/tools/doctor/report.ts';
import { reportLines } from '../../../src/tools/doctor/report-text.ts';
import { testFolders } from '../../builders/test-folders.ts';

const folder = testFolders();

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function addressAt(written: string): AdminAddress {
  const address = adminAddressFrom(written);
  if (isProblem(address)) throw new Error(address.problem);
  return address;
}

/** A listening server, as the address of an admin interface. */
async function listening(server: Server, at: string | number = 0): Promise<AdminAddress> {
  if (typeof at === 'string') server.listen(at);
  else server.listen(at, '127.0.0.1');
  closers.push(() => server.close());
  await once(server, 'listening');
  // Safe: a server on a path has its path, any other an object.
  return addressAt(typeof at === 'string' ? `unix:${at}` : `127.0.0.1:${(server.address() as AddressInfo).port}`);
}

function serving(answer: RequestListener, at: string | number = 0): Promise<AdminAddress> {
  const server = createServer(answer);
  closers.push(() => server.closeAllConnections());
  return listening(server, at);
}

const INFO = JSON.stringify({ version: 'abc/1.40.0/Clean/RELEASE/BoringSSL' });
const ANSWERS: Readonly<Record<string, string>> = {
  '/server_info': INFO,
  '/clusters': '{}',
  '/config_dump': '{}',
  '/stats': '',
  '/runtime': '{}',
};
const pathOf = (url = ''): string => url.split('?')[0] ?? '';

/** An Envoy whose answer at one path is another. */
const but = (path: string, answer: RequestListener, at: string | number = 0): Promise<AdminAddress> =>
  serving((request, response) => {
    const own = pathOf(request.url);
    if (own === path) answer(request, response);
    else response.end(ANSWERS[own] ?? '');
  }, at);

const text =
  (words: string, status = 200, headers: Readonly<Record<string, string>> = {}): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end(words);

const collectedOf = (...admins: readonly AdminAddress[]) =>
  collectEnvoy({ admins, remitCluster: null, timeoutMs: 500 });

/** A byte each 10 ms, and never the last. */
const dripping: RequestListener = (_request, response) => {
  response.write(' ');
  const timer = setInterval(() => response.write(' '), 10);
  response.once('close', () => clearInterval(timer));
};

const NOT_ENVOY = 'answered, but it is not the admin interface of an Envoy';
const deep = (count: number): string => `${'['.repeat(count)}${']'.repeat(count)}`;
const dumpOf = (listener: string): string =>
  `{"configs":[{"@type":"x.ListenersConfigDump","static_listeners":[{"listener":{"name":"x","filter_chains":[{"filters":[${listener}]}]}}]}]}`;
const managerWith = (field: string): string =>
  dumpOf(
    `{"typed_config":{"@type":"x.HttpConnectionManager","http_filters":[{"name":"authz","typed_config":{"@type":"x.ExtAuthz"}}],${field}}}`,
  );

const asking = (cluster: string): string =>
  dumpOf(
    `{"typed_config":{"@type":"x.HttpConnectionManager","http_filters":[{"name":"authz","typed_config":{"@type":"x.ExtAuthz","grpc_service":{"envoy_grpc":{"cluster_name":"${cluster}"}}}}]}}`,
  );
const ASKING = asking('remit');
const OTHER = asking('opa');
const UNRECOGNISED =
  '; none of its filters names Remit: if another Envoy guards the tools, name the admin address of that with --envoy';

describe('collectEnvoy', () => {
  it.each<[what: string, path: string, answer: RequestListener, problem: string]>([
    [
      'a redirect',
      '/server_info',
      text('', 302, { location: 'http://127.0.0.1:1/server_info' }),
      'answered /server_info with 302',
    ],
    [
      'a redirect of the configuration',
      '/config_dump',
      text(INFO, 307, { location: '/server_info' }),
      'answered /config_dump with 307',
    ],
    ['a part of the configuration', '/config_dump', text('{"configs":[]}', 206), 'answered /config_dump with 206'],
    [
      'a configuration that is compressed',
      '/config_dump',
      (_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}')),
      'answered /config_dump compressed',
    ],
    ['no JSON', '/clusters', text('<html>'), NOT_ENVOY],
    ['two values', '/clusters', text('{}{}'), NOT_ENVOY],
    ['nothing', '/config_dump', text(''), NOT_ENVOY],
    ['a version without slashes', '/server_info', text('{"version":"1.40.0"}'), NOT_ENVOY],
    ['a version that is no text', '/server_info', text('{"version":["abc/1.40.0/Clean"]}'), NOT_ENVOY],
    ['what looks like a problem', '/server_info', text('{"problem":{"a":1}}'), NOT_ENVOY],
    ['statistics that are refused', '/stats', text('', 403), 'answered /stats with 403'],
    ['runtime keys that cannot be read', '/runtime', text('{"entries":'), NOT_ENVOY],
    ['runtime keys by a redirect', '/runtime', text('', 302, { location: '/' }), 'answered /runtime with 302'],
    ['an answer that never ends', '/config_dump', dripping, 'did not answer: '],
    ['an answer that never begins', '/stats', () => undefined, 'did not answer: '],
    ['a deep value', '/config_dump', text(deep(200_000)), 'nested too deeply'],
    ['a deep filter', '/config_dump', text(dumpOf(deep(200_000))), 'nested too deeply'],
    [
      'deep routes',
      '/config_dump',
      text(managerWith(`"route_config":{"virtual_hosts":[{"name":"h","routes":${deep(200_000)}}]}`)),
      'nested too deeply',
    ],
    [
      'a deep rule',
      '/config_dump',
      text(managerWith(`"x":${`{"not_rule":`.repeat(50_000)}{}${'}'.repeat(50_000)}`)),
      'nested too deeply',
    ],
    ['a connection that is closed', '/clusters', (request) => void request.socket.destroy(), 'did not answer: '],
  ])('says so if it gets %s', async (_what, path, answer, problem) => {
    const { unread } = await collectedOf(await but(path, answer));
    expect(unread).toEqual([expect.stringContaining(problem)]);
  });

  it('says so if a socket takes the connection and says nothing', async () => {
    const silent = await listening(createTcpServer(), join(folder(), 'admin.sock'));
    const { facts, unread } = await collectedOf(silent);
    expect([facts, unread]).toEqual([{}, [expect.stringContaining(`\`${silent.text}\` did not answer`)]]);
  });

  it('takes the first Envoy that answers, whatever is at the addresses before it', async () => {
    const others = [
      addressAt('127.0.0.1:1'),
      await but('/server_info', text('{}')),
      await but('/server_info', text('', 500)),
      await but('/server_info', dripping),
    ];
    const own = await but('/config_dump', text('{}'), join(folder(), 'admin.sock'));
    const { examined, unread } = await collectedOf(...others, own);
    expect([examined, unread]).toEqual([[`Envoy 1.40.0 at ${own.text}: 0 listeners, 0 clusters${UNRECOGNISED}`], []]);
  });

  it.each<[what: string, version: string]>([
    ['a path', 'app/2.0/linux'],
    ['another program', 'abc/2.0/Clean/RELEASE/BoringSSL'],
    ['no build', 'abc/1.40.0/Clean/linux/BoringSSL'],
    ['more parts', 'abc/1.40.0/Clean/RELEASE/BoringSSL/x'],
  ])('passes over a server whose version is that of %s', async (_what, version) => {
    const other = await but('/server_info', text(JSON.stringify({ version })));
    const own = await but('/config_dump', text(ASKING));
    const { examined, unread } = await collectedOf(other, own);
    expect([examined, unread]).toEqual([[`Envoy 1.40.0 at ${own.text}: 1 listener, 0 clusters`], []]);
  });

  it.each<[what: string, dumps: readonly string[], taken: number, words: string]>([
    ['the one that asks Remit', ['{}', OTHER, ASKING], 2, ''],
    ['the first of two that ask Remit', ['{}', ASKING, ASKING], 1, ''],
    ['the first if none asks Remit', ['{}', '{}'], 0, UNRECOGNISED],
    ['the one that asks Remit, before one that shows nothing', ['<html>', ASKING], 1, ''],
  ])('examines of several Envoys %s, and names the others', async (_what, dumps, taken, words) => {
    const all = await Promise.all(dumps.map((dump) => but('/config_dump', text(dump))));
    const { examined, unread } = await collectedOf(...all);
    const others = all.flatMap((one, index) => (index === taken ? [] : [`\`${one.text}\``])).join(' and ');
    expect(unread).toEqual([]);
    expect(examined).toEqual([
      expect.stringMatching(new RegExp(`^Envoy 1\\.40\\.0 at ${all[taken]?.text}: \\d listeners?, 0 clusters`)),
    ]);
    expect(examined[0]).toContain(`0 clusters${words}; not examined: the Envoy at ${others}, which --envoy names`);
  });

  it('names the other Envoys if the first shows nothing and none asks Remit', async () => {
    const [closed, other] = [await but('/config_dump', text('', 403)), await but('/config_dump', text('{}'))];
    const { examined, unread } = await collectedOf(closed, other);
    expect(examined).toEqual([]);
    expect(unread).toEqual([
      `Envoy at \`${closed.text}\` answered /config_dump with 403: is this its admin address?; not examined: the Envoy at \`${other.text}\`, which --envoy names`,
    ]);
  });

  it('examines the Envoy whose filter asks the cluster that the operator named', async () => {
    const admins = [await but('/config_dump', text(ASKING)), await but('/config_dump', text(OTHER))];
    const { examined } = await collectEnvoy({ admins, remitCluster: 'opa', timeoutMs: 500 });
    expect(examined).toEqual([expect.stringContaining(`Envoy 1.40.0 at ${admins[1]?.text}: `)]);
  });

  it('examines an Envoy that is named, whatever it asks', async () => {
    const own = await but('/config_dump', text('{}'));
    expect((await collectedOf(own)).examined).toEqual([`Envoy 1.40.0 at ${own.text}: 0 listeners, 0 clusters`]);
  });

  it.each([403, 404])('takes an interface that answers its runtime keys with %d', async (status) => {
    const { facts, unread } = await collectedOf(await but('/runtime', text('', status)));
    expect([unread, facts.envoys?.[0]?.live?.runtime.size]).toEqual([[], 0]);
  });

  it.each<[what: string, dump: string]>([
    ['a value that looks like a problem', '{"problem":"x","configs":[]}'],
    ['no object', '7'],
    ['null', 'null'],
    ['members of all objects', managerWith('"__proto__":{"http_filters":[]},"constructor":{"a":1}')],
    [
      'names of a terminal',
      managerWith(
        String.raw`"stat_prefix":"\u001b[2J\u202e","route_config":{"virtual_hosts":[{"name":"\u001b[31m","routes":[{"route":{"cluster":"c"}}]}]}`,
      ),
    ],
  ])('goes on if its configuration is %s, and prints nothing that acts on a terminal', async (_what, dump) => {
    const collected = await collectedOf(await but('/config_dump', text(dump)));
    expect(collected.unread).toEqual([]);
    const lines = reportLines(reportOf(checks, [collected], { only: null, suppressions: [] }), { isVerbose: true });
    for (const hidden of ['\u001b', '\u202e']) expect(lines.join('\n')).not.toContain(hidden);
    expect(collected.parts.every((part) => typeof part.text === 'string')).toBe(true);
  });

  it.each<[what: string, stats: string, read: readonly (readonly [string, number])[]]>([
    [
      'numbers',
      'a.ok: 1\nb: c: 2\n',
      [
        ['a.ok', 1],
        ['b: c', 2],
      ],
    ],
    ['what are none', 'a: x\nb\nc: P0(nan,1)\nd: Infinity\n\n: \n: 1\ne: \n', []],
    ['those of all objects', '__proto__: 1\n', [['__proto__', 1]]],
  ])('reads of its statistics %s', async (_what, stats, read) => {
    const { facts } = await collectedOf(await but('/stats', text(stats)));
    expect([...(facts.envoys?.[0]?.live?.stats ?? [])]).toEqual(read);
  });

  it.each<[what: string, host: object, isHealthy: boolean]>([
    ['no status', {}, true],
    ['a check that failed', { health_status: { failed_active_health_check: true } }, false],
    ['a check that failed, as a text', { health_status: { failed_outlier_check: 'true' } }, false],
    ['a degraded endpoint', { health_status: { eds_health_status: 'DEGRADED' } }, true],
    ['an endpoint that drains', { health_status: { eds_health_status: 'DRAINING' } }, false],
    ['a status of a later version', { health_status: { eds_health_status: 'LATER' } }, false],
  ])('tells the health of an endpoint with %s', async (_what, host, isHealthy) => {
    const clusters = { cluster_statuses: [{ name: 'remit', host_statuses: [host] }] };
    const { facts } = await collectedOf(await but('/clusters', text(JSON.stringify(clusters))));
    expect(facts.envoys?.[0]?.live?.hosts.get('remit')?.map((one) => one.isHealthy)).toEqual([isHealthy]);
  });
});

describe('adminAddressFrom', () => {
  it.each([
    ['unix:/run/admin.sock', 'unix:/run/admin.sock'],
    ['127.0.0.1:9901', '127.0.0.1:9901'],
    ['http://[::1]:9901', '[::1]:9901'],
    ['envoy', 'envoy:80'],
  ])('reads %s', (written, endpoint) => {
    expect(addressAt(written).endpoint).toBe(endpoint);
  });

  it.each([
    'unix:admin.sock',
    'https://a:1',
    'http://a:1/x',
    'http://a:1/?x',
    'a:1#x',
    'http://me:hunter2@a:1',
    'http://:hunter2@a:1',
    '',
    'http://',
  ])('refuses `%s`, and shows no password', (written) => {
    const address = adminAddressFrom(written);
    expect(address).toEqual({ problem: expect.stringContaining('expected the admin address of an Envoy') });
    expect(JSON.stringify(address)).not.toContain('hunter2');
  });
});
