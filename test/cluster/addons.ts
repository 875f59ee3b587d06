import { dns } from './addons/dns.ts';
import {
  NODE_ID,
  SERVER_SOCKET,
  SPIRE_NAMESPACE,
  spireAgent,
  spireDriver,
  spireServer,
  TRUST_DOMAIN,
} from './addons/spire.ts';
import { storage } from './addons/storage.ts';
import type { Cluster } from './cluster.ts';
import { VOLUMES } from './machine/layout.ts';

/** Starts DNS, storage and SPIRE, and waits until all answer. */
export async function startAddons(cluster: Cluster, say: (line: string) => void): Promise<void> {
  const { volumes } = cluster.layout;
  await Promise.all([
    cluster.run(['mkdir', '-p', ...VOLUMES.map((name) => `${volumes}/${name}`)]),
    cluster.apply(...dns, ...storage(volumes), ...spireServer, ...spireDriver),
  ]);
  // The agent starts with it, and would not wait.
  await cluster.kubectl(
    `-n ${SPIRE_NAMESPACE} wait configmap/spire-bundle --for=jsonpath={.data.bundle\\.crt} --timeout=600s`,
  );
  say('SPIRE server: ready');
  const asNode = { id: NODE_ID, parent: `spiffe://${TRUST_DOMAIN}/spire/server`, selectors: ['k8s_psat:cluster:test'] };
  await Promise.all([cluster.apply(...spireAgent), register(cluster, [asNode])]);
  await Promise.all(
    [
      '-n kube-system rollout status deployment/coredns',
      `-n ${SPIRE_NAMESPACE} rollout status daemonset/spire-agent`,
      `-n ${SPIRE_NAMESPACE} rollout status daemonset/csi`,
      'wait node --all --for=condition=Ready',
      // A driver that the kubelet knows.
      'wait csinode --all --for=jsonpath={.spec.drivers[0].name}',
    ].map((words) => cluster.kubectl(`${words} --timeout=600s`)),
  );
  say('SPIRE: ready');
}

/** Who gets an SVID. */
export interface Registration {
  readonly id: string;
  /** As `k8s:ns:demo`; all must match. */
  readonly selectors: readonly string[];
  /** Names of its certificate. Default none. */
  readonly dns?: readonly string[];
  /** What tells it from others of the same workload. Default none. */
  readonly hint?: string;
  /** Default the node. */
  readonly parent?: string;
}

/** Makes entries of SPIRE, as its controller would. Rejects if one exists already. */
export async function register(cluster: Cluster, registrations: readonly Registration[]): Promise<void> {
  const entries = registrations.map(({ dns = [], hint = '', id, parent = NODE_ID, selectors }) => ({
    parent_id: parent,
    spiffe_id: id,
    selectors: selectors.map((selector) => {
      const [type, value] = selector.split(/:(.*)/s, 2);
      return { type, value };
    }),
    dns_names: dns,
    hint,
  }));
  const command = ['kubectl', '-n', SPIRE_NAMESPACE, 'exec', '-i', 'deployment/spire-server', '--'];
  await cluster.run([...command, '/spire-server', 'entry', 'create', '-socketPath', SERVER_SOCKET, '-data', '-'], {
    input: JSON.stringify({ entries }),
  });
}
