import { IMAGES } from '../../parts/cluster.ts';
import { DNS_ADDRESS } from '../machine/layout.ts';
import { configMap, REQUESTS, rights, workload } from './manifest.ts';
import type { Manifest } from './manifest.ts';

const namespace = 'kube-system';
const name = 'coredns';

/** Records are believed for 5 s, as CoreDNS of a cluster has it. */
const CONFIGURATION = `.:53 {
  errors
  ready
  cache 5
  kubernetes cluster.local in-addr.arpa {
    ttl 5
  }
}
`;

/** The names of Services. */
export const dns: readonly Manifest[] = [
  configMap(namespace, name, { Corefile: CONFIGURATION }),
  ...rights(name, namespace, [
    { group: '', resources: 'services,namespaces,pods', verbs: 'list,watch' },
    { group: 'discovery.k8s.io', resources: 'endpointslices', verbs: 'list,watch' },
  ]),
  ...workload('Deployment', {
    namespace,
    name,
    pod: {
      dnsPolicy: 'Default',
      containers: [
        {
          name,
          image: IMAGES.coredns,
          resources: REQUESTS,
          args: ['-conf', '/etc/coredns/Corefile'],
          readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
          volumeMounts: [{ name: 'configuration', mountPath: '/etc/coredns' }],
        },
      ],
      volumes: [{ name: 'configuration', configMap: { name } }],
    },
  }),
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kube-dns', namespace },
    spec: {
      clusterIP: DNS_ADDRESS,
      selector: { app: name },
      ports: ['UDP', 'TCP'].map((protocol) => ({ name: protocol.toLowerCase(), port: 53, protocol })),
    },
  },
];
