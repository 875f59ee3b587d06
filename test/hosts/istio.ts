import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { DevProcess } from '../../src/dev/child.ts';
import { isBinaryProblem } from '../../src/dev/envoy-binary.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { freePorts } from '../free-port.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import type { ControlPlane, KubernetesBinaries } from '../parts.ts';
import { until } from '../until.ts';
import type { HostDomain } from './host-domain.ts';

const shipped = resolve(import.meta.dirname, '../../deploy/hosts/istio');

/** The programs of an Istio without containers. */
export interface IstioBinaries {
  readonly kube: KubernetesBinaries;
  readonly istio: ControlPlane;
  readonly envoy: string;
}

interface Parts extends Pick<Istio, 'port' | 'kube' | 'envoy'> {
  readonly istiod: DevProcess;
  readonly change: (text: string) => string;
  readonly folder: string;
}

/** A sidecar as istiod knows it. */
interface SidecarNode {
  readonly address: string;
  readonly isRedirected: boolean;
}

/** The files of `deploy/hosts/istio/` that are objects. */
export type IstioFile = 'remit' | 'policy' | 'envoyfilter' | 'limit';

/** Envoy is not Istio's: filters that only that has are left out. No certificates of istiod's own: they are SPIRE's. */
const environment = [
  'ENABLE_CA_SERVER=false',
  'PILOT_CERT_PROVIDER=none',
  'PILOT_ENABLE_METADATA_EXCHANGE=false',
  'PILOT_ENABLE_ALPN_FILTER=false',
  'VALIDATION_WEBHOOK_CONFIG_NAME=',
  'INJECTION_WEBHOOK_CONFIG_NAME=',
  'POD_NAMESPACE=istio-system',
];

/**
 * A real istiod on a real API server with Istio's own CRDs and the shipped objects, and a stock Envoy as the sidecar of the tools, whose SVID is
 * SPIRE's over SDS. Only ports are changed, and the deadline of checks, so that a loaded machine changes no answer. Lifecycle: `start`; it ends
 * with the domain.
 */
export class Istio {
  /** Port of the sidecar. */
  readonly port: number;
  readonly kube: Kube;
  readonly envoy: EnvoyProcess;
  readonly #istiod: DevProcess;
  readonly #change: (text: string) => string;
  readonly #folder: string;

  private constructor(parts: Parts) {
    this.port = parts.port;
    this.kube = parts.kube;
    this.envoy = parts.envoy;
    this.#istiod = parts.istiod;
    this.#change = parts.change;
    this.#folder = parts.folder;
  }

  /**
   * @param isRedirected whether the sidecar is configured as that of a pod whose connections are redirected to it: `virtualOutbound`,
   * `virtualInbound`, and listeners of services. Nothing is redirected.
   */
  static async start(domain: HostDomain, binaries: IstioBinaries, { isRedirected = false } = {}): Promise<Istio> {
    const kube = await startKube(binaries.kube);
    domain.onStop(() => kube.close());
    const change = (text: string): string => replaced(text, { checkPort: domain.checkPort, servicePort });
    const [port = 0, servicePort = 0, grpc = 0, http = 0, monitoring = 0, outbound = 0, inbound = 0] =
      await freePorts(7);
    await kube.kubectl(['apply', '--server-side', '-f', binaries.istio.crds]);
    await kube.kubectl(['wait', '--for=condition=established', '--timeout=60s', 'crd', '--all']);
    await kube.namespace('istio-system');
    await kube.namespace('demo');
    await kube.apply(...(isRedirected ? redirectedTools : toolsAt(port, domain.payments.address.port)));
    await applied(kube, change, 'remit');
    await applied(kube, change, 'policy');
    const mesh = { ...parse(change(await readFile(join(shipped, 'mesh.yaml'), 'utf8'))), trustDomain: 'acme.test' };
    const ports = { proxyListenPort: outbound, proxyInboundListenPort: inbound };
    await writeFile(join(domain.folder, 'mesh.yaml'), stringify({ ...mesh, ...ports, rootNamespace: 'istio-system' }));
    const istiod = new DevProcess('env', [
      ...environment,
      binaries.istio.binary,
      'discovery',
      `--kubeconfig=${kube.kubeconfig}`,
      `--meshConfig=${join(domain.folder, 'mesh.yaml')}`,
      `--grpcAddr=127.0.0.1:${grpc}`,
      `--httpAddr=127.0.0.1:${http}`,
      `--monitoringAddr=127.0.0.1:${monitoring}`,
      '--httpsAddr=',
      '--secureGRPCAddr=',
    ]);
    domain.onStop(() => istiod.end());
    await until(async () => {
      if (istiod.ended) throw new Error(`istiod ended: ${istiod.stderr.slice(-20).join('\n')}`);
      return fetch(`http://127.0.0.1:${http}/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    });
    const sidecar: SidecarNode = { address: isRedirected ? REDIRECTED : '127.0.0.1', isRedirected };
    const config = (adminSocket: string): string =>
      bootstrap({ adminSocket, grpc, sds: domain.spire.workloadSocket, sidecar });
    const envoy = await EnvoyProcess.start({ binary: binaries.envoy, config, readyWithinMs: 90_000 });
    if (isBinaryProblem(envoy)) throw new Error(`${envoy.problem}\n${istiod.stderr.slice(-20).join('\n')}`);
    domain.onStop(() => envoy.stop());
    return new Istio({ port: isRedirected ? inbound : port, kube, envoy, istiod, change, folder: domain.folder });
  }

  /** Applies a shipped file, or a change of it. Returns the path of what was applied. */
  async apply(file: IstioFile, change: (text: string) => string = (text) => text): Promise<string> {
    const text = this.#change(change(await readFile(join(shipped, `${file}.yaml`), 'utf8')));
    await this.kube.apply(...parseAllDocuments(text).map((document) => document.toJS()));
    const path = join(this.#folder, `${file}.yaml`);
    await writeFile(path, text);
    return path;
  }

  /** The files of the mesh configuration and of where Remit is, as shipped. */
  get meshFiles(): readonly string[] {
    return ['mesh.yaml', 'remit.yaml'].map((file) => join(shipped, file));
  }

  /** Deletes the objects of a file. */
  async remove(file: IstioFile): Promise<void> {
    await this.kube.kubectl(['delete', '-f', join(shipped, `${file}.yaml`)]);
  }

  /** The admin interface of the sidecar, as the doctor takes it. */
  get admin(): string {
    return `unix:${this.envoy.adminSocket}`;
  }

  /** The last lines of istiod. */
  log(): readonly string[] {
    return [...this.#istiod.stdout, ...this.#istiod.stderr];
  }
}

async function applied(kube: Kube, change: (text: string) => string, file: IstioFile): Promise<void> {
  const text = change(await readFile(join(shipped, `${file}.yaml`), 'utf8'));
  await kube.apply(...parseAllDocuments(text).map((document) => document.toJS()));
}

const replaced = (text: string, at: { readonly checkPort: number; readonly servicePort: number }): string =>
  text
    .replaceAll('19470', String(at.servicePort))
    .replaceAll('grpc: 9470', `grpc: ${at.checkPort}`)
    .replaceAll('timeout: 0.5s', 'timeout: 10s');

/** The tools as a workload without a Pod: its Envoy takes calls at `port` and gives them to the tool server. Nothing is redirected to it. */
const toolsAt = (port: number, server: number): readonly object[] => [
  {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'tools', namespace: 'demo' },
    spec: {
      hosts: ['payments.acme.test'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: port, name: 'http', protocol: 'HTTP' }],
      workloadSelector: { labels: { app: 'tools' } },
    },
  },
  {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name: 'tools', namespace: 'demo' },
    spec: { address: '127.0.0.1', labels: { app: 'tools' }, serviceAccount: 'tools' },
  },
  {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: { name: 'tools', namespace: 'demo' },
    spec: {
      workloadSelector: { labels: { app: 'tools' } },
      ingress: [
        {
          port: { number: port, protocol: 'HTTP', name: 'http' },
          bind: '127.0.0.1',
          captureMode: 'NONE',
          defaultEndpoint: `127.0.0.1:${server}`,
        },
      ],
      egress: [{ captureMode: 'NONE', hosts: ['istio-system/*'] }],
    },
  },
];

/** The address of the tools whose connections are redirected. */
const REDIRECTED = '127.0.0.2';

const serviceEntry = (name: string, spec: object): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name, namespace: 'demo' },
  spec: { location: 'MESH_INTERNAL', resolution: 'STATIC', ...spec },
});

/** The tools with a port for HTTP and one that the mesh reads nothing of, and a service that they call. */
const redirectedTools: readonly object[] = [
  {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name: 'tools', namespace: 'demo' },
    spec: { address: REDIRECTED, labels: { app: 'tools' }, serviceAccount: 'tools' },
  },
  serviceEntry('tools', {
    hosts: ['payments.acme.test'],
    addresses: ['240.0.0.1'],
    ports: [
      { number: 8080, name: 'http', protocol: 'HTTP' },
      { number: 5432, name: 'tcp', protocol: 'TCP' },
    ],
    workloadSelector: { labels: { app: 'tools' } },
  }),
  serviceEntry('ledger', {
    hosts: ['ledger.acme.test'],
    addresses: ['240.0.0.2'],
    ports: [
      { number: 8080, name: 'http', protocol: 'HTTP' },
      { number: 6379, name: 'tcp', protocol: 'TCP' },
    ],
    endpoints: [{ address: '127.0.0.3' }],
  }),
  // These tools by another name: what they call themselves is what others call by way of a check.
  serviceEntry('own', {
    hosts: ['own.acme.test'],
    addresses: ['240.0.0.3'],
    ports: [
      { number: 8080, name: 'http', protocol: 'HTTP' },
      { number: 6380, name: 'tcp', protocol: 'TCP', targetPort: 8090 },
    ],
    endpoints: [{ address: '127.0.0.1', ports: { http: 8090 } }],
  }),
  {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: { name: 'tools', namespace: 'demo' },
    spec: {
      workloadSelector: { labels: { app: 'tools' } },
      ingress: [
        { port: { number: 8080, protocol: 'HTTP', name: 'http' }, defaultEndpoint: '127.0.0.1:8090' },
        { port: { number: 5432, protocol: 'TCP', name: 'tcp' }, defaultEndpoint: '127.0.0.1:8091' },
      ],
      egress: [{ hosts: ['*/*'] }],
    },
  },
];

const cluster = (name: string, address: object) => ({
  name,
  type: 'STATIC',
  connect_timeout: '1s',
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
});

/** What istio-agent writes for its Envoy, as little as works. istiod asks for its secrets at `sds-grpc`, which is SPIRE here. */
const bootstrap = (at: {
  readonly adminSocket: string;
  readonly grpc: number;
  readonly sds: string;
  readonly sidecar: SidecarNode;
}): string => {
  const ads = { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' };
  return stringify({
    node: {
      id: `sidecar~${at.sidecar.address}~tools.demo~demo.svc.cluster.local`,
      cluster: 'tools.demo',
      metadata: {
        NAMESPACE: 'demo',
        WORKLOAD_NAME: 'tools',
        SERVICE_ACCOUNT: 'tools',
        LABELS: { app: 'tools' },
        INTERCEPTION_MODE: at.sidecar.isRedirected ? 'REDIRECT' : 'NONE',
        CLUSTER_ID: 'Kubernetes',
        ISTIO_VERSION: '1.30.0',
        INSTANCE_IPS: at.sidecar.address,
      },
    },
    admin: { address: { pipe: { path: at.adminSocket } } },
    dynamic_resources: {
      lds_config: ads,
      cds_config: ads,
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }],
      },
    },
    static_resources: {
      clusters: [
        cluster('xds-grpc', { socket_address: { address: '127.0.0.1', port_value: at.grpc } }),
        cluster('sds-grpc', { pipe: { path: at.sds } }),
      ],
    },
  });
};
