import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { findIstioCluster } from '../../parts/istio-cluster.ts';
import { until } from '../../until.ts';
import { meterOf } from '../figures/usage.ts';
import { findClusterParts } from '../cluster-parts.ts';
import type { Cluster } from '../cluster.ts';
import { startMesh } from './installed-mesh.ts';
import type { Mesh } from './installed-mesh.ts';
import { meshLoadOf, meshTools, startMeshLoad } from './mesh-pods.ts';
import type { MeshLoad } from './mesh-pods.ts';
import { runAsReader } from './page.ts';

const HELP = `Measures what Remit costs in an Istio mesh: the same calls with Remit at a loopback address, at a Unix socket, and without its
AuthorizationPolicy, in turn.

  node test/cluster/istio/figures.ts

  --rate N       calls a second: 300
  --seconds N    of each round: 20
  --rounds N     3

It takes what \`npm run parts -- istio-cluster\` installs, root, and 6 minutes. What is beside each other can be compared on a machine that does
other work, processor time of each call best; times themselves cannot.
`;

/** Whose processor time is counted. It says what a call costs on a machine that does other work too, where times do not. */
const CONTAINERS = ['istio-proxy', 'remit', 'tools'] as const;

const SOCKET = 'unix:///run/remit/check.sock';
const SERVICE = 'ext-authz.remit.local';

/** Where Envoy asks; null: nowhere. */
const VARIANTS: Readonly<Record<string, string | null>> = {
  'without Remit': null,
  '127.0.0.1:9470': '127.0.0.1',
  [SOCKET]: SOCKET,
};

/** What the pods of a mesh need for the socket. */
const WITH_SOCKET = {
  annotations: {
    'sidecar.istio.io/userVolumeMount': JSON.stringify({ 'remit-run': { mountPath: '/run/remit', readOnly: true } }),
  },
  pod: { securityContext: { supplementalGroups: [65_532] } },
};

const say = (line: string): void => void process.stderr.write(`figures: ${line}\n`);

/** Makes Envoy ask there, and waits until it does. */
async function ask({ cluster, folder }: Mesh, address: string | null): Promise<void> {
  if (address === null) {
    await cluster.kubectl('-n demo delete authorizationpolicy remit');
    await until(async () => !(await checksIn(cluster)), { what: 'an Envoy that does not ask' });
    return;
  }
  await runAsReader(cluster, folder, 'kubectl apply -f mesh/istio/policy.yaml');
  const endpoint = address === SOCKET ? { address } : { address, ports: { grpc: 9470 } };
  const patch = JSON.stringify({ spec: { endpoints: [endpoint] } });
  const words = ['kubectl', '-n', 'istio-system', 'patch', 'serviceentry', 'remit', '--type=merge', '-p', patch];
  await cluster.run(words);
  const shown = address.replace('unix://', '');
  await until(async () => (await checksIn(cluster)) && (await endpointIn(cluster)).includes(`::${shown}`), {
    what: `an Envoy that asks at ${address}`,
  });
}

const admin = (cluster: Cluster, path: string): Promise<string> =>
  cluster.kubectl(`-n demo exec deployment/tools -c istio-proxy -- pilot-agent request GET ${path}`);

/** Whether a listener that is not being drained asks. */
async function checksIn(cluster: Cluster): Promise<boolean> {
  const said = await admin(cluster, 'config_dump?resource=dynamic_listeners');
  // The command may log lines before it, which begin with a time and can have braces.
  const { configs } = JSON.parse(said.slice(said.search(/^\{/m)));
  const active = configs.map((one: { readonly active_state?: object }) => one.active_state ?? {});
  // Mappers of local replies name the filter too.
  return JSON.stringify(active).includes('"name":"envoy.filters.http.ext_authz"');
}

const endpointIn = async (cluster: Cluster): Promise<string> =>
  (await admin(cluster, 'clusters'))
    .split('\n')
    .filter((line) => line.includes(SERVICE))
    .join('\n');

async function main(words: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...words],
    options: {
      rate: { type: 'string', default: '300' },
      seconds: { type: 'string', default: '20' },
      rounds: { type: 'string', default: '3' },
      help: { type: 'boolean', default: false },
    },
  });
  const [rate, seconds, rounds] = [values.rate, values.seconds, values.rounds].map(Number);
  if (values.help || !(Number(rate) > 0 && Number(seconds) > 0 && Number(rounds) > 0)) {
    process.stdout.write(HELP);
    return values.help ? 0 : 2;
  }
  const [parts, istio] = [findClusterParts(), findIstioCluster()];
  if ('missing' in parts || istio === null) {
    say('a part is missing: `npm run parts -- istio-cluster` installs it');
    return 2;
  }
  // A check of a slow machine that times out would be an answer that is quick and costs nothing.
  const mesh = await startMesh(parts, istio, { isPatient: true });
  try {
    const listen = '--set sidecar.listen={127.0.0.1:9470,unix:/run/remit/check.sock}';
    const upgrade = `helm upgrade remit oci://ghcr.io/remit-dev/charts/remit -n remit --reset-then-reuse-values --wait ${listen}`;
    await mesh.cluster.run(upgrade.split(' '));
    await mesh.cluster.apply(...meshTools({ authority: 'istio', ...WITH_SOCKET }));
    await mesh.cluster.kubectl('-n demo rollout restart deployment/tools');
    await mesh.cluster.kubectl('-n demo rollout status deployment/tools');
    const columns = [
      'asked at',
      'round',
      'p50 ms',
      'p99 ms',
      ...CONTAINERS.map((one) => `${one} us a call`),
      'answers',
      'load',
    ];
    process.stdout.write(`| ${columns.join(' | ')} |\n|${'---|'.repeat(columns.length)}\n`);
    for (let round = 1; round <= Number(rounds); round += 1)
      for (const [at, [what, address]] of Object.entries(VARIANTS).entries()) {
        await ask(mesh, address);
        const load = { name: `load-${round}-${at}`, rate: Number(rate), seconds: Number(seconds) };
        const { answers, p50, p99, usPerCall } = await measured(mesh.cluster, load);
        const cells = [what, round, p50, p99, ...usPerCall, JSON.stringify(answers), (loadavg()[0] ?? NaN).toFixed(1)];
        process.stdout.write(`| ${cells.join(' | ')} |\n`);
      }
    return 0;
  } finally {
    await mesh.close();
  }
}

/** Makes the calls, and counts the processor time of the containers beside the tool server meanwhile. */
async function measured(
  cluster: Cluster,
  { name, rate, seconds }: { readonly name: string; readonly rate: number; readonly seconds: number },
): Promise<MeshLoad & { readonly usPerCall: readonly number[] }> {
  const running =
    '-n demo get pod -l app=tools --field-selector=status.phase=Running -o jsonpath={.items[0].metadata.name}';
  const pod = await cluster.kubectl(running);
  const meters = await Promise.all(
    CONTAINERS.map((container) => meterOf(cluster, { namespace: 'demo', pod, container })),
  );
  const before = meters.map((meter) => meter().cpuSeconds);
  await startMeshLoad(cluster, { name, authority: 'istio', rate, seconds });
  const load = await meshLoadOf(cluster, name, (seconds + 120) * 1_000);
  const taken = meters.map((meter, at) => meter().cpuSeconds - (before[at] ?? NaN));
  return { ...load, usPerCall: taken.map((each) => Math.round((each * 1e6) / load.made)) };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
