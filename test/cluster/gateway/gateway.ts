import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { IMAGES } from '../../parts/cluster.ts';
import type { GatewayClusterParts } from '../../parts/gateway-cluster.ts';
import { pageCommands } from '../../pages/page-commands.ts';
import { until } from '../../until.ts';
import type { Cluster } from '../cluster.ts';
import { preparePage, runAsReader } from '../istio/page.ts';
import { IMAGE } from '../release.ts';
import { RESTRICTED, textOf } from '../tool-pods.ts';

/** The namespace of Envoy Gateway and of its proxies, and the SPIFFE ID that these have from `remit init`. */
export const GATEWAY = { namespace: 'gateway', name: 'agents', id: 'spiffe://acme.test/ns/gateway/sa/envoy' };

const PAGE = 'deploy/guide/install/hosts/envoy-gateway.md';
const PORT = 8080;

/** Installs Envoy Gateway by its own chart. Its proxies are the Envoy of the tests. */
export async function installGateway(cluster: Cluster, { chart, crds, images }: GatewayClusterParts): Promise<void> {
  await Promise.all([
    cluster.load(images),
    cluster.run(['kubectl', 'apply', '--server-side', '-f', resolve(crds)], { timeoutMs: 600_000 }),
  ]);
  const values = {
    crds: { enabled: false },
    topologyInjector: { enabled: false },
    config: {
      envoyGateway: { extensionApis: parse(textOf('deploy/hosts/envoy-gateway/standalone.yaml')).extensionApis },
    },
  };
  const words = [
    'helm',
    'install',
    'eg',
    chart,
    '-n',
    GATEWAY.namespace,
    '--create-namespace',
    '--wait',
    '--values',
    '-',
  ];
  await cluster.run(words, { input: JSON.stringify(values) });
}

/**
 * Installs Remit as the page says, and tool servers behind a Gateway, and waits until its proxy is ready with Remit beside it.
 *
 * @param options further options of `remit init`. Default none
 */
export async function installByGatewayPage(cluster: Cluster, folder: string, options = ''): Promise<void> {
  await preparePage(cluster, folder);
  const init = 'remit init mesh --host envoy-gateway --trust-domain acme.test --tools tools.acme.test --yes';
  await runAsReader(cluster, folder, `${init} ${options}`);
  await runAsReader(cluster, folder, 'sh mesh/register.sh');
  const [, install = ''] = /^```\n(helm install [^]*?)```/m.exec(textOf(PAGE)) ?? [];
  await runAsReader(cluster, folder, install);
  await cluster.apply(...toolServers, ...gatewayObjects(join(folder, 'mesh/envoy-gateway')));
  const proxies = `-n ${GATEWAY.namespace} get deployment -l ${PROXIES} -o name`;
  await until(async () => (await cluster.kubectl(proxies)) !== '', { what: 'a deployment of proxies' });
  await proxiesReady(cluster);
}

/** The label of the proxies of the Gateway. */
export const PROXIES = `gateway.envoyproxy.io/owning-gateway-name=${GATEWAY.name}`;

/** Waits until all proxies run as they should. */
export const proxiesReady = (cluster: Cluster): Promise<string> =>
  cluster.kubectl(`-n ${GATEWAY.namespace} rollout status deployment -l ${PROXIES}`);

/** Ends observing as the page says. */
export async function enforceByGatewayPage(cluster: Cluster, folder: string): Promise<void> {
  for (const command of pageCommands(PAGE, 'Observe first').slice(1))
    if (!command.startsWith('kubectl apply')) await runAsReader(cluster, folder, command);
  await cluster.apply(
    ...gatewayObjects(join(folder, 'mesh/envoy-gateway'), join(folder, 'mesh/enforcing/envoy-gateway')),
  );
}

/** The files that `remit init` wrote, those in `first` before those in `folder`, with the EnvoyProxy of the page, and the Service of the tool servers. */
function gatewayObjects(folder: string, first = folder): readonly object[] {
  const [, provider = ''] = /^```yaml\n(provider:[^]*?)^```/m.exec(textOf(PAGE)) ?? [];
  const files = ['proxy', 'gateway', 'security', 'remit'].map((name) =>
    readFileSync(join(existsSync(join(first, `${name}.yaml`)) ? first : folder, `${name}.yaml`), 'utf8'),
  );
  const objects = files.flatMap((text) => parseAllDocuments(patient(text)).map((document) => document.toJS()));
  return objects.flatMap((object) => {
    if (object.kind === 'EnvoyProxy')
      return [{ ...object, spec: { ...object.spec, ...withOwnEnvoy(parse(provider)) } }];
    if (object.kind === 'Backend' && object.metadata.name === 'payments') return [];
    if (object.kind !== 'HTTPRoute') return [object];
    const rules = object.spec.rules.map((rule: object) => ({ ...rule, backendRefs: [{ name: 'tools', port: 80 }] }));
    return [{ ...object, spec: { ...object.spec, rules } }];
  });
}

/** A machine without processor time changes no answer. */
const patient = (text: string): string => text.replace('timeout: 500ms', 'timeout: 10s');

/** The EnvoyProxy of the page with the Envoy of the tests, whose image has the program elsewhere than that of its release. */
function withOwnEnvoy(page: {
  readonly provider: { readonly kubernetes: { readonly envoyDeployment: { readonly container: object } } };
}): object {
  const { kubernetes } = page.provider;
  const containers = [{ name: 'envoy', command: ['/envoy'] }];
  const envoyDeployment = {
    ...kubernetes.envoyDeployment,
    container: { ...kubernetes.envoyDeployment.container, image: IMAGES.envoy },
    patch: { value: { spec: { template: { spec: { containers } } } } },
  };
  return { provider: { ...page.provider, kubernetes: { ...kubernetes, envoyDeployment } } };
}

const labels = { app: 'tools' };

const toolServers: readonly object[] = [
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'tools', namespace: 'default' },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [
            {
              name: 'tools',
              image: IMAGE,
              command: ['/usr/bin/node', '-e', `require('http').createServer((q, s) => s.end('done')).listen(${PORT})`],
              readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 1, timeoutSeconds: 5 },
              securityContext: RESTRICTED,
            },
          ],
        },
      },
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'tools', namespace: 'default' },
    spec: { selector: labels, ports: [{ port: 80, targetPort: PORT }] },
  },
];
