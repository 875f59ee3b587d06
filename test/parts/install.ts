import { rm } from 'node:fs/promises';
import { ENVOY_VERSION, installEnvoy, isBinaryProblem, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import {
  cacheFolder,
  COMPOSE_GO_VERSION,
  composeGoFolder,
  envoyVersions,
  ETCD_VERSION,
  etcdFolder,
  GHZ_VERSION,
  ghzFolder,
  GRPCURL_VERSION,
  grpcurlFolder,
  H2SPEC_VERSION,
  h2specFolder,
  JAEGER_VERSION,
  jaegerFolder,
  LITEWITNESS_VERSION,
  litewitnessFolder,
  PROMETHEUS_VERSION,
  prometheusFolder,
  SEAWEEDFS_VERSION,
  seaweedfsFolder,
  SPIRE_VERSION,
  spireFolder,
} from './cache.ts';
import { installAnalysis } from './analysis.ts';
import { installBuiltClients } from './built-clients.ts';
import { installCedar } from './cedar.ts';
import { helm, installChartTools } from './chart-tools.ts';
import { installClients } from './clients.ts';
import { installCluster } from './cluster.ts';
import { installGoClients } from './go-client.ts';
import { installGatewayCluster } from './gateway-cluster.ts';
import { goBuildCache, installGoPart } from './go-part.ts';
import type { GoPart } from './go-part.ts';
import { makeImageBases } from './image-bases.ts';
import { installIstioCluster } from './istio-cluster.ts';
import { installJaegerUi } from './jaeger-ui.ts';
import { kubernetes } from './kubernetes.ts';
import { installEnvoyGateway, installIstiod } from './meshes.ts';
import { installPatroni } from './patroni.ts';
import { installPostgres } from './postgres.ts';
import { prometheusOperator } from './prometheus-operator.ts';
import { installVerifier } from './verifier.ts';

/**
 * `npm run parts`: installs what the tests run against into the cache folder, and says what takes time; with `REMIT_PARTS=all` also what only
 * long tests run against, with `REMIT_THOROUGH=1` also clients that are large or take Rust or Java. `npm run parts -- cluster` installs what a cluster runs and nothing else, and `npm run parts -- istio-cluster` or `gateway-cluster` also
 * what Istio or Envoy Gateway takes there. `npm run parts -- analysis` installs what `remit policy analyze` runs. Quick where all is there. Exit 1 where a part could not be had; the others are installed all the same.
 */

const say = (line: string): void => {
  process.stdout.write(`parts: ${line}\n`);
};

const jaeger: GoPart = {
  name: `Jaeger ${JAEGER_VERSION}`,
  folder: jaegerFolder,
  modules: ['github.com/jaegertracing/jaeger/cmd/all-in-one'],
  version: `v${JAEGER_VERSION}`,
  tags: '',
  takes: 'about 3 minutes on 2 cores, once',
};

const spire: GoPart = {
  name: `SPIRE ${SPIRE_VERSION}`,
  folder: spireFolder,
  modules: ['spire-server', 'spire-agent'].map((name) => `github.com/spiffe/spire/cmd/${name}`),
  version: `v${SPIRE_VERSION}`,
  tags: '',
  takes: 'about 7 minutes on 2 cores, once',
};

/** Of its ways to find what to scrape none is needed, and they are most of it: the tag leaves them out. */
const prometheus: GoPart = {
  name: `Prometheus ${PROMETHEUS_VERSION}`,
  folder: prometheusFolder,
  modules: ['promtool', 'prometheus'].map((name) => `github.com/prometheus/prometheus/cmd/${name}`),
  // As a Go module, version 3.x.y is v0.3xx.y.
  version: PROMETHEUS_VERSION.replace(
    /^3\.(\d+)\.(\d+)$/,
    (_all, minor: string, patch: string) => `v0.3${minor.padStart(2, '0')}.${patch}`,
  ),
  tags: 'remove_all_sd',
  takes: 'about 5 minutes on 2 cores, once',
};

const grpcurl: GoPart = {
  name: `grpcurl ${GRPCURL_VERSION}`,
  folder: grpcurlFolder,
  modules: ['github.com/fullstorydev/grpcurl/cmd/grpcurl'],
  version: `v${GRPCURL_VERSION}`,
  tags: '',
  takes: 'about a minute on 2 cores, once',
};

const ghz: GoPart = {
  name: `ghz ${GHZ_VERSION}`,
  folder: ghzFolder,
  modules: ['github.com/bojand/ghz/cmd/ghz'],
  version: `v${GHZ_VERSION}`,
  tags: '',
  takes: 'about a minute on 2 cores, once',
};

/** It has no go.mod, so what it is built with is said here. */
const h2spec: GoPart = {
  name: `h2spec ${H2SPEC_VERSION}`,
  folder: h2specFolder,
  modules: ['github.com/summerwind/h2spec/cmd/h2spec'],
  version: `v${H2SPEC_VERSION}+incompatible`,
  needs: ['github.com/fatih/color@v1.19.0', 'github.com/spf13/cobra@v1.10.2', 'golang.org/x/net@v0.62.0'],
  tags: '',
  takes: 'a few seconds, once',
};

const seaweedfs: GoPart = {
  name: 'SeaweedFS',
  folder: seaweedfsFolder,
  modules: ['github.com/seaweedfs/seaweedfs/weed'],
  version: SEAWEEDFS_VERSION,
  tags: '',
  takes: 'about 12 minutes on 2 cores, once',
};

/** Its command is called `server`. */
const etcd: GoPart = {
  name: `etcd ${ETCD_VERSION}`,
  folder: etcdFolder,
  modules: ['go.etcd.io/etcd/server/v3'],
  version: `v${ETCD_VERSION}`,
  tags: '',
  takes: 'about a minute on 2 cores, once',
};

/** Its command is called `cmd`. */
const composeGo: GoPart = {
  name: `compose-go ${COMPOSE_GO_VERSION}`,
  folder: composeGoFolder,
  modules: ['github.com/compose-spec/compose-go/v2/cmd'],
  version: `v${COMPOSE_GO_VERSION}`,
  tags: '',
  takes: 'half a minute, once',
};

const litewitness: GoPart = {
  name: `litewitness ${LITEWITNESS_VERSION}`,
  folder: litewitnessFolder,
  modules: ['litewitness', 'witnessctl'].map((name) => `filippo.io/torchwood/cmd/${name}`),
  version: `v${LITEWITNESS_VERSION}`,
  tags: '',
  isCgo: false,
  takes: 'about a minute on 2 cores, once',
};

const [only] = process.argv.slice(2);
if (only !== undefined && !['cluster', 'istio-cluster', 'gateway-cluster', 'analysis'].includes(only)) {
  process.stderr.write(
    `parts: unknown part \`${only}\`: \`cluster\` installs what a cluster runs, \`istio-cluster\` also Istio in it, \`gateway-cluster\` also Envoy Gateway, \`analysis\` the symbolic analysis of policies, no word everything else\n`,
  );
  process.exit(2);
}

const results: (string | BinaryProblem)[] = [];

/** What a cluster runs, part of which is among all others too. */
async function installClusterWhole(): Promise<void> {
  results.push(await installEnvoy(ENVOY_VERSION, { cacheFolder, progress: say }));
  for (const part of [spire, etcd, kubernetes, helm, prometheusOperator]) results.push(await installGoPart(part, say));
  results.push(await makeImageBases(say), ...(await installCluster(say)));
}

/** What Istio takes in a cluster. */
async function installIstioWhole(): Promise<void> {
  await installClusterWhole();
  results.push(await installIstiod(say), ...(await installIstioCluster(say)));
}

/** What `remit policy analyze` takes. */
async function installAnalysisWhole(): Promise<void> {
  results.push(await installAnalysis(say));
}

/** What Envoy Gateway takes in a cluster. */
async function installGatewayWhole(): Promise<void> {
  await installClusterWhole();
  results.push(await installEnvoyGateway(say), await installGatewayCluster(say));
}

async function installAll(): Promise<void> {
  for (const version of envoyVersions) results.push(await installEnvoy(version, { cacheFolder, progress: say }));
  for (const part of [
    jaeger,
    spire,
    prometheus,
    grpcurl,
    ghz,
    h2spec,
    composeGo,
    seaweedfs,
    etcd,
    kubernetes,
    litewitness,
  ])
    results.push(await installGoPart(part, say));

  results.push(
    await installEnvoyGateway(say),
    await installIstiod(say),
    await installJaegerUi(say),
    await installPostgres(say),
  );
  results.push(
    ...(await installChartTools(say)),
    ...(await installClients(say)),
    ...(await installGoClients(say)),
    ...(await installBuiltClients(say)),
    await installVerifier(say),
    await makeImageBases(say),
  );

  if (process.env['REMIT_PARTS'] === 'all') {
    results.push(await installPatroni(say));
    await installIstioWhole();
    results.push(await installGatewayCluster(say));
    await installAnalysisWhole();
  }

  // What it is for is skipped without it.
  const cedar = await installCedar(say);
  if (isBinaryProblem(cedar)) say(cedar.problem);
}

const installs: Readonly<Record<string, () => Promise<void>>> = {
  cluster: installClusterWhole,
  'istio-cluster': installIstioWhole,
  'gateway-cluster': installGatewayWhole,
  analysis: installAnalysisWhole,
};
await (installs[only ?? ''] ?? installAll)();

await rm(goBuildCache, { recursive: true, force: true });

const problems = results.filter(isBinaryProblem);
for (const { problem } of problems) say(problem);
say(
  problems.length === 0
    ? `all ${results.length} are in ${cacheFolder}`
    : `${problems.length} of ${results.length} are missing`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
