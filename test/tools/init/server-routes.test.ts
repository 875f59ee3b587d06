import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { createAuthority, writeBundle, writeCredential } from '../../../src/dev/authority.ts';
import { envoyConfigProblem } from './envoy-config-problem.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../../../src/tools/init/envoy-config.ts';
import { STREAMED, withServers } from '../../../src/tools/init/server-routes.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { describeWith, envoyPart } from '../../parts.ts';

const shipped = await shippedEnvoyConfig();
const upstream = { host: '127.0.0.1', port: 1001 };
const servers = [
  { hosts: ['api.acme.test', 'api2.acme.test'], streams: ['/acme.A/Watch'], streamed: [], own: null },
  { hosts: ['api.acme.test'], streams: [], streamed: ['/crm/mcp'], own: null },
  { hosts: ['payments.acme.test'], streams: [], streamed: [], own: null },
];
const routed = withServers(shipped, servers, upstream);

interface VirtualHost {
  readonly domains: readonly string[];
  readonly routes: readonly {
    readonly match: unknown;
    readonly route?: unknown;
    readonly typed_per_filter_config?: unknown;
  }[];
}

const hostsIn = (text: string): readonly VirtualHost[] =>
  parse(text).static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts;

describe('withServers', () => {
  it('has each host once, replacing the shipped route', () => {
    expect(hostsIn(routed).map(({ domains }) => domains)).toEqual([
      ['api.acme.test'],
      ['api2.acme.test'],
      ['payments.acme.test'],
      ['files.acme.test'],
      ['*'],
    ]);
  });

  it('buffers no stream, and disables the check nowhere', () => {
    const [api] = hostsIn(routed);
    expect(api?.routes.map(({ match }) => match)).toEqual([
      { path: '/acme.A/Watch' },
      { path: '/crm/mcp' },
      { prefix: '/' },
    ]);
    expect(routed).toContain('disable_request_body_buffering: true');
    expect(routed).not.toContain('disabled: true');
  });

  it('sets no limit on the whole of an answer that can be a stream, as the shipped file does for MCP', () => {
    const streamed = { cluster: 'remit_dev_upstream', ...STREAMED };
    const [api] = hostsIn(routed);
    expect(api?.routes.map(({ route }) => route)).toEqual([
      streamed,
      streamed,
      { cluster: 'remit_dev_upstream', timeout: '15s' },
    ]);
    expect(api?.routes[1]?.typed_per_filter_config).toBeUndefined();
    const [, files] = hostsIn(shipped);
    expect(files?.routes[0]).toEqual({ match: { path: '/mcp' }, route: { cluster: 'files', ...STREAMED } });
  });

  it('routes the hosts of a server to an upstream of the user, over HTTP/1.1, or HTTP/2 for gRPC', () => {
    const own = [
      {
        hosts: ['payments.acme.test'],
        streams: [],
        streamed: ['/mcp'],
        own: { host: 'localhost', port: 8000, isHttp2: false },
      },
      { hosts: ['shop.acme.test'], streams: [], streamed: [], own: { host: '127.0.0.1', port: 8001, isHttp2: true } },
    ];
    const text = withServers(shipped, own, upstream);
    const [payments, shop] = hostsIn(text);
    expect(payments?.routes.map(({ route }) => route)).toEqual([
      { cluster: 'remit_dev_upstream_localhost_8000', ...STREAMED },
      { cluster: 'remit_dev_upstream_localhost_8000', timeout: '15s' },
    ]);
    expect(shop?.routes.map(({ route }) => route)).toEqual([
      { cluster: 'remit_dev_upstream_127.0.0.1_8001_h2', timeout: '15s' },
    ]);
    const clusters: readonly { readonly name: string; readonly type: string }[] = parse(text).static_resources.clusters;
    const added = clusters.filter(({ name }) => name.startsWith('remit_dev_upstream'));
    expect(added).toEqual([
      expect.objectContaining({ name: 'remit_dev_upstream_localhost_8000', type: 'STRICT_DNS' }),
      expect.objectContaining({ name: 'remit_dev_upstream_127.0.0.1_8001_h2', type: 'STATIC' }),
    ]);
    expect(added[0]).not.toHaveProperty('typed_extension_protocol_options');
  });

  it('changes nothing if there are no servers', () => {
    expect(withServers(shipped, [], upstream)).toBe(shipped);
  });
});

describeWith(envoyPart(), 'withServers and a real Envoy', (envoy) => {
  it('accepts the resulting configuration', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'remit-routes-'));
    try {
      const acme = await createAuthority('acme.test', systemPorts);
      const files = {
        ...(await writeCredential(folder, 'envoy', await acme.svid('/envoy'))),
        bundles: new Map([['acme.test', await writeBundle(folder, 'acme', acme)]]),
      };
      const addresses = {
        listener: { host: '127.0.0.1', port: 0 },
        adminSocket: '/tmp/t/admin.sock',
        remitSocket: '/tmp/t/check.sock',
        payments: upstream,
        files: upstream,
        collector: null,
      };
      expect(await envoyConfigProblem(envoy, envoyConfigWithFiles(routed, addresses, files))).toBeNull();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
