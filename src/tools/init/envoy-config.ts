/** The shipped configurations of Envoy, with other addresses and certificates. */
import { readFile } from 'node:fs/promises';
import { productFile } from '../../core/runtime/system/product-file.ts';
import { parseDocument, type Document } from 'yaml';
import { indexOfStep } from './changed-yaml.ts';

/** A host and port; port 0 picks a free port when listening. */
export interface HostPort {
  /** An IP address, or the name of an upstream. */
  readonly host: string;
  readonly port: number;
}

/** Envoy's certificate, and the bundles to verify clients with, as files. */
export interface EnvoyFiles {
  /** The SVID, PEM. */
  readonly certificate: string;
  readonly key: string;
  /** The bundle file (PEM) of each accepted trust domain, by name; at least one. */
  readonly bundles: ReadonlyMap<string, string>;
}

/** Envoy's certificate, and the bundle to verify clients with, from the SPIRE agent. */
export interface EnvoySpire {
  /** The Workload API socket of the agent. */
  readonly socket: string;
  /** SPIFFE ID of Envoy's own SVID. */
  readonly id: string;
  /** The accepted trust domain. */
  readonly trustDomain: string;
}

/** The differences between the shipped configuration and that of a running Envoy. */
export interface EnvoyAddresses {
  readonly listener: HostPort;
  /** Path of the admin socket, at most 107 bytes. */
  readonly adminSocket: string;
  /** Path of the socket Remit answers checks on, at most 107 bytes. */
  readonly remitSocket: string;
  readonly payments: HostPort;
  readonly files: HostPort;
  /** Destination of spans (OTLP over gRPC), or null for the shipped address `127.0.0.1:4317`, at which nothing may listen. */
  readonly collector: HostPort | null;
}

type Path = readonly (string | number)[];

/** The shipped configuration with certificates from files. */
export const shippedEnvoyConfig = (): Promise<string> => shipped('envoy.yaml');

/** The shipped configuration with certificates from the SPIRE agent. */
export const shippedSpireConfig = (): Promise<string> => shipped('envoy-spire.yaml');

const shipped = (name: string): Promise<string> => readFile(productFile(`deploy/envoy/${name}`), 'utf8');

/**
 * The configuration `text` of {@link shippedEnvoyConfig} with other addresses and files. Throws if a
 * place to change does not exist, which means that the shipped file and this function differ.
 */
export function envoyConfigWithFiles(text: string, addresses: EnvoyAddresses, files: EnvoyFiles): string {
  const trustDomains = [...files.bundles].map(([name, filename]) => ({ name, trust_bundle: { filename } }));
  return rendered(text, [
    ...commonPlaces(addresses),
    [[...tls, 'tls_certificates', 0, 'certificate_chain', 'filename'], files.certificate],
    [[...tls, 'tls_certificates', 0, 'private_key', 'filename'], files.key],
    [[...tls, 'validation_context', 'custom_validator_config', 'typed_config', 'trust_domains'], trustDomains],
  ]);
}

/** The same for `text` of {@link shippedSpireConfig}. */
export function envoyConfigWithSpire(text: string, addresses: EnvoyAddresses, spire: EnvoySpire): string {
  return rendered(text, [
    ...commonPlaces(addresses),
    [[...tls, 'tls_certificate_sds_secret_configs', 0, 'name'], spire.id],
    [[...tls, 'validation_context_sds_secret_config', 'name'], `spiffe://${spire.trustDomain}`],
    [[...endpointOf('spire_agent'), 'pipe', 'path'], spire.socket],
  ]);
}

type ReplacedValue = readonly [path: Path, value: unknown];

/** A path step that selects a sequence element by its `name`. */
const named = (name: string): string => `name=${name}`;

const listener: Path = ['static_resources', 'listeners', named('agents')];
const tls: Path = [...listener, 'filter_chains', 0, 'transport_socket', 'typed_config', 'common_tls_context'];

const clusters: Path = ['static_resources', 'clusters'];
const onlyEndpoint: Path = ['load_assignment', 'endpoints', 0, 'lb_endpoints', 0, 'endpoint', 'address'];
const endpointOf = (cluster: string): Path => [...clusters, named(cluster), ...onlyEndpoint];

const commonPlaces = (addresses: EnvoyAddresses): readonly ReplacedValue[] => [
  [['admin', 'address', 'pipe', 'path'], addresses.adminSocket],
  ...socketPlaces([...listener, 'address'], addresses.listener),
  [[...endpointOf('remit'), 'pipe', 'path'], addresses.remitSocket],
  ...socketPlaces(endpointOf('payments'), addresses.payments),
  ...socketPlaces(endpointOf('files'), addresses.files),
  ...(addresses.collector === null ? [] : socketPlaces(endpointOf('otel_collector'), addresses.collector)),
];

const socketPlaces = (path: Path, { host, port }: HostPort): readonly ReplacedValue[] => [
  [[...path, 'socket_address', 'address'], host],
  [[...path, 'socket_address', 'port_value'], port],
];

function rendered(text: string, places: readonly ReplacedValue[]): string {
  const document = parseDocument(text);
  for (const [path, value] of places) document.setIn(existing(document, path), document.createNode(value));
  return document.toString({ lineWidth: 0 });
}

/** Replaces names in a path by indexes. Throws if a step does not exist, so that nothing is ever added. */
function existing(document: Document, path: Path): Path {
  const found: (string | number)[] = [];
  for (const step of path) {
    const at = indexOfStep(document.getIn(found), step);
    if (!document.hasIn([...found, at])) throw new Error(`the envoy configuration has no \`${path.join('.')}\``);
    found.push(at);
  }
  return found;
}
