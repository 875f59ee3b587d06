import { CONTAINER, MESH_CONTAINERS, MESH_SIDECAR } from './fragment.ts';
import type { Fragment, PortList } from './fragment.ts';
import { containerPut, patchOf, podVariables, pullSecretAdded, volumesPut } from './pod-patch.ts';
import { coreRule, POD_BINDINGS, policyDocuments } from './policy-documents.ts';

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
  const operations = [
    'variables.annotations.size() == 0 ? [JSONPatch{op: "add", path: "/metadata/annotations", value: {}}] : []',
    ...fragment.portLists.map(portAdded),
    ...containerPut(fragment.container),
    ...volumesPut(fragment.volumes),
    pullSecretAdded(),
  ];
  return policyDocuments('MutatingAdmissionPolicy', {
    name: 'remit-inject',
    bindings: POD_BINDINGS,
    spec: {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'IfNeeded',
      matchConstraints: { resourceRules: [coreRule(['CREATE'], ['pods'])] },
      variables: [
        ...podVariables(CONTAINER, fragment.pullSecret),
        {
          name: 'place',
          expression: `"${MESH_SIDECAR}" in variables.others ? ${JSON.stringify(MESH_CONTAINERS)}.map(n, variables.others.indexOf(n) + 1).max() : 0`,
        },
      ],
      mutations: patchOf(operations),
    },
  });
}
