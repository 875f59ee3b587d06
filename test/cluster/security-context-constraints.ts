import type { Manifest } from './addons/manifest.ts';

/** The annotation of a namespace with the users that its pods may have: `FIRST/COUNT`. */
export const UID_RANGE = 'openshift.io/sa.scc.uid-range';
const NAME = 'security-context-constraints';
/** The label of namespaces with a range: conditions of a policy cannot read annotations. */
export const HAS_RANGE = { 'test/uid-range': 'true' } as const;
const PODS = {
  resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
  namespaceSelector: { matchLabels: HAS_RANGE },
};
const FIRST = { name: 'first', expression: `int(namespaceObject.metadata.annotations['${UID_RANGE}'].split('/')[0])` };
const COUNT = { name: 'count', expression: `int(namespaceObject.metadata.annotations['${UID_RANGE}'].split('/')[1])` };

/**
 * What the constraints `restricted-v2` and `nonroot-v2` of OpenShift do to users and groups, as admission policies: a pod gets the first user of the
 * range of its namespace, and that as its group for volumes. A container with a user of its own that is not in the range is refused, unless the
 * service account of the pod may use `nonroot-v2`.
 */
export const securityContextConstraints: readonly Manifest[] = [
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingAdmissionPolicy',
    metadata: { name: NAME },
    spec: {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'Never',
      matchConstraints: PODS,
      variables: [FIRST],
      mutations: [
        {
          patchType: 'ApplyConfiguration',
          applyConfiguration: {
            expression: `Object{spec: Object.spec{securityContext: Object.spec.securityContext{
              runAsUser: object.spec.?securityContext.?runAsUser.orValue(variables.first),
              fsGroup: object.spec.?securityContext.?fsGroup.orValue(variables.first)}}}`,
          },
        },
      ],
    },
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: NAME },
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: PODS,
      variables: [
        FIRST,
        COUNT,
        {
          name: 'users',
          expression: `(object.spec.containers + object.spec.?initContainers.orValue([]))
            .filter(c, has(c.securityContext) && has(c.securityContext.runAsUser)).map(c, c.securityContext.runAsUser)
            + [object.spec.securityContext.runAsUser]`,
        },
        {
          name: 'mayBeAnyone',
          expression: `authorizer.serviceAccount(object.metadata.namespace, object.spec.?serviceAccountName.orValue('default'))
            .group('security.openshift.io').resource('securitycontextconstraints').namespace(object.metadata.namespace).name('nonroot-v2').check('use').allowed()`,
        },
      ],
      validations: [
        {
          expression: `variables.users.all(user, user >= variables.first && user < variables.first + variables.count)
            || (variables.mayBeAnyone && variables.users.all(user, user != 0))`,
          message: 'unable to validate against any security context constraint',
        },
      ],
    },
  },
  ...(['MutatingAdmissionPolicyBinding', 'ValidatingAdmissionPolicyBinding'] as const).map((kind) => ({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind,
    metadata: { name: NAME },
    spec: { policyName: NAME, ...(kind === 'ValidatingAdmissionPolicyBinding' ? { validationActions: ['Deny'] } : {}) },
  })),
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'system:openshift:scc:nonroot-v2' },
    rules: [
      {
        apiGroups: ['security.openshift.io'],
        resources: ['securitycontextconstraints'],
        resourceNames: ['nonroot-v2'],
        verbs: ['use'],
      },
    ],
  },
];
