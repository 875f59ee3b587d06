/** An object of Kubernetes. */
export type Manifest = Readonly<Record<string, unknown>>;

/** What containers of the tests ask for: without it they get nearly nothing on a node whose sidecars have work. */
export const REQUESTS: Manifest = { requests: { cpu: '20m' } };

/** Names of a workload, and what its pods have. */
export interface Workload {
  readonly namespace: string;
  /** Its own, that of its service account, and the value of its label `app`. */
  readonly name: string;
  readonly pod: Readonly<Record<string, unknown>>;
}

/** A Deployment with one replica, or a DaemonSet, with its service account. */
export function workload(kind: 'Deployment' | 'DaemonSet', { name, namespace, pod }: Workload): readonly Manifest[] {
  const labels = { app: name };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } },
    {
      apiVersion: 'apps/v1',
      kind,
      metadata: { name, namespace, labels },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { serviceAccountName: name, terminationGracePeriodSeconds: 1, ...pod },
        },
      },
    },
  ];
}

/** A right of a service account in all namespaces: groups, resources and verbs, separated by commas. */
export interface Right {
  readonly group: string;
  readonly resources: string;
  readonly verbs: string;
}

/** A ClusterRole with its binding. */
export function rights(name: string, namespace: string, rules: readonly Right[]): readonly Manifest[] {
  return [
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name },
      rules: rules.map(({ group, resources, verbs }) => ({
        apiGroups: [group],
        resources: resources.split(','),
        verbs: verbs.split(','),
      })),
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    },
  ];
}

/** A folder of the node as a volume; made if it is missing. */
export const nodeFolder = (name: string, path: string): Manifest => ({
  name,
  hostPath: { path, type: 'DirectoryOrCreate' },
});

/** Texts as a ConfigMap. */
export const configMap = (namespace: string, name: string, data: Readonly<Record<string, string>>): Manifest => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data,
});
