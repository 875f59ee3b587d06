import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { createAuthority, writeBundle, writeCredential } from '../../../src/dev/authority.ts';
import { envoyConfigProblem } from './envoy-config-problem.ts';
import {
  envoyConfigWithFiles,
  envoyConfigWithSpire,
  shippedEnvoyConfig,
  shippedSpireConfig,
  type EnvoyAddresses,
  type EnvoyFiles,
} from '../../../src/tools/init/envoy-config.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { describeWith, envoyPart } from '../../parts.ts';
import { envoyVersions } from '../../parts/cache.ts';

const withFiles = await shippedEnvoyConfig();
const withSpire = await shippedSpireConfig();
const ofProcesses = await readFile(resolve(import.meta.dirname, '../../../deploy/envoy/envoy-processes.yaml'), 'utf8');
const overNetwork = await readFile(resolve(import.meta.dirname, '../../../deploy/envoy/envoy-network.yaml'), 'utf8');
const addresses: EnvoyAddresses = {
  listener: { host: '127.0.0.1', port: 0 },
  adminSocket: '/tmp/t/admin.sock',
  remitSocket: '/tmp/t/check.sock',
  payments: { host: '127.0.0.1', port: 1001 },
  files: { host: '127.0.0.1', port: 1002 },
  collector: { host: '127.0.0.1', port: 1003 },
};
const spire = { socket: '/tmp/t/agent.sock', id: 'spiffe://other.test/envoy', trustDomain: 'other.test' };

let folder: string;
let files: EnvoyFiles;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-config-'));
  const acme = await createAuthority('acme.test', systemPorts);
  const partner = await createAuthority('partner.test', systemPorts);
  files = {
    ...(await writeCredential(folder, 'envoy', await acme.svid('/envoy'))),
    bundles: new Map([
      ['acme.test', await writeBundle(folder, 'acme', acme)],
      ['partner.test', await writeBundle(folder, 'partner', partner)],
    ]),
  };
});
afterAll(() => rm(folder, { recursive: true }));

/** Every leaf of a document, by its path. */
function leaves(value: unknown, path = '', found = new Map<string, unknown>()): Map<string, unknown> {
  if (typeof value !== 'object' || value === null) return found.set(path, value);
  for (const [key, inner] of Object.entries(value)) leaves(inner, `${path}/${key}`, found);
  return found;
}

/** The leaves of `changed` that `shipped` lacks or has with another value. */
const differences = (shipped: string, changed: string): Record<string, unknown> => {
  const before = leaves(parse(shipped));
  return Object.fromEntries([...leaves(parse(changed))].filter(([path, value]) => before.get(path) !== value));
};

const clusters = '/static_resources/clusters';
const endpoint = (index: number): string =>
  `${clusters}/${index}/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address`;
const tls = '/static_resources/listeners/0/filter_chains/0/transport_socket/typed_config/common_tls_context';
const common = {
  '/admin/address/pipe/path': '/tmp/t/admin.sock',
  '/static_resources/listeners/0/address/socket_address/address': '127.0.0.1',
  '/static_resources/listeners/0/address/socket_address/port_value': 0,
  [`${endpoint(0)}/pipe/path`]: '/tmp/t/check.sock',
  [`${endpoint(1)}/socket_address/port_value`]: 1001,
  [`${endpoint(2)}/socket_address/port_value`]: 1002,
  [`${endpoint(3)}/socket_address/port_value`]: 1003,
};
const trustDomains = `${tls}/validation_context/custom_validator_config/typed_config/trust_domains`;

describe('envoyConfigWithFiles', () => {
  it('changes only addresses and files of the shipped configuration', () => {
    const changed = envoyConfigWithFiles(withFiles, addresses, files);
    expect(differences(withFiles, changed)).toEqual({
      ...common,
      [`${tls}/tls_certificates/0/certificate_chain/filename`]: files.certificate,
      [`${tls}/tls_certificates/0/private_key/filename`]: files.key,
      [`${trustDomains}/0/trust_bundle/filename`]: files.bundles.get('acme.test'),
      [`${trustDomains}/1/name`]: 'partner.test',
      [`${trustDomains}/1/trust_bundle/filename`]: files.bundles.get('partner.test'),
    });
    expect(Object.keys(differences(changed, withFiles))).toHaveLength(Object.keys(common).length + 3);
  });

  it('keeps the shipped collector if none is given', () => {
    const changed = envoyConfigWithFiles(withFiles, { ...addresses, collector: null }, files);
    expect(Object.keys(differences(withFiles, changed))).not.toContain(`${endpoint(3)}/socket_address/port_value`);
  });

  it('throws if a path does not exist in the configuration', () => {
    expect(() => envoyConfigWithFiles(withSpire, addresses, files)).toThrow(
      'the envoy configuration has no `static_resources.listeners.name=agents.filter_chains.0.transport_socket.typed_config.common_tls_context.tls_certificates.0.certificate_chain.filename`',
    );
  });
});

describe('envoyConfigWithSpire', () => {
  it('changes only addresses and SPIFFE IDs of the shipped configuration', () => {
    expect(differences(withSpire, envoyConfigWithSpire(withSpire, addresses, spire))).toEqual({
      ...common,
      [`${tls}/tls_certificate_sds_secret_configs/0/name`]: 'spiffe://other.test/envoy',
      [`${tls}/validation_context_sds_secret_config/name`]: 'spiffe://other.test',
      [`${endpoint(4)}/pipe/path`]: '/tmp/t/agent.sock',
    });
  });
});

describe('the two shipped configurations', () => {
  it('differ only in the certificates and the SPIRE agent', () => {
    const places = [`${tls}/tls_certificate`, `${tls}/validation_context`, `${clusters}/4/`];
    const beside = [
      ...Object.keys(differences(withFiles, withSpire)),
      ...Object.keys(differences(withSpire, withFiles)),
    ];
    expect(beside.filter((path) => !places.some((place) => path.startsWith(place)))).toEqual([]);
  });
});

/** Whether a cluster or an access log exists for Remit. */
const isOfRemit = ({ name }: { readonly name: string }): boolean =>
  /^(?:remit|envoy\.access_loggers\.http_grpc$)/.test(name);

/** A configuration without the parts for Remit, which are listed by name. */
function apart(text: string) {
  const config = parse(text);
  const manager = config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  const check = manager.http_filters[2].typed_config.grpc_service;
  const retryPolicy = check.retry_policy;
  delete check.retry_policy;
  const logs = manager.access_log.filter(isOfRemit);
  const clusters = config.static_resources.clusters.filter(isOfRemit);
  manager.access_log = manager.access_log.filter((log: { readonly name: string }) => !isOfRemit(log));
  config.static_resources.clusters = config.static_resources.clusters.filter(
    (cluster: { readonly name: string }) => !isOfRemit(cluster),
  );
  return { rest: config, retryPolicy, logs, clusters };
}

const socketsOf = (cluster: object): readonly string[] =>
  [...leaves(cluster)].flatMap(([path, value]) => (path.endsWith('/pipe/path') ? [String(value)] : []));

describe('the shipped configuration for several processes', () => {
  const [one, many] = [apart(withFiles), apart(ofProcesses)];

  it('differs from that for a single process only in clusters and access logs for Remit', () => {
    expect(many.rest).toEqual(one.rest);
  });

  it('asks both processes, never a dead process, and retries only if a check reached no process', () => {
    expect(socketsOf(many.clusters[0])).toEqual(['/run/remit/check-1.sock', '/run/remit/check-2.sock']);
    expect(many.clusters[0].common_lb_config.healthy_panic_threshold).toEqual({ value: 0 });
    expect([one.retryPolicy.retry_on, many.retryPolicy.retry_on]).toEqual([
      'connect-failure,refused-stream',
      'connect-failure,refused-stream',
    ]);
  });

  it('sends each process the outcomes of its decisions, and the first process those without a decision', () => {
    const described = many.logs.map((log: { filter: { metadata_filter: object }; typed_config: object }) => {
      const at = [...leaves(log)];
      const of = (end: string): unknown => at.find(([path]) => path.endsWith(end))?.[1];
      return [of('/string_match/exact'), of('/cluster_name'), of('/match_if_key_not_found')];
    });
    expect(described).toEqual([
      ['remit-1', 'remit-1', true],
      ['remit-2', 'remit-2', false],
    ]);
    expect(many.clusters.slice(1).map(socketsOf)).toEqual([
      ['/run/remit/check-1.sock', '/run/remit/check-2.sock'],
      ['/run/remit/check-2.sock', '/run/remit/check-1.sock'],
    ]);
  });
});

describe.each([
  ['envoy.yaml', withFiles],
  ['envoy-spire.yaml', withSpire],
])('the shipped %s', (_name, text) => {
  const all = leaves(parse(text));
  const under = (pattern: RegExp) => [...all].filter(([path]) => pattern.test(path));
  const manager = '/static_resources/listeners/0/filter_chains/0/filters/0/typed_config';
  const filter = `${manager}/http_filters/2/typed_config`;
  const downstream = '/static_resources/listeners/0/filter_chains/0/transport_socket/typed_config';

  it.each([
    ['failure_mode_allow', filter, false],
    ['status_on_error/code', filter, 'ServiceUnavailable'],
    ['include_peer_certificate', filter, true],
    ['encode_raw_headers', filter, true],
    ['validate_mutations', filter, true],
    ['decoder_header_mutation_rules/disallow_is_error', filter, true],
    ['with_request_body/allow_partial_message', filter, false],
    ['with_request_body/pack_as_bytes', filter, true],
    ['transport_api_version', filter, 'V3'],
    ['normalize_path', manager, true],
    ['merge_slashes', manager, true],
    ['path_with_escaped_slashes_action', manager, 'REJECT_REQUEST'],
    ['common_http_protocol_options/headers_with_underscores_action', manager, 'REJECT_REQUEST'],
    ['forward_client_cert_details', manager, 'SANITIZE'],
    ['use_remote_address', manager, true],
    ['static_layer/http.max_requests_per_io_cycle', '/layered_runtime/layers/1', 1],
    ['require_client_certificate', downstream, true],
    ['disable_stateless_session_resumption', downstream, true],
    ['common_tls_context/tls_params/tls_minimum_protocol_version', downstream, 'TLSv1_2'],
    ['tracing.opentelemetry.min_flush_spans', '/layered_runtime/layers/0/static_layer', 100],
  ])('has %s', (name, place, value) => {
    expect(all.get(`${place}/${name}`)).toBe(value);
  });

  it('asks Remit directly before the router', () => {
    const names = [...all].filter(([path]) => /\/http_filters\/\d+\/name$/.test(path));
    expect(names.map(([, name]) => name)).toEqual([
      'envoy.filters.http.local_ratelimit',
      'envoy.filters.http.header_mutation',
      'envoy.filters.http.ext_authz',
      'envoy.filters.http.router',
    ]);
  });

  it('has a route for everything, and none that disables Remit', () => {
    const hosts = under(/\/virtual_hosts\/\d+\/name$/);
    const matches = under(/\/virtual_hosts\/\d+\/routes\/\d+\/match\/prefix$/);
    expect(under(/\/virtual_hosts\/\d+\/domains\//).map(([, domain]) => domain)).toContain('*');
    expect(matches).toHaveLength(hosts.length);
    expect(matches.every(([, value]) => value === '/')).toBe(true);
    expect(under(/\/match\/path$/).map(([, path]) => path)).toEqual(['/mcp']);
    expect(text).not.toMatch(/typed_per_filter_config|ExtAuthzPerRoute|upgrade_configs:/);
    // Of the check alone, and only where it never reached Remit.
    expect(text.match(/retry_policy:|retry_on:.*/g)).toEqual([
      'retry_policy:',
      'retry_on: connect-failure,refused-stream',
    ]);
  });
});

describe('envoy-network.yaml', () => {
  it('is envoy-spire.yaml but for the cluster remit', () => {
    const [spireConfig, network] = [withSpire, overNetwork].map((text) => parse(text));
    const remits = [spireConfig, network].map(({ static_resources: { clusters } }) =>
      clusters.splice(
        clusters.findIndex(({ name }: { readonly name: string }) => name === 'remit'),
        1,
      ),
    );
    // The anchor of the cluster remit.
    for (const config of [spireConfig, network]) {
      for (const cluster of config.static_resources.clusters) delete cluster.typed_extension_protocol_options;
    }
    expect(network).toEqual(spireConfig);
    const [[before], [after]] = remits as [[object], [object]];
    expect(
      [...leaves(after).keys()].filter((path) => !leaves(before).has(path)).map((path) => path.split('/')[1]),
    ).toEqual(expect.arrayContaining(['transport_socket']));
    expect(after).toMatchObject({
      transport_socket: {
        typed_config: {
          common_tls_context: {
            combined_validation_context: {
              default_validation_context: {
                match_typed_subject_alt_names: [
                  { san_type: 'URI', matcher: { exact: 'spiffe://acme.test/ns/remit/sa/remit' } },
                ],
              },
            },
          },
        },
      },
    });
  });
});

for (const version of envoyVersions) {
  describeWith(envoyPart(version), `envoy --mode validate, Envoy ${version}`, (binary) => {
    it('accepts envoy.yaml without a warning', async () => {
      expect(await envoyConfigProblem(binary, envoyConfigWithFiles(withFiles, addresses, files))).toBeNull();
    });

    it('accepts envoy-processes.yaml without a warning', async () => {
      expect(await envoyConfigProblem(binary, envoyConfigWithFiles(ofProcesses, addresses, files))).toBeNull();
    });

    it('accepts envoy-network.yaml without a warning', async () => {
      expect(await envoyConfigProblem(binary, overNetwork)).toBeNull();
    });

    it('accepts envoy-spire.yaml without a warning', async () => {
      expect(await envoyConfigProblem(binary, envoyConfigWithSpire(withSpire, addresses, spire))).toBeNull();
    });
  });
}

describeWith(envoyPart(), 'envoyConfigProblem', (binary) => {
  it('reports an invalid configuration', async () => {
    expect(await envoyConfigProblem(binary, 'admin: { nonsense: 1 }')).toContain('nonsense');
  });
});
