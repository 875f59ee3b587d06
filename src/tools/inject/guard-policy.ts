import { conditionsOf } from './cel.ts';
import { CONTAINER, INJECT_LABEL } from './fragment.ts';
import type { Fragment, JsonObject } from './fragment.ts';
import type { Fragments } from './fragments.ts';
import { CLEAN_PATH, FORBIDDEN, IS_WHOLE, mountConditions, SKIPPED } from './guarded-container.ts';
import { HELPER_CONTAINER } from './helper-fragment.ts';
import { helperGuard } from './helper-policy.ts';
import { meshGuard } from './mesh-guard.ts';
import { REQUIRED_BINDINGS, coreRule, POD_BINDINGS, policyDocuments } from './policy-documents.ts';

const PROBES = ['startupProbe', 'readinessProbe', 'livenessProbe'] as const;

/**
 * The guard: four ValidatingAdmissionPolicies with their bindings, as YAML. The first refuses a pod whose container `remit` is not the injected
 * container, however it came there, and pods whose other containers could impersonate it. The second is for namespaces that
 * require Remit: to write a ConfigMap that a sidecar mounts takes the right to `configure` the `sidecars` of the group
 * `remit.dev`. The others are `meshGuard` and `helperGuard`.
 */
export function guardPolicy({ helper, sidecar }: Fragments): string {
  return [podGuard(sidecar), configurationGuard(), meshGuard(sidecar), helperGuard(helper)].join('---\n');
}

function podGuard(fragment: Fragment): string {
  return policyDocuments('ValidatingAdmissionPolicy', {
    name: 'remit-guard',
    bindings: POD_BINDINGS,
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        resourceRules: [coreRule(['CREATE', 'UPDATE'], ['pods']), coreRule(['UPDATE'], ['pods/ephemeralcontainers'])],
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
      validations: podValidations(fragment),
    },
  });
}

/** Of an existing pod only the image can be changed. */
const IS_UPDATE = 'request.operation != "CREATE"';

/** What holds of the container `c` if it is the injected container. */
function injectedContainer({ container }: Fragment): readonly string[] {
  const mounts = (container['volumeMounts'] as readonly JsonObject[]).map(mountConditions);
  return [
    ...conditionsOf(container, { expression: 'c', skipped: SKIPPED }),
    ...FORBIDDEN.map((field) => `!c.?${field}.hasValue()`),
    '!c.?securityContext.?capabilities.?add.hasValue()',
    // The driver of a device may mount what it wants.
    '!c.?resources.?claims.hasValue()',
    ...PROBES.map((probe) => `c.?${probe}.?httpGet.hasValue()`),
    ...mounts.map((mount) => `c.volumeMounts.exists(m, ${mount})`),
    // What Kubernetes mounts itself: the token of the service account.
    `c.volumeMounts.all(m, m.name.startsWith("remit-") || m.mountPath.startsWith("/var/run/secrets/"))`,
    `c.volumeMounts.all(m, m.mountPath.${CLEAN_PATH})`,
    `c.volumeMounts.filter(m, m.name.startsWith("remit-")).size() == ${mounts.length}`,
  ];
}

/** What holds of the volumes of a pod if those of Remit are the injected volumes. */
function injectedVolumes({ volumes }: Fragment): readonly string[] {
  const exist = volumes.map(
    (volume) =>
      `object.spec.?volumes.orValue([]).exists(v, ${conditionsOf(volume, { expression: 'v', skipped: SKIPPED }).join(' && ')})`,
  );
  // Another key of a ConfigMap must not be mounted as `remit.yaml`, nor a ConfigMap that anybody may write as the policies.
  const isGuarded =
    'object.spec.?volumes.orValue([]).all(v, !v.name.startsWith("remit-") || !has(v.configMap) || (!v.configMap.?items.hasValue() && v.configMap.name.startsWith("remit-")))';
  return [...exist, isGuarded];
}

/** Envoy makes its admin socket in `remit-envoy`. Only `remit doctor` reads it, and trusts it no more than any other address. */
const IS_SHARED = '((m.name == "remit-run" && m.?readOnly.orValue(false)) || m.name == "remit-envoy")';
/** What another container `c` may mount of Remit. The volumes of a helper have a guard of their own. */
const MAY_MOUNT = [
  `c.?volumeMounts.orValue([]).all(m, !m.name.startsWith("remit-") || m.name.startsWith("${HELPER_CONTAINER}") || (${IS_SHARED} && ${IS_WHOLE}))`,
  'c.?volumeDevices.orValue([]).all(d, !d.name.startsWith("remit-"))',
].join(' && ');

const podValidations = (fragment: Fragment): readonly JsonObject[] => [
  {
    expression: `${IS_UPDATE} ||\n(variables.remit.size() == 1 && variables.remit.all(c,\n  ${injectedContainer(fragment).join(' &&\n  ')}))`,
    message:
      'the native sidecar `remit` must be the one of the policy remit-inject: remove your own, and see that the policy is installed',
  },
  {
    expression: `${IS_UPDATE} ||\n(${injectedVolumes(fragment).join(' &&\n')})`,
    message:
      'the volumes `remit-…` must be those of the policy remit-inject, and the ConfigMap of `remit.dev/policy` be named `remit-…`',
  },
  {
    expression: `${IS_UPDATE} || variables.others.all(c, ${MAY_MOUNT})`,
    message:
      'other containers than `remit` may mount two of its volumes, each as a whole: `remit-run`, with `readOnly: true`, and `remit-envoy`',
  },
  {
    expression: `${IS_UPDATE} || (!object.spec.?shareProcessNamespace.orValue(false) && !object.spec.?hostPID.orValue(false))`,
    message: 'a pod with Remit must not have `shareProcessNamespace` or `hostPID`',
  },
  {
    expression: `request.operation != "UPDATE" || variables.remit.all(c, c.image == ${JSON.stringify(fragment.container['image'])} || c.image in variables.former)`,
    message: 'the image of the container `remit` must not be changed: create the pod anew',
  },
  {
    // A binding selects a pod by this label, before or after the change: without it, the following rules would not apply.
    expression: `request.operation != "UPDATE" || variables.former.size() == 0 || ${['object', 'oldObject'].map((one) => `${one}.metadata.?labels[?"${INJECT_LABEL}"]`).join(' == ')}`,
    message: `the label \`${INJECT_LABEL}\` of a pod with Remit must not be changed: create the pod anew`,
  },
  {
    expression: `object.spec.?ephemeralContainers.orValue([]).all(c, ${MAY_MOUNT} && c.?targetContainerName.orValue("") != "${CONTAINER}")`,
    message:
      'a debug container must not mount volumes of Remit but `remit-run`, with `readOnly: true`, and `remit-envoy`, nor share the processes of `remit`',
  },
];

function configurationGuard(): string {
  const isOurs =
    'object.metadata.?name.orValue("").startsWith("remit-") || object.metadata.?generateName.orValue("").startsWith("remit-")';
  return policyDocuments('ValidatingAdmissionPolicy', {
    name: 'remit-guard-configuration',
    bindings: REQUIRED_BINDINGS,
    spec: {
      failurePolicy: 'Fail',
      // Not deletion: a namespace must be deletable, and nothing is allowed without a configuration.
      matchConstraints: { resourceRules: [coreRule(['CREATE', 'UPDATE'], ['configmaps'])] },
      matchConditions: [{ name: 'of-remit', expression: isOurs }],
      validations: [
        {
          expression:
            'authorizer.group("remit.dev").resource("sidecars").namespace(request.namespace).check("configure").allowed()',
          message:
            'a ConfigMap `remit-…` of a namespace that requires Remit takes the right to `configure` the `sidecars` of `remit.dev`',
        },
      ],
    },
  });
}
