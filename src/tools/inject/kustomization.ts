import { stringify } from 'yaml';
import { filled, INJECT_LABEL } from './fragment.ts';
import type { Fragment, JsonObject } from './fragment.ts';
import { HELPER_ANNOTATION } from './helper-fragment.ts';
import type { HelperFragment } from './helper-fragment.ts';

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
export const kustomization = (fragment: Fragment): string =>
  component(
    { labelSelector: `${INJECT_LABEL}!=disabled` },
    {
      metadata: {
        annotations: Object.fromEntries(fragment.portLists.map(({ annotation, port }) => [annotation, port])),
      },
      spec: specOf(fragment),
    },
  );

/**
 * A Kustomize component that adds the helper of a service to every workload with the annotation `remit.dev/agent`, as YAML.
 * Settings have their defaults, so a patch of your own must give the helper its upstreams. That patch must also give the
 * container of the service the folder of the helper, since a component does not know that container's name.
 */
export const helperKustomization = (helper: HelperFragment): string =>
  component({ annotationSelector: HELPER_ANNOTATION }, { spec: specOf(helper) });

/** What a component adds to a pod. Each setting has its default value, since a component reads no annotations. */
const specOf = ({ container, volumes }: Pick<Fragment, 'container' | 'volumes'>): JsonObject =>
  filled({ initContainers: [container], volumes }, ({ byDefault }) => byDefault);

/** A component that patches pods with `pod`. */
function component(
  selector: JsonObject,
  { metadata = {}, spec }: { readonly metadata?: JsonObject; readonly spec: JsonObject },
): string {
  const patches = PLACES.map(([kind, path]) => ({
    target: { kind, ...selector },
    patch: stringify(
      {
        // Kustomize wants them, and puts those of the target in their place.
        apiVersion: 'v1',
        kind: 'any',
        ...(path.length === 0
          ? { metadata: { name: 'any', ...metadata }, spec }
          : {
              metadata: { name: 'any' },
              ...within(path, { ...(Object.keys(metadata).length === 0 ? {} : { metadata }), spec }),
            }),
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
