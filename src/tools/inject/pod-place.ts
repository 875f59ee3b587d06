/** The path to the pod in each kind of workload: to an object with `metadata` and `spec`. */
const PLACES: ReadonlyMap<string, readonly string[]> = new Map([
  ['Pod', []],
  ['Deployment', ['spec', 'template']],
  ['StatefulSet', ['spec', 'template']],
  ['DaemonSet', ['spec', 'template']],
  ['ReplicaSet', ['spec', 'template']],
  ['Job', ['spec', 'template']],
  ['CronJob', ['spec', 'jobTemplate', 'spec', 'template']],
]);

/** The API groups of those kinds: a kind of that name in another group does not count. */
const GROUPS: ReadonlySet<string> = new Set(['', 'apps', 'batch']);

/** The path to the pod of a workload; `null` for any other object. */
export function podPlaceOf(object: { readonly kind: unknown; readonly apiVersion: unknown }): readonly string[] | null {
  const { kind, apiVersion } = object;
  if (typeof kind !== 'string' || typeof apiVersion !== 'string') return null;
  const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
  return GROUPS.has(group) ? (PLACES.get(kind) ?? null) : null;
}
