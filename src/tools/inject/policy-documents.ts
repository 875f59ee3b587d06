import { stringify } from 'yaml';
import { INJECT_LABEL } from './fragment.ts';
import type { JsonObject } from './fragment.ts';

const API = 'admissionregistration.k8s.io/v1';
/** The label of a namespace whose pods get Remit. */
const INJECTION_LABEL = 'remit.dev/injection';

/** A binding: where a policy is in force. */
interface Binding {
  /** The end of its name. */
  readonly name: string;
  readonly matchResources: JsonObject;
}

/** Namespaces whose pods cannot opt out. */
const REQUIRED: Binding = {
  name: 'required',
  matchResources: { namespaceSelector: { matchLabels: { [INJECTION_LABEL]: 'required' } } },
};

/** Bindings of the guards for the configuration of a namespace, and for the mesh settings of its pods. */
export const REQUIRED_BINDINGS: readonly Binding[] = [REQUIRED];

/** Which pods get Remit: those that a binding of these selects. */
export const POD_BINDINGS: readonly Binding[] = [
  {
    name: 'namespaces',
    matchResources: {
      namespaceSelector: { matchLabels: { [INJECTION_LABEL]: 'enabled' } },
      objectSelector: { matchExpressions: [{ key: INJECT_LABEL, operator: 'NotIn', values: ['disabled'] }] },
    },
  },
  REQUIRED,
  {
    name: 'pods',
    matchResources: {
      namespaceSelector: { matchExpressions: [{ key: INJECTION_LABEL, operator: 'NotIn', values: ['disabled'] }] },
      objectSelector: { matchLabels: { [INJECT_LABEL]: 'enabled' } },
    },
  },
];

/** Which pods may have the helper of a service: all whose namespace does not refuse injection, if they ask for it. */
export const HELPER_BINDINGS: readonly Binding[] = [
  {
    name: 'pods',
    matchResources: {
      namespaceSelector: { matchExpressions: [{ key: INJECTION_LABEL, operator: 'NotIn', values: ['disabled'] }] },
    },
  },
];

/** A rule for operations on resources of the core group. */
export const coreRule = (operations: readonly string[], resources: readonly string[]): JsonObject => ({
  apiGroups: [''],
  apiVersions: ['v1'],
  operations,
  resources,
});

/** A policy and its bindings, as YAML documents. */
export function policyDocuments(
  kind: 'MutatingAdmissionPolicy' | 'ValidatingAdmissionPolicy',
  { name, spec, bindings }: { readonly name: string; readonly spec: JsonObject; readonly bindings: readonly Binding[] },
): string {
  const actions: JsonObject = kind === 'ValidatingAdmissionPolicy' ? { validationActions: ['Deny'] } : {};
  const bound = bindings.map((binding) => ({
    apiVersion: API,
    kind: `${kind}Binding`,
    metadata: { name: `${name}-${binding.name}` },
    spec: { policyName: name, ...actions, matchResources: binding.matchResources },
  }));
  return [{ apiVersion: API, kind, metadata: { name }, spec }, ...bound]
    .map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
    .join('---\n');
}
