import { celOf } from './cel.ts';
import { CONTAINER, MESH_CONTAINERS, MESH_SIDECAR } from './fragment.ts';
import type { Fragment, PortList, Setting } from './fragment.ts';
import { coreRule, POD_BINDINGS, policyDocuments } from './policy-documents.ts';

/** A setting as an expression: the annotation of the pod, or the default. */
const chosen = ({ annotation, byDefault }: Setting): string => {
  const [key, value] = [annotation, byDefault].map((text) => JSON.stringify(text));
  return `(${key} in variables.annotations ? variables.annotations[${key}] : ${value})`;
};

/** Adds the port of Remit to the list of an annotation, if it is not there. The annotations of the pod are there already. */
function portAdded({ annotation, port }: PortList): string {
  const [key, added] = [JSON.stringify(annotation), JSON.stringify(port)];
  const path = JSON.stringify(`/metadata/annotations/${annotation.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  const had = `variables.annotations[?${key}].orValue("")`;
  const has = `${had}.split(",").exists(p, p.trim() == ${added})`;
  return `${has} ? [] : [JSONPatch{op: "add", path: ${path}, value: ${had}.trim() == "" ? ${added} : ${had} + ${JSON.stringify(`,${port}`)}}]`;
}

/**
 * The policy that injects: a MutatingAdmissionPolicy with its bindings, as YAML. It puts the container before all other init containers but
 * those of Istio, and replaces a container or volume of the same name, so that a pod cannot bring its own. By JSON Patch, since an apply configuration may not
 * write atomic lists such as `args`.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
 */
export function injectionPolicy(fragment: Fragment): string {
  const secret = 'Object.spec.imagePullSecrets{name: variables.pullSecret}';
  const [first, next] = [
    `"/spec/imagePullSecrets", value: [${secret}]`,
    `"/spec/imagePullSecrets/-", value: ${secret}`,
  ];
  const operations = [
    'variables.annotations.size() == 0 ? [JSONPatch{op: "add", path: "/metadata/annotations", value: {}}] : []',
    ...fragment.portLists.map(portAdded),
    'variables.containers.size() == 0 ? [JSONPatch{op: "add", path: "/spec/initContainers", value: []}] : []',
    `variables.containers.indexOf("${CONTAINER}") >= 0 ? [JSONPatch{op: "remove", path: "/spec/initContainers/" + string(variables.containers.indexOf("${CONTAINER}"))}] : []`,
    `[JSONPatch{op: "add", path: "/spec/initContainers/" + string(variables.place), value: ${celOf(fragment.container, { type: 'Object.spec.initContainers', chosen })}}]`,
    'variables.volumes.size() == 0 ? [JSONPatch{op: "add", path: "/spec/volumes", value: []}] : []',
    ...fragment.volumes.map((volume) => {
      const name = JSON.stringify(volume['name']);
      const [has, at] = [`${name} in variables.volumes`, `variables.volumes.indexOf(${name})`];
      const [op, path] = [`${has} ? "replace" : "add"`, `"/spec/volumes/" + (${has} ? string(${at}) : "-")`];
      return `[JSONPatch{op: ${op}, path: ${path}, value: ${celOf(volume, { type: 'Object.spec.volumes', chosen })}}]`;
    }),
    `variables.pullSecret == "" || variables.pullSecret in variables.pullSecrets ? [] : variables.pullSecrets.size() == 0 ? [JSONPatch{op: "add", path: ${first}}] : [JSONPatch{op: "add", path: ${next}}]`,
  ];
  return policyDocuments('MutatingAdmissionPolicy', {
    name: 'remit-inject',
    bindings: POD_BINDINGS,
    spec: {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'IfNeeded',
      matchConstraints: { resourceRules: [coreRule(['CREATE'], ['pods'])] },
      variables: [
        { name: 'annotations', expression: 'object.metadata.?annotations.orValue({})' },
        { name: 'containers', expression: 'object.spec.?initContainers.orValue([]).map(c, c.name)' },
        { name: 'others', expression: `variables.containers.filter(n, n != "${CONTAINER}")` },
        {
          name: 'place',
          expression: `"${MESH_SIDECAR}" in variables.others ? ${JSON.stringify(MESH_CONTAINERS)}.map(n, variables.others.indexOf(n) + 1).max() : 0`,
        },
        { name: 'volumes', expression: 'object.spec.?volumes.orValue([]).map(v, v.name)' },
        { name: 'pullSecret', expression: chosen(fragment.pullSecret) },
        { name: 'pullSecrets', expression: 'object.spec.?imagePullSecrets.orValue([]).map(s, s.name)' },
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
