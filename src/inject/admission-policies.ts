import { stringify } from 'yaml';
import { celOf, conditionsOf } from './cel.ts';
import { CONTAINER, INJECT_LABEL } from './fragment.ts';
import type { Fragment, JsonObject, Setting } from './fragment.ts';

const API = 'admissionregistration.k8s.io/v1';
/** The label of a namespace whose pods get Remit. */
const INJECTION_LABEL = 'remit.dev/injection';

/** A policy applies to a pod if any of these bindings does. */
const BINDINGS: readonly { readonly name: string; readonly matchResources: JsonObject }[] = [
  {
    name: 'namespaces',
    matchResources: {
      namespaceSelector: { matchLabels: { [INJECTION_LABEL]: 'enabled' } },
      objectSelector: { matchExpressions: [{ key: INJECT_LABEL, operator: 'NotIn', values: ['disabled'] }] },
    },
  },
  {
    name: 'required',
    matchResources: { namespaceSelector: { matchLabels: { [INJECTION_LABEL]: 'required' } } },
  },
  {
    name: 'pods',
    matchResources: {
      namespaceSelector: { matchExpressions: [{ key: INJECTION_LABEL, operator: 'NotIn', values: ['disabled'] }] },
      objectSelector: { matchLabels: { [INJECT_LABEL]: 'enabled' } },
    },
  },
];

/** A setting as an expression: the annotation of the pod, or the default. */
const chosen = ({ annotation, byDefault }: Setting): string => {
  const [key, value] = [annotation, byDefault].map((text) => JSON.stringify(text));
  return `(${key} in variables.annotations ? variables.annotations[${key}] : ${value})`;
};

/**
 * The policy that injects: a MutatingAdmissionPolicy with its bindings, as YAML. It puts the container before all other init containers, and
 * replaces a container or volume of the same name, so that a pod cannot bring its own. By JSON Patch, since an apply configuration may not
 * write atomic lists such as `args`.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
 */
export function injectionPolicy(fragment: Fragment): string {
  const operations = [
    'variables.containers.size() == 0 ? [JSONPatch{op: "add", path: "/spec/initContainers", value: []}] : []',
    `variables.containers.indexOf("${CONTAINER}") >= 0 ? [JSONPatch{op: "remove", path: "/spec/initContainers/" + string(variables.containers.indexOf("${CONTAINER}"))}] : []`,
    `[JSONPatch{op: "add", path: "/spec/initContainers/0", value: ${celOf(fragment.container, { type: 'Object.spec.initContainers', chosen })}}]`,
    'variables.volumes.size() == 0 ? [JSONPatch{op: "add", path: "/spec/volumes", value: []}] : []',
    ...fragment.volumes.map((volume) => {
      const name = JSON.stringify(volume['name']);
      const [has, at] = [`${name} in variables.volumes`, `variables.volumes.indexOf(${name})`];
      const [op, path] = [`${has} ? "replace" : "add"`, `"/spec/volumes/" + (${has} ? string(${at}) : "-")`];
      return `[JSONPatch{op: ${op}, path: ${path}, value: ${celOf(volume, { type: 'Object.spec.volumes', chosen })}}]`;
    }),
  ];
  return documents('MutatingAdmissionPolicy', {
    name: 'remit-inject',
    spec: {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'IfNeeded',
      matchConstraints: { resourceRules: [podRule(['CREATE'], ['pods'])] },
      variables: [
        { name: 'annotations', expression: 'object.metadata.?annotations.orValue({})' },
        { name: 'containers', expression: 'object.spec.?initContainers.orValue([]).map(c, c.name)' },
        { name: 'volumes', expression: 'object.spec.?volumes.orValue([]).map(v, v.name)' },
      ],
      mutations: [
        {
          patchType: 'JSONPatch',
          jsonPatch: { expression: operations.map((operation) => `(${operation})`).join(' +\n') },
        },
      ],
    },
  });
}

/** Of the container: what Istio rewrites, what LimitRanges change, and lists that are compared apart. */
const SKIPPED: ReadonlySet<string> = new Set([
  'startupProbe',
  'readinessProbe',
  'livenessProbe',
  'ports',
  'resources',
  'volumeMounts',
  'sizeLimit',
]);
/** What would run other code in the container, or the same code otherwise. */
const FORBIDDEN = ['command', 'workingDir', 'envFrom', 'lifecycle', 'volumeDevices'] as const;
const PROBES = ['startupProbe', 'readinessProbe', 'livenessProbe'] as const;

/**
 * The guard: a ValidatingAdmissionPolicy with its bindings, as YAML. It refuses a pod whose container `remit` is not the injected one, however
 * it came there, and pods whose other containers could take its place.
 */
export function guardPolicy(fragment: Fragment): string {
  const mounts = (fragment.container['volumeMounts'] as readonly JsonObject[]).map((mount) =>
    conditionsOf(mount, { expression: 'm', skipped: new Set() }).join(' && '),
  );
  const isRemit = [
    ...conditionsOf(fragment.container, { expression: 'c', skipped: SKIPPED }),
    ...FORBIDDEN.map((field) => `!c.?${field}.hasValue()`),
    '!c.?securityContext.?capabilities.?add.hasValue()',
    ...PROBES.map((probe) => `c.?${probe}.?httpGet.hasValue()`),
    ...mounts.map((mount) => `c.volumeMounts.exists(m, ${mount})`),
    // What Kubernetes mounts itself: the token of the service account.
    `c.volumeMounts.all(m, m.name.startsWith("remit-") || m.mountPath.startsWith("/var/run/secrets/"))`,
    `c.volumeMounts.filter(m, m.name.startsWith("remit-")).size() == ${mounts.length}`,
  ];
  const hasVolumes = fragment.volumes.map(
    (volume) =>
      `object.spec.?volumes.orValue([]).exists(v, ${conditionsOf(volume, { expression: 'v', skipped: SKIPPED }).join(' && ')})`,
  );
  // Another key of the ConfigMap must not stand for `remit.yaml`.
  const isWhole =
    'object.spec.?volumes.orValue([]).all(v, !v.name.startsWith("remit-") || !v.?configMap.?items.hasValue())';
  const image = JSON.stringify(fragment.container['image']);
  const mayMount =
    'c.?volumeMounts.orValue([]).all(m, !m.name.startsWith("remit-") || (m.name == "remit-run" && m.?readOnly.orValue(false)))';
  // Of a pod that is there only the image can be changed.
  const isOther = 'request.operation != "CREATE"';
  return documents('ValidatingAdmissionPolicy', {
    name: 'remit-guard',
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        resourceRules: [podRule(['CREATE', 'UPDATE'], ['pods']), podRule(['UPDATE'], ['pods/ephemeralcontainers'])],
      },
      variables: [
        { name: 'remit', expression: `object.spec.?initContainers.orValue([]).filter(c, c.name == "${CONTAINER}")` },
        {
          name: 'others',
          expression: `object.spec.containers + object.spec.?initContainers.orValue([]).filter(c, c.name != "${CONTAINER}")`,
        },
        {
          name: 'former',
          expression: `oldObject == null ? [] : oldObject.spec.?initContainers.orValue([]).filter(c, c.name == "${CONTAINER}").map(c, c.image)`,
        },
      ],
      validations: [
        {
          expression: `${isOther} ||\n(variables.remit.size() == 1 && variables.remit.all(c,\n  ${isRemit.join(' &&\n  ')}))`,
          message:
            'the native sidecar `remit` must be the one of the policy remit-inject: remove your own, and see that the policy is installed',
        },
        {
          expression: `${isOther} ||\n(${[...hasVolumes, isWhole].join(' &&\n')})`,
          message: 'the volumes `remit-…` must be those of the policy remit-inject: remove your own',
        },
        {
          expression: `${isOther} || variables.others.all(c, ${mayMount})`,
          message:
            'other containers than `remit` may mount the volume `remit-run` alone of its volumes, with `readOnly: true`',
        },
        {
          expression: `${isOther} || (!object.spec.?shareProcessNamespace.orValue(false) && !object.spec.?hostPID.orValue(false))`,
          message: 'a pod with Remit must not have `shareProcessNamespace` or `hostPID`',
        },
        {
          expression: `request.operation != "UPDATE" || variables.remit.all(c, c.image == ${image} || c.image in variables.former)`,
          message: 'the image of the container `remit` must not be changed: create the pod anew',
        },
        {
          expression: `object.spec.?ephemeralContainers.orValue([]).all(c, ${mayMount} && c.?targetContainerName.orValue("") != "${CONTAINER}")`,
          message:
            'a debug container must not mount volumes of Remit but `remit-run`, with `readOnly: true`, nor share the processes of `remit`',
        },
      ],
    },
  });
}

const podRule = (operations: readonly string[], resources: readonly string[]): JsonObject => ({
  apiGroups: [''],
  apiVersions: ['v1'],
  operations,
  resources,
});

/** A policy and its bindings. */
function documents(kind: string, { name, spec }: { readonly name: string; readonly spec: JsonObject }): string {
  const policy = { apiVersion: API, kind, metadata: { name }, spec };
  const actions: JsonObject = kind === 'ValidatingAdmissionPolicy' ? { validationActions: ['Deny'] } : {};
  const bindings = BINDINGS.map((binding) => ({
    apiVersion: API,
    kind: `${kind}Binding`,
    metadata: { name: `${name}-${binding.name}` },
    spec: { policyName: name, ...actions, matchResources: binding.matchResources },
  }));
  return [policy, ...bindings].map((object) => stringify(object, { lineWidth: 0 })).join('---\n');
}
