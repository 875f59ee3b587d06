/** Operations of JSON Patch on the lists of a pod, as expressions of a mutating admission policy: each is a list of operations. */
import { celOf } from './cel.ts';
import type { JsonObject, Setting } from './fragment.ts';

/** A setting as an expression: the annotation of the pod, or the default. */
export const chosenInCel = ({ annotation, byDefault }: Setting): string => {
  const [key, value] = [annotation, byDefault].map((text) => JSON.stringify(text));
  return `(${key} in variables.annotations ? variables.annotations[${key}] : ${value})`;
};

/** What the operations below read: names of containers and volumes, and the Secret of the image. */
export const podVariables = (container: string, pullSecret: Setting): readonly JsonObject[] => [
  { name: 'annotations', expression: 'object.metadata.?annotations.orValue({})' },
  { name: 'containers', expression: 'object.spec.?initContainers.orValue([]).map(c, c.name)' },
  { name: 'others', expression: `variables.containers.filter(n, n != "${container}")` },
  { name: 'volumes', expression: 'object.spec.?volumes.orValue([]).map(v, v.name)' },
  { name: 'pullSecret', expression: chosenInCel(pullSecret) },
  { name: 'pullSecrets', expression: 'object.spec.?imagePullSecrets.orValue([]).map(s, s.name)' },
];

/** Puts a container at `variables.place` of the init containers, instead of the container of its name. */
export const containerPut = (container: JsonObject): readonly string[] => {
  const name = JSON.stringify(container['name']);
  return [
    'variables.containers.size() == 0 ? [JSONPatch{op: "add", path: "/spec/initContainers", value: []}] : []',
    `variables.containers.indexOf(${name}) >= 0 ? [JSONPatch{op: "remove", path: "/spec/initContainers/" + string(variables.containers.indexOf(${name}))}] : []`,
    `[JSONPatch{op: "add", path: "/spec/initContainers/" + string(variables.place), value: ${celOf(container, { type: 'Object.spec.initContainers', chosen: chosenInCel })}}]`,
  ];
};

/** Puts volumes into the pod, each instead of the volume of its name. */
export const volumesPut = (volumes: readonly JsonObject[]): readonly string[] => [
  'variables.volumes.size() == 0 ? [JSONPatch{op: "add", path: "/spec/volumes", value: []}] : []',
  ...volumes.map((volume) => {
    const name = JSON.stringify(volume['name']);
    const [has, at] = [`${name} in variables.volumes`, `variables.volumes.indexOf(${name})`];
    const [op, path] = [`${has} ? "replace" : "add"`, `"/spec/volumes/" + (${has} ? string(${at}) : "-")`];
    return `[JSONPatch{op: ${op}, path: ${path}, value: ${celOf(volume, { type: 'Object.spec.volumes', chosen: chosenInCel })}}]`;
  }),
];

/** Names the Secret of the image, if the pod does not. */
export const pullSecretAdded = (): string => {
  const secret = 'Object.spec.imagePullSecrets{name: variables.pullSecret}';
  const [first, next] = [
    `"/spec/imagePullSecrets", value: [${secret}]`,
    `"/spec/imagePullSecrets/-", value: ${secret}`,
  ];
  return `variables.pullSecret == "" || variables.pullSecret in variables.pullSecrets ? [] : variables.pullSecrets.size() == 0 ? [JSONPatch{op: "add", path: ${first}}] : [JSONPatch{op: "add", path: ${next}}]`;
};

/** The patch of a policy: its operations in order. */
export const patchOf = (operations: readonly string[]): readonly JsonObject[] => [
  { patchType: 'JSONPatch', jsonPatch: { expression: operations.map((operation) => `(${operation})`).join(' +\n') } },
];
