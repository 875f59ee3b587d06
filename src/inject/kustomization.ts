import { stringify } from 'yaml';
import { filled, INJECT_LABEL } from './fragment.ts';
import type { Fragment, JsonObject } from './fragment.ts';

/** Kinds with a pod template, by where it is. The name of a kind is a regular expression for Kustomize. */
const PLACES: readonly (readonly [kind: string, path: readonly string[]])[] = [
  ['Deployment|StatefulSet|DaemonSet|ReplicaSet|Job', ['spec', 'template', 'spec']],
  ['CronJob', ['spec', 'jobTemplate', 'spec', 'template', 'spec']],
  ['Pod', ['spec']],
];

/**
 * A Kustomize component that adds the fragment to every workload without the label `remit.dev/inject: disabled`, as YAML. Settings have their
 * defaults: a patch of your own changes them.
 */
export function kustomization(fragment: Fragment): string {
  const { container, volumes } = filled(
    { container: fragment.container, volumes: fragment.volumes },
    ({ byDefault }) => byDefault,
  );
  const patches = PLACES.map(([kind, path]) => ({
    target: { kind, labelSelector: `${INJECT_LABEL}!=disabled` },
    patch: stringify(
      {
        // Kustomize wants them, and puts those of the target in their place.
        apiVersion: 'v1',
        kind: 'any',
        metadata: { name: 'any' },
        ...within(path, { initContainers: [container], volumes }),
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
