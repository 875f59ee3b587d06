import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { testFolders } from '../../builders/test-folders.ts';
import { diagnosed } from './diagnosed.ts';

const folder = testFolders();

const NETWORK = 'type.googleapis.com/envoy.extensions.filters.network';
const HTTP = 'type.googleapis.com/envoy.extensions.filters.http';
const ASKS = {
  name: 'envoy.filters.http.ext_authz',
  typed_config: {
    '@type': `${HTTP}.ext_authz.v3.ExtAuthz`,
    grpc_service: { envoy_grpc: { cluster_name: 'remit' } },
  },
};

/** A filter chain for a port of the pod, as istiod makes it for incoming connections; without a port that for all others. */
const chain = (port: number | null, filters: readonly object[] = []) => ({
  filter_chain_match: { transport_protocol: 'tls', ...(port === null ? {} : { destination_port: port }) },
  filters: [
    {
      name: 'envoy.filters.network.http_connection_manager',
      typed_config: {
        '@type': `${NETWORK}.http_connection_manager.v3.HttpConnectionManager`,
        stat_prefix: 'inbound',
        route_config: {
          virtual_hosts: [
            { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'pod' } }] },
          ],
        },
        http_filters: [
          ...filters,
          { name: 'envoy.filters.http.router', typed_config: { '@type': `${HTTP}.router.v3.Router` } },
        ],
      },
    },
  ],
});

const SIDECARS = { id: 'spiffe://acme.test/ns/tools/sa/tools', audiences: 'https://payments.acme.test' };
const AUTHORITY = { listen: '0.0.0.0:9474', sidecars: SIDECARS };
const ISSUER = { url: 'https://issuer.acme.test', listen: '0.0.0.0:9472' };

interface Setting {
  readonly authority?: object;
  readonly chains?: readonly object[];
  readonly direction?: string;
}

/** The levels of `envoy.never-asked`, by filter chain, in an Envoy beside a Remit. */
async function levelsOf({
  authority = { issuer: ISSUER, authority: AUTHORITY },
  chains = [chain(9474), chain(null)],
  direction = 'INBOUND',
}: Setting): Promise<readonly string[]> {
  const at = folder();
  const listener = {
    name: 'virtualInbound',
    traffic_direction: direction,
    address: { socket_address: { address: '0.0.0.0', port_value: 15006 } },
    filter_chains: chains,
  };
  const clusters = [{ name: 'pod', type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' }];
  const envoy = join(at, 'envoy.yaml');
  writeFileSync(envoy, stringify({ static_resources: { listeners: [listener], clusters } }));
  const config = join(at, 'remit.yaml');
  const svid = { workloadApi: 'unix:///run/spire.sock' };
  writeFileSync(
    config,
    stringify({ trustDomains: ['acme.test'], svid, policies: { folder: 'policies' }, ...authority }),
  );
  const { findings } = await diagnosed(['-f', envoy, '--config', config, '--json']);
  return findings.filter(({ code }) => code === 'envoy.never-asked').map(({ level }) => level);
}

// Issue 39, points 5 and 7: an authority that Istio injected had six errors, one for each filter chain, beside the cause.
describe('remit doctor, about an Envoy that asks nobody', () => {
  it.each<readonly [string, Setting, readonly string[]]>([
    ['before the port for sidecars of an authority', {}, ['info']],
    ['before its issuer', { chains: [chain(9472), chain(null)] }, ['info']],
    ['before all of its ports', { chains: [chain(9472), chain(9474), chain(9471), chain(null)] }, ['info']],
    [
      'before a tool in the pod of an authority',
      { chains: [chain(9474), chain(8080), chain(null)] },
      ['error', 'info'],
    ],
    ['before no port of the authority', { chains: [chain(8080), chain(null)] }, ['error', 'error']],
    [
      'with an authority behind a socket',
      {
        authority: {
          issuer: { ...ISSUER, listen: '0.0.0.0:9475' },
          authority: { ...AUTHORITY, listen: 'unix:/run/a.sock' },
        },
      },
      ['error', 'error'],
    ],
    ['before a Remit that serves no sidecars', { authority: { issuer: ISSUER }, chains: [chain(9472)] }, ['error']],
    ['in a listener that does not say that it is for incoming calls', { direction: 'UNSPECIFIED' }, ['error', 'error']],
    ['in one filter chain, and asks Remit in another', { chains: [chain(9474), chain(8080, [ASKS])] }, ['error']],
  ])('weighs its listeners: %s', async (_what, setting, levels) => {
    expect(await levelsOf(setting)).toEqual(levels);
  });
});
