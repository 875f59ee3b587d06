import { stringify } from 'yaml';
import { filled, INJECT_LABEL } from './fragment.ts';
import type { Fragment, JsonObject } from './fragment.ts';

/** Kinds with a pod template, and the path to the pod in them. The name of a kind is a regular expression for Kustomize. */
const PLACES: readonly (readonly [kind: string, path: readonly string[]])[] = [
  ['Deployment|StatefulSet|DaemonSet|ReplicaSet|Job', ['spec', 'template']],
  ['CronJob', ['spec', 'jobTemplate', 'spec', 'template']],
  ['Pod', []],
];

/**
 * A Kustomize component that adds the fragment to every workload without the label `remit.dev/inject: disabled`, as YAML. Settings have their
 * defaults: a patch of your own changes them. A list of ports that a pod has is replaced.
 */
export function kustomization(fragment: Fragment): string {
  const { container, volumes } = filled(
    { container: fragment.container, volumes: fragment.volumes },
    ({ byDefault }) => byDefault,
  );
  const annotations = Object.fromEntries(fragment.portLists.map(({ annotation, port }) => [annotation, port]));
  const spec = { initContainers: [container], volumes };
  const patches = PLACES.map(([kind, path]) => ({
    target: { kind, labelSelector: `${INJECT_LABEL}!=disabled` },
    patch: stringify(
      {
        // Kustomize wants them, and puts those of the target in their place.
        apiVersion: 'v1',
        kind: 'any',
        ...(path.length === 0
          ? { metadata: { name: 'any', annotations }, spec }
          : { metadata: { name: 'any' }, ...within(path, { metadata: { annotations }, spec }) }),
      },
      { lineWidth: 0 },
    ),
  }));
  return stringify(
    { apiVersion: 'kustomize.config.k8s.io/v1alpha1', kind: 'Component', patches },
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
}

const within = (path: readonly string[], value: JsonObject): JsonObject =>
  path.reduceRight((inner, key) => ({ [key]: inner }), value);
