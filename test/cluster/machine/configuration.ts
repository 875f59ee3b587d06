import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import {
  API_PORT,
  CONTAINERD_ROOT,
  DNS_ADDRESS,
  NODE_ADDRESS,
  PAUSE_IMAGE,
  POD_RANGE,
  REGISTRY_HOSTS,
} from './layout.ts';
import type { Layout } from './layout.ts';

/** Files that the programs of the node are started with. */
export interface Configuration {
  readonly serviceAccountKey: string;
  readonly users: string;
  /** Of the administrator, who is also the user of the node's programs. */
  readonly token: string;
  readonly containerd: string;
  readonly kubelet: string;
  /** What the API server makes for itself. */
  readonly apiCertificate: string;
}

/** Writes all of them. */
export function writeConfiguration(layout: Layout): Configuration {
  const {
    certificates,
    containerdSocket,
    controlGroup,
    kubeconfig,
    networkPrograms,
    networks,
    registryCertificate,
    state,
  } = layout;
  const write = (name: string, text: string): string => {
    const path = join(state, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const token = randomBytes(16).toString('hex');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const apiCertificate = join(certificates, 'api/apiserver.crt');
  const registries = join(state, 'registries');
  for (const host of REGISTRY_HOSTS) {
    mkdirSync(join(registries, host), { recursive: true });
    write(`registries/${host}/hosts.toml`, `server = "https://${host}"\nca = "${registryCertificate}"\n`);
  }
  for (const path of [networks, networkPrograms]) mkdirSync(path);
  write('networks/10-ptp.conflist', podNetwork(join(state, 'leases')));
  writeFileSync(kubeconfig, kubeconfigOf(token, apiCertificate), { mode: 0o600 });
  return {
    token,
    apiCertificate,
    serviceAccountKey: write('certificates/service-accounts.key', privateKey.export({ type: 'sec1', format: 'pem' })),
    users: write('users.csv', `${token},admin,admin,"system:masters"\n`),
    containerd: write(
      'containerd.toml',
      containerdFile({ networkPrograms, networks, registries, socket: containerdSocket }),
    ),
    kubelet: write('kubelet.yaml', kubeletFile(containerdSocket, controlGroup)),
  };
}

const podNetwork = (leases: string): string =>
  JSON.stringify({
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: POD_RANGE }]],
          routes: [{ dst: '0.0.0.0/0' }],
          dataDir: leases,
        },
      },
    ],
  });

const kubeconfigOf = (token: string, certificate: string): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'test',
        cluster: { server: `https://${NODE_ADDRESS}:${API_PORT}`, 'certificate-authority': certificate },
      },
    ],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  });

/** Scores of the out-of-memory killer are left alone: to lower them takes CAP_SYS_RESOURCE, which a machine of tests may lack. */
const containerdFile = (at: {
  readonly networkPrograms: string;
  readonly networks: string;
  readonly registries: string;
  readonly socket: string;
}): string => `version = 3
root = "${CONTAINERD_ROOT}"
state = "/run/containerd"
[grpc]
  address = "${at.socket}"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "${PAUSE_IMAGE}"
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = "${at.registries}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "runc"
        SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni", "${at.networkPrograms}"]
    conf_dir = "${at.networks}"
`;

/** Only the cluster's own network reaches its port. */
const kubeletFile = (socket: string, controlGroup: string): string =>
  stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: controlGroup,
    oomScoreAdj: 0,
    containerRuntimeEndpoint: `unix://${socket}`,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    clusterDNS: [DNS_ADDRESS],
    clusterDomain: 'cluster.local',
    resolvConf: '/etc/resolv.conf',
    failSwapOn: false,
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '15%' },
    evictionPressureTransitionPeriod: '15s',
    nodeStatusUpdateFrequency: '5s',
    syncFrequency: '10s',
  });
