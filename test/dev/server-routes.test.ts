import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import { envoyConfigProblem } from '../../src/dev/envoy.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../../src/dev/envoy-config.ts';
import { STREAMED, withServers } from '../../src/dev/server-routes.ts';
import { systemPorts } from '../../src/runtime/ports.ts';
import { describeWith, envoyPart } from '../parts.ts';

const shipped = await shippedEnvoyConfig();
const upstream = { host: '127.0.0.1', port: 1001 };
const servers = [
  { hosts: ['api.acme.test', 'api2.acme.test'], streams: ['/acme.A/Watch'], streamed: [] },
  { hosts: ['api.acme.test'], streams: [], streamed: ['/crm/mcp'] },
  { hosts: ['payments.acme.test'], streams: [], streamed: [] },
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

  it('changes nothing where there are no servers', () => {
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
