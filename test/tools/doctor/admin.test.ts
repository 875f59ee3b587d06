import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from '@jest/globals';
import { scratch } from '../../builders/scratch.ts';
import { diagnosed } from './diagnosed.ts';
import { clusterAt, listenerOf, routerFilter } from './envoy-facts-of.ts';

const servers: Server[] = [];

/** A server, as `host:port`. */
async function serving(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const INFO = JSON.stringify({ version: 'abc/1.40.0/Clean/RELEASE/BoringSSL' });

/** An admin interface with these answers, by path. */
const envoy = (answers: Readonly<Record<string, string>>): Promise<string> =>
  serving((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const text = answers[path] ?? { '/server_info': INFO, '/clusters': '{}', '/config_dump': '{}', '/stats': '' }[path];
    response.statusCode = text === undefined ? 404 : 200;
    response.end(text ?? 'not found');
  });

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

/** Who may answer for Remit, and listeners that ask nobody, in an Envoy with this state of a listener and these clusters. */
const foundOf = async (listener: object, clusters: object): Promise<readonly string[]> => {
  const configs = [
    { '@type': 'x.ListenersConfigDump', dynamic_listeners: [{ name: 'agents', ...listener }] },
    { '@type': 'x.ClustersConfigDump', ...clusters },
  ];
  const address = await envoy({ '/config_dump': JSON.stringify({ configs }) });
  const { findings } = await diagnosed(['--only', 'envoy', '--envoy', address, '--json']);
  return findings.flatMap(({ code, where }) =>
    code === 'envoy.impostor' || code === 'envoy.never-asked' ? [`${code} ${where}`] : [],
  );
};

describe('remit doctor and the admin interface of Envoy', () => {
  it.each([
    ['nobody', () => Promise.resolve('127.0.0.1:1'), 'did not answer: connect ECONNREFUSED'],
    ['no socket', () => Promise.resolve('unix:/nonexistent/admin.sock'), 'did not answer: connect ENOENT'],
    ['another server', () => serving((_request, response) => void response.end('hello')), 'is not the admin interface'],
    [
      'another address of Envoy',
      () => serving((_request, response) => void response.writeHead(404).end()),
      'answered /server_info with 404: is this its admin address?',
    ],
    [
      'another program that speaks JSON',
      () => envoy({ '/server_info': '{"version":"3"}' }),
      'is not the admin interface',
    ],
    ['a cut answer', () => envoy({ '/config_dump': '{"configs":[' }), 'is not the admin interface'],
  ])('says so if %s answers, and exits with 3', async (_name, address, problem) => {
    const { exit, report } = await diagnosed(['--only', 'envoy', '--envoy', await address(), '--json']);
    expect(report.not_examined).toEqual([expect.stringContaining(problem)]);
    expect(exit).toBe(3);
  });

  it('doubts an Envoy that forwards nothing', async () => {
    const { exit, findings } = await diagnosed([
      '--only',
      'envoy',
      '--envoy',
      await envoy({}),
      '--json',
      '--fail-level',
      'warning',
    ]);
    expect(findings).toEqual([
      expect.objectContaining({ code: 'envoy.never-asked', level: 'warning', where: 'envoy' }),
    ]);
    expect(exit).toBe(2);
  });

  it('reads a configuration of 50 MB, and stops above 128 MiB with the reason', async () => {
    const filter = {
      name: 'authz',
      typed_config: { '@type': 'x.ExtAuthz', grpc_service: { envoy_grpc: { cluster_name: 'remit' } } },
    };
    const routes = Array.from({ length: 100_000 }, (_, index) => ({
      match: { prefix: `/${index}/${'x'.repeat(400)}` },
      route: { cluster: 'c' },
    }));
    const manager = {
      '@type': 'x.HttpConnectionManager',
      http_filters: [filter],
      route_config: { virtual_hosts: [{ name: 'h', routes }] },
    };
    const listener = { name: 'big', filter_chains: [{ filters: [{ typed_config: manager }] }] };
    const dump = JSON.stringify({ configs: [{ '@type': 'x.ListenersConfigDump', static_listeners: [{ listener }] }] });
    expect(dump.length).toBeGreaterThan(45_000_000);
    const address = await envoy({ '/config_dump': dump });
    const big = await diagnosed(['--only', 'envoy', '--envoy', address, '--json']);
    expect(big.report.not_examined).toEqual([]);
    expect(big.findings.map(({ code }) => code)).toContain('envoy.cluster-missing');

    const endless = await serving((request, response) => {
      if (request.url?.startsWith('/config_dump') !== true) {
        response.end(request.url === '/server_info' ? INFO : '{}');
        return;
      }
      const chunk = Buffer.alloc(1_048_576, 'x');
      const more = (): void => {
        while (response.write(chunk));
      };
      response.on('drain', more);
      more();
    });
    const refused = await diagnosed(['--only', 'envoy', '--envoy', endless, '--json']);
    expect(refused.report.not_examined).toEqual([expect.stringContaining('with more than 134217728 bytes')]);
  });

  const routes = [{ match: { prefix: '/' }, route: { cluster: 'tool' } }];
  const asking = { listener: listenerOf('agents', { routes }) };
  const silent = { listener: listenerOf('agents', { routes, filters: [routerFilter] }) };
  const beside = { cluster: clusterAt('remit', '127.0.0.1', 9470) };
  const away = { cluster: clusterAt('remit', '10.0.0.9', 9470) };

  it.each<[string, object, object, readonly string[]]>([
    ['what is in force', away, beside, ['envoy.impostor cluster/remit']],
    ['what warms', beside, away, ['envoy.impostor cluster/remit']],
    ['both, once if they are the same', away, away, ['envoy.impostor cluster/remit']],
    ['nothing if neither is wrong', beside, beside, []],
  ])('finds of two clusters with one name %s', async (_name, active, warming, found) => {
    const clusters = { dynamic_active_clusters: [active], dynamic_warming_clusters: [warming] };
    expect(await foundOf({ active_state: asking }, clusters)).toEqual(found);
  });

  it.each<[string, object, readonly string[]]>([
    ['is in force', { active_state: silent, warming_state: asking }, ['envoy.never-asked listener/agents']],
    ['warms', { active_state: asking, warming_state: silent }, ['envoy.never-asked listener/agents']],
    ['warms for the first time', { warming_state: silent }, ['envoy.never-asked listener/agents']],
  ])('finds a listener without a check that %s', async (_name, states, found) => {
    expect(await foundOf(states, { dynamic_active_clusters: [beside] })).toEqual(found);
  });

  it('writes a bundle without a secret of the configuration, private, and over no other file', async () => {
    const { folder, remove } = scratch();
    try {
      const secret = 'hunter2-hunter2';
      const header = { header: { key: 'x-api-key', value: secret } };
      const manager = {
        '@type': 'x.HttpConnectionManager',
        request_headers_to_add: [header],
        route_config: { virtual_hosts: [{ name: 'h', metadata: { filter_metadata: { [`k`]: { token: secret } } } }] },
      };
      const tls = { private_key: { inline_string: secret }, password: { inline_bytes: secret } };
      const listener = { name: 'agents', filter_chains: [{ tls, filters: [{ typed_config: manager }] }] };
      const dump = JSON.stringify({
        configs: [{ '@type': 'x.ListenersConfigDump', static_listeners: [{ listener }] }],
      });
      const file = join(folder(), 'b.tar.gz');
      const args = ['--only', 'envoy', '--envoy', await envoy({ '/config_dump': dump }), '--json', '--bundle', file];
      await diagnosed(args);
      const unpacked = gunzipSync(readFileSync(file)).toString('latin1');
      expect(unpacked).toContain('"name":"agents"');
      expect(unpacked).toContain('envoy-config-dump.json');
      expect(unpacked).not.toContain(secret);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const again = await diagnosed(args);
      expect([again.exit, again.err]).toEqual([3, expect.stringContaining('could not be written: EEXIST')]);
    } finally {
      remove();
    }
  });

  it.each([
    ['a table that has not arrived', { rds: { route_config_name: 'late' } }],
    ['scoped tables', { scoped_routes: { scoped_rds: {} } }],
    [
      'a scoped table that has not arrived',
      {
        scoped_routes: {
          scoped_route_configurations_list: { scoped_route_configurations: [{ route_configuration_name: 'late' }] },
        },
      },
    ],
  ])('takes %s for routes that forward', async (_name, routes) => {
    const manager = { '@type': 'x.HttpConnectionManager', http_filters: [], ...routes };
    const listener = { name: 'x', filter_chains: [{ filters: [{ typed_config: manager }] }] };
    const dump = { configs: [{ '@type': 'x.ListenersConfigDump', static_listeners: [{ listener }] }] };
    const address = await envoy({ '/config_dump': JSON.stringify(dump) });
    const { findings } = await diagnosed(['--only', 'envoy', '--envoy', address, '--json']);
    expect(findings).toEqual([expect.objectContaining({ code: 'envoy.never-asked', level: 'error' })]);
  });

  it('waits with --wait until nothing fails', async () => {
    let asked = 0;
    const address = await serving((request, response) => {
      if (request.url === '/server_info') asked += 1;
      response.statusCode = asked < 2 ? 503 : 200;
      const listener = {
        name: 'x',
        filter_chains: [
          {
            filters: [
              {
                typed_config: {
                  '@type': 'x.HttpConnectionManager',
                  http_filters: [],
                  route_config: { virtual_hosts: [{ name: 'h', routes: [{ route: { cluster: 'c' } }] }] },
                },
              },
            ],
          },
        ],
      };
      const dump = { configs: [{ '@type': 'x.ListenersConfigDump', static_listeners: [{ listener }] }] };
      response.end(
        request.url === '/server_info' ? INFO : request.url?.startsWith('/config_dump') ? JSON.stringify(dump) : '{}',
      );
    });
    const args = [
      '--only',
      'envoy',
      '--envoy',
      address,
      '--json',
      '--wait',
      '60s',
      '--suppress',
      'envoy.never-asked=*',
    ];
    const { exit, report } = await diagnosed(args);
    expect([exit, asked, report.not_examined]).toEqual([0, 2, []]);
  });

  it('takes values of wrong types for absent', async () => {
    const wrong = [null, 7, 'x', [], [[]], { filter_chains: 'x' }, { filter_chains: [7, { filters: { a: 1 } }] }];
    const dump = {
      configs: [
        {
          '@type': 'x.ListenersConfigDump',
          static_listeners: wrong,
          dynamic_listeners: wrong.map((listener) => ({ active_state: { listener } })),
        },
        { '@type': 'x.ClustersConfigDump', static_clusters: wrong.map((cluster) => ({ cluster })) },
        ...wrong,
      ],
    };
    const { exit, report } = await diagnosed([
      '--only',
      'envoy',
      '--envoy',
      await envoy({ '/config_dump': JSON.stringify(dump) }),
      '--json',
    ]);
    expect([exit, report.not_examined]).toEqual([0, []]);
  });
});
