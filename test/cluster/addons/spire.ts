import { IMAGES } from '../../parts/cluster.ts';
import { configMap, nodeFolder, REQUESTS, rights, workload } from './manifest.ts';
import type { Manifest } from './manifest.ts';

/** The trust domain of the cluster. */
export const TRUST_DOMAIN = 'acme.test';
/** The namespace of SPIRE. */
export const SPIRE_NAMESPACE = 'spire';
/** The SPIFFE ID of the node, parent of all entries. */
export const NODE_ID = `spiffe://${TRUST_DOMAIN}/node`;
/** The socket of the server's API in its pod. */
export const SERVER_SOCKET = '/run/spire/server.sock';

/** By address and not by name, so that the agent does not wait for DNS. */
const SERVER_ADDRESS = '10.96.0.11';
const CLUSTER = 'test';
const SOCKETS = '/run/spire/agent-sockets';
const DRIVER = 'csi.spiffe.io';
const KUBELET = '/var/lib/kubelet';

/** The server keeps its authority and its entries when its pod is made anew. */
const SERVER = `
server {
  trust_domain = "${TRUST_DOMAIN}"
  bind_address = "0.0.0.0"
  bind_port = "8081"
  data_dir = "/var/lib/spire"
  socket_path = "${SERVER_SOCKET}"
}
plugins {
  DataStore "sql" {
    plugin_data { database_type = "sqlite3", connection_string = "/var/lib/spire/entries.sqlite3" }
  }
  KeyManager "disk" { plugin_data { keys_path = "/var/lib/spire/keys.json" } }
  NodeAttestor "k8s_psat" {
    plugin_data { clusters = { "${CLUSTER}" = { service_account_allow_list = ["${SPIRE_NAMESPACE}:spire-agent"] } } }
  }
  Notifier "k8sbundle" { plugin_data { namespace = "${SPIRE_NAMESPACE}" } }
}
health_checks {
  listener_enabled = true
  bind_address = "0.0.0.0"
  bind_port = "8080"
}
`;

const AGENT = `
agent {
  trust_domain = "${TRUST_DOMAIN}"
  data_dir = "/run/spire/data"
  socket_path = "${SOCKETS}/spire-agent.sock"
  server_address = "${SERVER_ADDRESS}"
  server_port = "8081"
  trust_bundle_path = "/run/spire/bundle/bundle.crt"
}
plugins {
  KeyManager "memory" { plugin_data {} }
  NodeAttestor "k8s_psat" { plugin_data { cluster = "${CLUSTER}", token_path = "/run/spire/token/token" } }
  WorkloadAttestor "k8s" { plugin_data { skip_kubelet_verification = true } }
}
health_checks {
  listener_enabled = true
  bind_address = "127.0.0.1"
  bind_port = "8085"
}
`;

/** The server of SPIRE, which writes its bundle into a ConfigMap. */
export const spireServer: readonly Manifest[] = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: SPIRE_NAMESPACE } },
  configMap(SPIRE_NAMESPACE, 'spire-bundle', {}),
  configMap(SPIRE_NAMESPACE, 'spire-server', { 'server.conf': SERVER }),
  ...rights('spire-server', SPIRE_NAMESPACE, [
    { group: '', resources: 'nodes,pods', verbs: 'get' },
    { group: '', resources: 'configmaps', verbs: 'get,patch' },
    { group: 'authentication.k8s.io', resources: 'tokenreviews', verbs: 'create' },
  ]),
  ...workload('Deployment', {
    namespace: SPIRE_NAMESPACE,
    name: 'spire-server',
    pod: {
      containers: [
        {
          name: 'spire-server',
          image: IMAGES.spireServer,
          resources: REQUESTS,
          args: ['run', '-config', '/etc/spire/server.conf'],
          readinessProbe: { httpGet: { path: '/ready', port: 8080 }, periodSeconds: 1 },
          volumeMounts: [
            { name: 'configuration', mountPath: '/etc/spire' },
            { name: 'state', mountPath: '/var/lib/spire' },
            { name: 'run', mountPath: '/run/spire' },
          ],
        },
      ],
      volumes: [
        { name: 'configuration', configMap: { name: 'spire-server' } },
        nodeFolder('state', '/var/lib/spire-server'),
        { name: 'run', emptyDir: {} },
      ],
    },
  }),
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'spire-server', namespace: SPIRE_NAMESPACE },
    spec: {
      clusterIP: SERVER_ADDRESS,
      selector: { app: 'spire-server' },
      ports: [{ port: 8081 }],
      // It listens before its probe says so, and an agent that does not reach it at once waits 5 s.
      publishNotReadyAddresses: true,
    },
  },
];

/** The agent of SPIRE. */
export const spireAgent: readonly Manifest[] = [
  configMap(SPIRE_NAMESPACE, 'spire-agent', { 'agent.conf': AGENT }),
  ...rights('spire-agent', SPIRE_NAMESPACE, [{ group: '', resources: 'nodes,pods,nodes/proxy', verbs: 'get' }]),
  ...workload('DaemonSet', {
    namespace: SPIRE_NAMESPACE,
    name: 'spire-agent',
    pod: {
      hostPID: true,
      hostNetwork: true,
      containers: [
        {
          name: 'spire-agent',
          image: IMAGES.spireAgent,
          resources: REQUESTS,
          args: ['run', '-config', '/etc/spire/agent.conf'],
          readinessProbe: { httpGet: { path: '/ready', port: 8085, host: '127.0.0.1' }, periodSeconds: 1 },
          volumeMounts: [
            { name: 'configuration', mountPath: '/etc/spire' },
            { name: 'bundle', mountPath: '/run/spire/bundle' },
            { name: 'token', mountPath: '/run/spire/token' },
            { name: 'sockets', mountPath: SOCKETS },
            { name: 'data', mountPath: '/run/spire/data' },
          ],
        },
      ],
      volumes: [
        { name: 'configuration', configMap: { name: 'spire-agent' } },
        { name: 'bundle', configMap: { name: 'spire-bundle' } },
        {
          name: 'token',
          projected: { sources: [{ serviceAccountToken: { path: 'token', audience: 'spire-server' } }] },
        },
        nodeFolder('sockets', SOCKETS),
        { name: 'data', emptyDir: {} },
      ],
    },
  }),
];

/** What mounts the folder of the agent's socket into pods. */
export const spireDriver: readonly Manifest[] = [
  ...workload('DaemonSet', {
    namespace: SPIRE_NAMESPACE,
    name: 'csi',
    pod: {
      containers: [
        {
          name: 'csi',
          image: IMAGES.csi,
          resources: REQUESTS,
          // In the container each folder has the path that it has on the node.
          args: ['$(NODE)', SOCKETS, `${KUBELET}/plugins/${DRIVER}`, `${KUBELET}/plugins_registry`],
          env: [{ name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
          securityContext: { privileged: true },
          volumeMounts: [
            { name: 'sockets', mountPath: SOCKETS, readOnly: true },
            { name: 'plugin', mountPath: `${KUBELET}/plugins/${DRIVER}` },
            { name: 'registration', mountPath: `${KUBELET}/plugins_registry` },
            { name: 'pods', mountPath: `${KUBELET}/pods`, mountPropagation: 'Bidirectional' },
          ],
        },
      ],
      volumes: [
        nodeFolder('sockets', SOCKETS),
        nodeFolder('plugin', `${KUBELET}/plugins/${DRIVER}`),
        nodeFolder('registration', `${KUBELET}/plugins_registry`),
        nodeFolder('pods', `${KUBELET}/pods`),
      ],
    },
  }),
  {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'CSIDriver',
    metadata: { name: DRIVER },
    spec: { attachRequired: false, podInfoOnMount: true, fsGroupPolicy: 'None', volumeLifecycleModes: ['Ephemeral'] },
  },
];
