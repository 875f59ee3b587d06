import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import {
  HELM_3_VERSION,
  HELM_DOCS_VERSION,
  HELM_UNITTEST_VERSION,
  HELM_VERSION,
  helm3Folder,
  helmDocsFolder,
  helmFolder,
  helmUnittestFolder,
  KUBECONFORM_VERSION,
  kubeconformFolder,
  KUBERNETES_VERSION,
  kubernetesApiFolder,
  PROMETHEUS_OPERATOR_VERSION,
  prometheusOperatorFolder,
} from './cache.ts';
import { installGoPart } from './go-part.ts';
import type { GoPart } from './go-part.ts';

const [K8S_MAJOR, K8S_MINOR] = KUBERNETES_VERSION.split('.');

/** Plainly built, Helm shows no version, and believes in an old Kubernetes. */
const helmFlags = (major: 3 | 4, version: string, versionOfKubernetes: string): string =>
  [
    '-s -w',
    `-X helm.sh/helm/v${major}/internal/version.version=v${version}`,
    `-X ${versionOfKubernetes}.k8sVersionMajor=${K8S_MAJOR}`,
    `-X ${versionOfKubernetes}.k8sVersionMinor=${K8S_MINOR}`,
  ].join(' ');

/** Helm 4. */
export const helm: GoPart = {
  name: `Helm ${HELM_VERSION}`,
  folder: helmFolder,
  modules: ['helm.sh/helm/v4/cmd/helm'],
  version: `v${HELM_VERSION}`,
  ldflags: helmFlags(4, HELM_VERSION, 'helm.sh/helm/v4/pkg/chart/common'),
  tags: '',
  takes: 'about 2 minutes on 2 cores, once',
};

const tools: readonly GoPart[] = [
  helm,
  {
    name: `Helm ${HELM_3_VERSION}`,
    folder: helm3Folder,
    modules: ['helm.sh/helm/v3/cmd/helm'],
    version: `v${HELM_3_VERSION}`,
    ldflags: helmFlags(3, HELM_3_VERSION, 'helm.sh/helm/v3/pkg/chartutil'),
    tags: '',
    takes: 'about a minute on 2 cores, once',
  },
  {
    name: `helm-unittest ${HELM_UNITTEST_VERSION}`,
    folder: helmUnittestFolder,
    modules: ['github.com/helm-unittest/helm-unittest/cmd/helm-unittest'],
    version: `v${HELM_UNITTEST_VERSION}`,
    replaces: ['github.com/vmware-labs/yaml-jsonpath@v0.3.2=github.com/helm-unittest/yaml-jsonpath@v0.4.0'],
    tags: '',
    takes: 'about a minute on 2 cores, once',
  },
  {
    name: `helm-docs ${HELM_DOCS_VERSION}`,
    folder: helmDocsFolder,
    modules: ['github.com/norwoodj/helm-docs/cmd/helm-docs'],
    version: `v${HELM_DOCS_VERSION}`,
    tags: '',
    takes: 'some seconds, once',
  },
  {
    name: `kubeconform ${KUBECONFORM_VERSION}`,
    folder: kubeconformFolder,
    modules: ['github.com/yannh/kubeconform/cmd/kubeconform'],
    version: `v${KUBECONFORM_VERSION}`,
    tags: '',
    takes: 'some seconds, once',
  },
];

/** Installs what the chart is tried with: Helm 4 and 3, helm-unittest, helm-docs, kubeconform, and what is valid by Kubernetes and the Prometheus operator. Takes Go. */
export async function installChartTools(say: (line: string) => void): Promise<(string | BinaryProblem)[]> {
  const results: (string | BinaryProblem)[] = [];
  for (const tool of tools) results.push(await installGoPart(tool, say));
  for (const api of apis) results.push(await installModuleFiles(api, say));
  return results;
}

/** Files of a Go module. */
interface ModuleFiles {
  readonly name: string;
  readonly folder: string;
  /** Module with its version. */
  readonly module: string;
  /** Its folder that has the files. */
  readonly from: string;
  readonly files: readonly string[];
}

const KINDS = ['podmonitors', 'servicemonitors', 'prometheusrules'];

const apis: readonly ModuleFiles[] = [
  {
    name: `the API of Kubernetes ${KUBERNETES_VERSION}`,
    folder: kubernetesApiFolder,
    module: `k8s.io/kubernetes@v${KUBERNETES_VERSION}`,
    from: 'api/openapi-spec',
    files: ['swagger.json'],
  },
  {
    name: `the API of the Prometheus operator ${PROMETHEUS_OPERATOR_VERSION}`,
    folder: prometheusOperatorFolder,
    module: `github.com/prometheus-operator/prometheus-operator@v${PROMETHEUS_OPERATOR_VERSION}`,
    from: 'example/prometheus-operator-crd',
    files: KINDS.map((kind) => `monitoring.coreos.com_${kind}.yaml`),
  },
];

async function installModuleFiles(part: ModuleFiles, say: (line: string) => void): Promise<string | BinaryProblem> {
  const { files, folder, from, module, name } = part;
  if (existsSync(join(folder, CACHE_MARKER))) return folder;
  say(`fetching ${name} into ${folder} (a few MB, once)`);
  try {
    return await intoCache(folder, async (scratch) => {
      const { Dir } = JSON.parse(execFileSync('go', ['mod', 'download', '-json', module], { encoding: 'utf8' }));
      for (const file of files) await copyFile(join(String(Dir), from, file), join(scratch, file));
      return folder;
    });
  } catch (error) {
    return { problem: `could not fetch ${name}, which takes Go: ${String(error)}` };
  }
}
