import { celOf, conditionsOf } from './cel.ts';
import { CONTAINER, MESH_CONTAINERS, MESH_SIDECAR } from './fragment.ts';
import type { JsonObject } from './fragment.ts';
import { CLEAN_PATH, FORBIDDEN, IS_WHOLE, mountConditions, SKIPPED } from './guarded-container.ts';
import { FORWARD_ANNOTATION, HELPER_ANNOTATION, HELPER_CONTAINER } from './helper-fragment.ts';
import type { HelperFragment } from './helper-fragment.ts';
import { chosenInCel, containerPut, patchOf, podVariables, pullSecretAdded, volumesPut } from './pod-patch.ts';
import { coreRule, HELPER_BINDINGS, policyDocuments } from './policy-documents.ts';

const IS_ASKED = `"${HELPER_ANNOTATION}" in object.metadata.?annotations.orValue({})`;
const HAS_HELPER = `object.spec.?initContainers.orValue([]).exists(c, c.name == "${HELPER_CONTAINER}")`;
/** The name of the container of the service; empty without the annotation. */
const SERVICE = { name: 'service', expression: `object.metadata.?annotations[?"${HELPER_ANNOTATION}"].orValue("")` };

/** Adds entries to a list of the container of the service, each unless it has an entry of that name. */
const addedToService = (list: 'env' | 'volumeMounts', entries: readonly JsonObject[]): readonly string[] => {
  const at = `"/spec/containers/" + string(variables.at) + "/${list}`;
  const had = `variables.found[0].?${list}.orValue([])`;
  return [
    `variables.at < 0 || ${had}.size() > 0 ? [] : [JSONPatch{op: "add", path: ${at}", value: []}]`,
    ...entries.map((entry) => {
      const value = celOf(entry, { type: `Object.spec.containers.${list}`, chosen: chosenInCel });
      return `variables.at < 0 || ${had}.exists(e, e.name == ${JSON.stringify(entry['name'])}) ? [] : [JSONPatch{op: "add", path: ${at}/-", value: ${value}}]`;
    }),
  ];
};

/**
 * The policy that injects the helper of a service: a MutatingAdmissionPolicy with its binding, as YAML, for pods with the annotation
 * `remit.dev/agent`. It puts the container after those of Istio and after Remit, and gives the container of the service its folder, read-only.
 */
export function helperPolicy({ container, pullSecret, service, volumes }: HelperFragment): string {
  return policyDocuments('MutatingAdmissionPolicy', {
    name: 'remit-inject-agent',
    bindings: HELPER_BINDINGS,
    spec: {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'IfNeeded',
      matchConstraints: { resourceRules: [coreRule(['CREATE'], ['pods'])] },
      matchConditions: [{ name: 'asks-for-a-helper', expression: IS_ASKED }],
      variables: [
        ...podVariables(HELPER_CONTAINER, pullSecret),
        {
          name: 'place',
          expression: `(("${MESH_SIDECAR}" in variables.others ? ${JSON.stringify(MESH_CONTAINERS)} : []) + ["${CONTAINER}"]).map(n, variables.others.indexOf(n) + 1).max()`,
        },
        SERVICE,
        { name: 'found', expression: 'object.spec.containers.filter(c, c.name == variables.service)' },
        { name: 'at', expression: 'object.spec.containers.map(c, c.name).indexOf(variables.service)' },
      ],
      mutations: patchOf([
        ...containerPut(container),
        ...volumesPut(volumes),
        ...addedToService('env', service.env),
        ...addedToService('volumeMounts', service.volumeMounts),
        pullSecretAdded(),
      ]),
    },
  });
}

const IS_UPDATE = 'request.operation != "CREATE"';
const PREFIX = HELPER_CONTAINER;

/** What holds of the container `c` if it is the injected helper. */
function injectedHelper({ container }: HelperFragment): readonly string[] {
  const mounts = container['volumeMounts'] as readonly JsonObject[];
  const probe = (container['startupProbe'] as JsonObject)['exec'] as JsonObject;
  return [
    ...conditionsOf(container, { expression: 'c', skipped: SKIPPED }),
    ...FORBIDDEN.map((field) => `!c.?${field}.hasValue()`),
    '!c.?securityContext.?capabilities.?add.hasValue()',
    '!c.?resources.?claims.hasValue()',
    // A probe runs a program in the container: only this one.
    ...conditionsOf(probe, { expression: 'c.?startupProbe.?exec', skipped: new Set() }),
    '!c.?readinessProbe.hasValue()',
    '!c.?livenessProbe.hasValue()',
    ...mounts.map((mount) => `c.volumeMounts.exists(m, ${mountConditions(mount)})`),
    `c.volumeMounts.all(m, m.name.startsWith("${PREFIX}") || m.mountPath.startsWith("/var/run/secrets/"))`,
    `c.volumeMounts.all(m, m.mountPath.${CLEAN_PATH})`,
    `c.volumeMounts.filter(m, m.name.startsWith("${PREFIX}")).size() == ${mounts.length}`,
  ];
}

/** What holds of the volumes of a pod if those of the helper are the injected volumes. */
function helperVolumes({ volumes }: HelperFragment): readonly string[] {
  const all = 'object.spec.?volumes.orValue([])';
  return [
    ...volumes.map(
      (volume) => `${all}.exists(v, ${conditionsOf(volume, { expression: 'v', skipped: SKIPPED }).join(' && ')})`,
    ),
    // Another key of a ConfigMap must not be mounted as an intent, nor a ConfigMap that anybody may write.
    `${all}.all(v, !v.name.startsWith("${PREFIX}") || !has(v.configMap) || (!v.configMap.?items.hasValue() && v.configMap.name.startsWith("remit-")))`,
  ];
}

/** What a container `c` may have of the volumes of the helper: nothing. */
const HAS_NOTHING = `c.?volumeMounts.orValue([]).all(m, !m.name.startsWith("${PREFIX}")) && c.?volumeDevices.orValue([]).all(d, !d.name.startsWith("${PREFIX}"))`;
/** What the container of the service may have: the folder, as a whole and read-only, so that it replaces no socket. */
const HAS_FOLDER = `c.?volumeMounts.orValue([]).all(m, !m.name.startsWith("${PREFIX}") || (m.name == "${PREFIX}" && m.?readOnly.orValue(false) && ${IS_WHOLE})) && c.?volumeDevices.orValue([]).all(d, !d.name.startsWith("${PREFIX}"))`;

const validations = (fragment: HelperFragment): readonly JsonObject[] => [
  {
    expression: `${IS_UPDATE} || (variables.service != "" && object.spec.containers.exists(c, c.name == variables.service))`,
    message: `the annotation \`${HELPER_ANNOTATION}\` must name a container of the pod: that of the service`,
  },
  {
    expression: `${IS_UPDATE} || object.metadata.?annotations[?"${FORWARD_ANNOTATION}"].orValue("") != ""`,
    message: `the annotation \`${FORWARD_ANNOTATION}\` is required beside \`${HELPER_ANNOTATION}\`: the upstreams, such as \`tools=https://tools.acme.test\``,
  },
  {
    // Without either the image decides, which no manifest shows.
    expression: `${IS_UPDATE} || object.spec.containers.filter(c, c.name == variables.service).all(c, c.?securityContext.?runAsUser.orValue(object.spec.?securityContext.?runAsUser.orValue(${fragment.user})) in [0, ${fragment.user}])`,
    message: `the container that \`${HELPER_ANNOTATION}\` names must run as user ${fragment.user} or 0: the folder of its helper is closed to all others`,
  },
  {
    expression: `${IS_UPDATE} ||\n(variables.helper.size() == 1 && variables.helper.all(c,\n  ${injectedHelper(fragment).join(' &&\n  ')}))`,
    message: `the native sidecar \`${HELPER_CONTAINER}\` must be the one of the policy remit-inject-agent: remove your own, and see that the policy is installed`,
  },
  {
    expression: `${IS_UPDATE} ||\n(${helperVolumes(fragment).join(' &&\n')})`,
    message: `the volumes \`${PREFIX}…\` must be those of the policy remit-inject-agent, and the ConfigMap of \`remit.dev/agent-intents\` be named \`remit-…\``,
  },
  {
    expression: `${IS_UPDATE} ||\n(object.spec.?initContainers.orValue([]).all(c, c.name == "${HELPER_CONTAINER}" || (${HAS_NOTHING})) &&\nobject.spec.containers.all(c, c.name == variables.service ? (${HAS_FOLDER}) : (${HAS_NOTHING})))`,
    message: `the container that \`${HELPER_ANNOTATION}\` names alone may mount \`${PREFIX}\`, as a whole and with \`readOnly: true\`: who has it acts for every user of the service`,
  },
  {
    expression: `${IS_UPDATE} || (!object.spec.?shareProcessNamespace.orValue(false) && !object.spec.?hostPID.orValue(false))`,
    message: `a pod with \`${HELPER_CONTAINER}\` must not have \`shareProcessNamespace\` or \`hostPID\``,
  },
  {
    expression: `request.operation != "UPDATE" || variables.helper.all(c, c.image == ${JSON.stringify(fragment.container['image'])} || c.image in variables.former)`,
    message: `the image of the container \`${HELPER_CONTAINER}\` must not be changed: create the pod anew`,
  },
  {
    // Otherwise another container could be called the service, for the following rule.
    expression: `request.operation != "UPDATE" || ${['object', 'oldObject'].map((one) => `${one}.metadata.?annotations[?"${HELPER_ANNOTATION}"]`).join(' == ')}`,
    message: `the annotation \`${HELPER_ANNOTATION}\` of a pod must not be changed: create the pod anew`,
  },
  {
    expression: `object.spec.?ephemeralContainers.orValue([]).all(c, ${HAS_NOTHING} && c.?targetContainerName.orValue("") != "${HELPER_CONTAINER}" && c.?targetContainerName.orValue("") != variables.service)`,
    message: `a debug container must not mount \`${PREFIX}\`, nor share the processes of \`${HELPER_CONTAINER}\` or of the service`,
  },
];

/**
 * The part of the guard for helpers of services, as YAML: it refuses a pod whose container `remit-agent` is not the injected helper, and pods in which
 * another container than that of the service could get at its secret.
 */
export function helperGuard(fragment: HelperFragment): string {
  return policyDocuments('ValidatingAdmissionPolicy', {
    name: 'remit-guard-agent',
    bindings: HELPER_BINDINGS,
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        resourceRules: [coreRule(['CREATE', 'UPDATE'], ['pods']), coreRule(['UPDATE'], ['pods/ephemeralcontainers'])],
      },
      matchConditions: [{ name: 'has-a-helper', expression: `${IS_ASKED} || ${HAS_HELPER}` }],
      variables: [
        SERVICE,
        {
          name: 'helper',
          expression: `object.spec.?initContainers.orValue([]).filter(c, c.name == "${HELPER_CONTAINER}")`,
        },
        {
          name: 'former',
          expression: `oldObject == null ? [] : oldObject.spec.?initContainers.orValue([]).filter(c, c.name == "${HELPER_CONTAINER}").map(c, c.image)`,
        },
      ],
      validations: validations(fragment),
    },
  });
}
