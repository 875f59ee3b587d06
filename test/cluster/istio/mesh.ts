import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ISTIO_IMAGES } from '../../parts/istio-cluster.ts';
import type { IstioClusterParts } from '../../parts/istio-cluster.ts';
import { until } from '../../until.ts';
import { TRUST_DOMAIN } from '../addons/spire.ts';
import type { Cluster } from '../cluster.ts';

const INSTALL_MS = 170_000;
/** The namespace of Istio. */
export const ISTIO_NAMESPACE = 'istio-system';

/** Who signs the certificates of Envoys: SPIRE, by the template `spire`, or Istio itself. */
export type Authority = 'spire' | 'istio';

/** How a mesh is installed. */
export interface MeshOptions {
  /** Whether the plug-in istio-cni redirects calls, and no init container. Default no. */
  readonly hasCni?: boolean | undefined;
  /** Whether the sidecar is a native one. Default yes. */
  readonly isNative?: boolean | undefined;
}

/** What only Istio's own Envoy has is off: the Envoy here is a stock one. */
const STOCK_ENVOY = {
  telemetry: { enabled: false },
  env: { PILOT_ENABLE_METADATA_EXCHANGE: 'false', PILOT_ENABLE_ALPN_FILTER: 'false' },
};

/** As samples/security/spire of Istio has it: Envoy takes its certificates from the Workload API that SPIRE's CSI driver mounts. */
const SPIRE_TEMPLATE = `spec:
  initContainers:
  - name: istio-proxy
    volumeMounts:
    - name: workload-socket
      mountPath: /run/secrets/workload-spiffe-uds
      readOnly: true
    env:
    - name: WORKLOAD_IDENTITY_SOCKET_FILE
      value: spire-agent.sock
  volumes:
  - name: workload-socket
    emptyDir: null
    csi:
      driver: csi.spiffe.io
      readOnly: true
`;

const global = {
  ...ISTIO_IMAGES,
  imagePullPolicy: 'IfNotPresent',
  proxy: { resources: { requests: { cpu: '20m', memory: '64Mi' } } },
};

const istiodValues = ({ hasCni = false, isNative = true }: MeshOptions) => ({
  global,
  autoscaleEnabled: false,
  resources: { requests: { cpu: '50m', memory: '128Mi' } },
  telemetry: STOCK_ENVOY.telemetry,
  env: { ...STOCK_ENVOY.env, ENABLE_NATIVE_SIDECARS: String(isNative) },
  cni: { enabled: hasCni },
  pilot: { cni: { enabled: hasCni } },
  meshConfig: { trustDomain: TRUST_DOMAIN, accessLogFile: '/dev/stdout', defaultProviders: { metrics: [] } },
  sidecarInjectorWebhook: { templates: { spire: SPIRE_TEMPLATE } },
});

const cniValues = ({ layout }: Cluster) => ({
  global,
  cniBinDir: layout.networkPrograms,
  cniConfDir: layout.networks,
  excludeNamespaces: [ISTIO_NAMESPACE, 'kube-system', 'spire', 'remit'],
  resources: { requests: { cpu: '10m', memory: '50Mi' } },
});

/**
 * Installs Istio by its own charts in a cluster that has its images, and waits until istiod is ready. The charts are in `folder` under the names of Istio's chart repository, `istio/base`,
 * `istio/istiod` and `istio/cni`, so that commands of its users work there word for word.
 */
export async function installIstio(
  cluster: Cluster,
  { charts }: Pick<IstioClusterParts, 'charts'>,
  folder: string,
  options: MeshOptions = {},
): Promise<void> {
  linkCharts(charts, folder);
  await configureIstio(cluster, folder, options);
}

/** Installs the charts that {@link installIstio} has put into `folder`, or upgrades them: other values stay as they are. */
export async function configureIstio(cluster: Cluster, folder: string, options: MeshOptions = {}): Promise<void> {
  const install = async (name: string, chart: string, values: object): Promise<void> => {
    const file = join(folder, `${name}.yaml`);
    writeFileSync(file, stringify(values));
    const words = `helm upgrade --install ${name} istio/${chart} -n ${ISTIO_NAMESPACE} --create-namespace --reuse-values -f ${file}`;
    // An API server that is slow with a hundred definitions at once is asked again.
    await until(async () => (await cluster.tried(words.split(' '), { cwd: folder })).status === 0, {
      what: `the chart ${chart} of Istio`,
      withinMs: INSTALL_MS,
    });
  };
  await install('istio-base', 'base', { defaultRevision: 'default' });
  if (options.hasCni === true) {
    await install('istio-cni', 'cni', cniValues(cluster));
    await cluster.kubectl(`-n ${ISTIO_NAMESPACE} rollout status daemonset/istio-cni-node`);
  }
  await install('istiod', 'istiod', istiodValues(options));
  // The image of a release names its user; this one, which is a program and a C library, does not.
  const patch = { spec: { template: { spec: { securityContext: { runAsUser: 1337, runAsGroup: 1337 } } } } };
  await cluster.run(['kubectl', '-n', ISTIO_NAMESPACE, 'patch', 'deployment', 'istiod', '-p', JSON.stringify(patch)]);
  await istiodReady(cluster);
}

/** Waits until istiod serves. */
export const istiodReady = (cluster: Cluster): Promise<string> =>
  cluster.kubectl(`-n ${ISTIO_NAMESPACE} rollout status deployment/istiod`);

/** Links the charts by the names that they have in Istio's repository. */
function linkCharts(charts: string, folder: string): void {
  const repository = join(folder, 'istio');
  mkdirSync(repository, { recursive: true });
  for (const [name, chart] of Object.entries({ base: 'base', cni: 'istio-cni', istiod: 'istio-discovery' })) {
    rmSync(join(repository, name), { force: true });
    symlinkSync(join(charts, chart), join(repository, name));
  }
}
