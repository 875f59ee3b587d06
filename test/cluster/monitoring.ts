import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parse, stringify } from 'yaml';
import { prometheusOperatorFolder } from '../parts/cache.ts';
import { until } from '../until.ts';
import type { Cluster } from './cluster.ts';

const NAMESPACE = 'monitoring';
const NAME = 'all';
const GROUP = 'monitoring.coreos.com';
const ADDRESS = '127.0.0.1:9090';

/** A kind that the operator reads and the chart has no object of: any content is valid. */
const anyKind = (kind: string, plural: string): object => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.${GROUP}` },
  spec: {
    group: GROUP,
    names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
});

/** What the operator makes for a Prometheus. */
export interface GeneratedConfiguration {
  readonly prometheus: ScrapeConfiguration;
  /** Rule files, by name. */
  readonly rules: Readonly<Record<string, string>>;
}

interface ScrapeConfiguration {
  readonly scrape_configs: readonly {
    readonly job_name: string;
    readonly kubernetes_sd_configs: readonly { readonly role: string; readonly namespaces?: { names?: string[] } }[];
    readonly [key: string]: unknown;
  }[];
  readonly [key: string]: unknown;
}

/** Makes the kinds of the Prometheus operator. Before the chart is installed with `monitoring.enabled`. */
export async function installMonitoringKinds(cluster: Cluster): Promise<void> {
  for (const kind of ['podmonitors', 'servicemonitors', 'prometheusrules'])
    await cluster.kubectl(`create -f ${join(prometheusOperatorFolder, `${GROUP}_${kind}.yaml`)}`);
  await cluster.apply(anyKind('Prometheus', 'prometheuses'), anyKind('Probe', 'probes'));
  await cluster.kubectl('wait --for=condition=Established crd --all --timeout=600s');
}

/** Runs the operator, with a Prometheus that selects every PodMonitor and rule, until it has made its configuration. */
export async function generateConfiguration(cluster: Cluster, operator: string): Promise<GeneratedConfiguration> {
  await cluster.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    {
      apiVersion: `${GROUP}/v1`,
      kind: 'Prometheus',
      metadata: { name: NAME, namespace: NAMESPACE },
      spec: {
        replicas: 0,
        // Defaults of the kind itself, but for the last.
        portName: 'web',
        scrapeInterval: '30s',
        evaluationInterval: '1s',
        podMonitorSelector: {},
        podMonitorNamespaceSelector: {},
        ruleSelector: {},
        ruleNamespaceSelector: {},
      },
    },
  );
  const child = start(cluster, [operator, '--log-level=warn']);
  try {
    const read = (words: string) => cluster.tried(['kubectl', '-n', NAMESPACE, 'get', ...words.split(' ')]);
    const prometheus = await until(
      async () => {
        const secret = await read(`secret prometheus-${NAME} -o jsonpath={.data.prometheus\\.yaml\\.gz}`);
        const text = secret.status === 0 ? gunzipSync(Buffer.from(secret.stdout, 'base64')).toString() : '';
        // The first one is empty. Its reloader puts the names of the pod in.
        const own = text.replaceAll('$(SHARD)', '0').replaceAll('$(POD_NAME)', `prometheus-${NAME}-0`);
        return text.includes('podMonitor/') ? (parse(own) as ScrapeConfiguration) : undefined;
      },
      { what: 'a configuration that the operator made', withinMs: 120_000 },
    );
    const rules = JSON.parse(
      await cluster.kubectl(`-n ${NAMESPACE} get configmap prometheus-${NAME}-rulefiles-0 -o json`),
    );
    return { prometheus, rules: rules.data };
  } finally {
    child.kill();
  }
}

const start = (cluster: Cluster, command: readonly string[]) => {
  const [enter = '', ...words] = cluster.wordsFor(['setpriv', '--pdeathsig', 'KILL', ...command]);
  return spawn(enter, words, { stdio: 'ignore' });
};

/** A Prometheus that runs in the cluster with that configuration. */
export interface RunningPrometheus {
  /** Asks its API, as `query?query=up`, and returns `data`. */
  get(path: string): Promise<unknown>;
  end(): void;
}

/**
 * Starts a Prometheus with the configuration of the operator. Its discovery alone is replaced, since that of Kubernetes is not built into the
 * Prometheus of the tests: what it would find for the role `pod` is read once and handed over in a file, with the same labels.
 */
export async function startPrometheus(
  cluster: Cluster,
  {
    prometheus: binary,
    configuration,
  }: { readonly prometheus: string; readonly configuration: GeneratedConfiguration },
): Promise<RunningPrometheus> {
  const folder = join(cluster.layout.folder, 'prometheus');
  mkdirSync(folder);
  const targets = join(folder, 'pods.json');
  const pods: readonly Pod[] = JSON.parse(await cluster.kubectl('get pods -A -o json')).items;
  const jobs = configuration.prometheus.scrape_configs.map(({ kubernetes_sd_configs: discoveries, ...job }) => {
    const names = discoveries.flatMap(({ namespaces }) => namespaces?.names ?? []);
    const found = pods.filter(({ metadata }) => names.length === 0 || names.includes(metadata.namespace));
    writeFileSync(targets, JSON.stringify(found.flatMap(targetsOf)));
    return { ...job, scrape_interval: '1s', scrape_timeout: '1s', file_sd_configs: [{ files: [targets] }] };
  });
  const ruleFiles = Object.entries(configuration.rules).map(([name, text]) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  });
  const file = join(folder, 'prometheus.yaml');
  const { alerting: _without, ...rest } = configuration.prometheus;
  writeFileSync(file, stringify({ ...rest, rule_files: ruleFiles, scrape_configs: jobs }));
  const storage = `--storage.tsdb.path=${join(folder, 'data')}`;
  const child = start(cluster, [binary, `--config.file=${file}`, storage, `--web.listen-address=${ADDRESS}`]);
  const read = 'fetch(process.argv[1]).then((got) => got.text()).then((text) => process.stdout.write(text))';
  const get = async (path: string): Promise<unknown> =>
    JSON.parse(await cluster.run([process.execPath, '-e', read, `http://${ADDRESS}/api/v1/${path}`])).data;
  await until(async () => (await get('query?query=1').catch(() => undefined)) !== undefined, {
    what: 'a Prometheus that answers',
  });
  return { get, end: () => child.kill() };
}

interface Pod {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly labels?: Record<string, string> };
  readonly spec: { readonly containers: readonly Container[]; readonly initContainers?: readonly Container[] };
  readonly status: { readonly podIP?: string; readonly phase: string };
}

interface Container {
  readonly name: string;
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
}

/** The targets of a pod, one for each port of its containers. @see https://prometheus.io/docs/prometheus/latest/configuration/configuration/#pod */
function targetsOf({ metadata, spec, status }: Pod): readonly object[] {
  const containers = spec.containers.concat(spec.initContainers ?? []);
  const own = Object.entries(metadata.labels ?? {}).flatMap(([name, value]) => {
    const label = name.replaceAll(/[^\w]/g, '_');
    return [
      [`__meta_kubernetes_pod_label_${label}`, value],
      [`__meta_kubernetes_pod_labelpresent_${label}`, 'true'],
    ];
  });
  return containers.flatMap(({ name, ports = [] }) =>
    ports.map((port) => ({
      targets: [`${status.podIP}:${port.containerPort}`],
      labels: {
        ...Object.fromEntries(own),
        __meta_kubernetes_namespace: metadata.namespace,
        __meta_kubernetes_pod_name: metadata.name,
        __meta_kubernetes_pod_phase: status.phase,
        __meta_kubernetes_pod_container_name: name,
        __meta_kubernetes_pod_container_init: String(spec.initContainers?.some((one) => one.name === name) ?? false),
        __meta_kubernetes_pod_container_port_name: port.name ?? '',
        __meta_kubernetes_pod_container_port_number: String(port.containerPort),
      },
    })),
  );
}
