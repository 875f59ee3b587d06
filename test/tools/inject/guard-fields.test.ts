import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { isList, isYamlObject } from '../../../src/tools/inject/fragment.ts';
import type { Json } from '../../../src/tools/inject/fragment.ts';
import { guardPolicy } from '../../../src/tools/inject/guard-policy.ts';
import { shippedFragments } from '../../builders/shipped-fragments.ts';
import { describeWith, kubernetesApiPart } from '../../parts.ts';

const fragments = shippedFragments();
const fragment = fragments.sidecar;
const guard = guardPolicy(fragments);
const membersOf = (value: Json | undefined): Readonly<Record<string, Json>> => (isYamlObject(value) ? value : {});
const { container } = fragment;
const mounts = container['volumeMounts'];

/** Fields that the guard leaves to the author of a pod, with what they can do at worst. */
const LEFT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Container: {
    imagePullPolicy: 'where the image comes from that has the right name',
    ports: 'says what is there; a port of the node leads to what listens at the address of the pod anyway',
    resizePolicy: 'a restart',
    restartPolicyRules: 'a restart',
    stdin: 'what `pods/attach` sends, which Remit does not read',
    stdinOnce: 'the same',
    tty: 'the same',
  },
  SecurityContext: {
    appArmorProfile: 'Remit itself may do more',
    procMount: 'the same',
    seLinuxOptions: 'the same; OpenShift sets them',
    windowsOptions: 'no Linux has them',
  },
  VolumeMount: { bindMountOptions: 'less is allowed on the mount' },
  ResourceRequirements: { limits: 'Remit is ended, and nothing is allowed', requests: 'where the pod runs' },
};

// A field that a later Kubernetes has is in none of these lists: somebody has to say what it can do.
describeWith(kubernetesApiPart(), 'the guard and the API of Kubernetes (issue 38, point 5)', ([folder]) => {
  const { definitions } = JSON.parse(readFileSync(join(folder, 'swagger.json'), 'utf8'));

  it.each<[string, string, Readonly<Record<string, Json>>]>([
    ['Container', 'c', container],
    ['SecurityContext', 'c.?securityContext', membersOf(container['securityContext'])],
    ['VolumeMount', 'm', Object.assign({}, ...(isList(mounts) ? mounts.map(membersOf) : []))],
    ['ResourceRequirements', 'c.?resources', {}],
  ])('compares, refuses or knowingly leaves each field of a %s of the sidecar', (kind, expression, compared) => {
    const fields = Object.keys(definitions[`io.k8s.api.core.v1.${kind}`].properties);
    const isRefused = (field: string): boolean => guard.includes(`!${expression}.?${field}.hasValue()`);
    const isHeld = (field: string): boolean =>
      isRefused(field) || (compared[field] !== undefined && guard.includes(`${expression}.?${field}`));
    const known = (field: string): boolean => isHeld(field) || LEFT[kind]?.[field] !== undefined;
    // Not a field of its own: `resources` and `volumeMounts` are rows of this table.
    expect(fields.filter((field) => !known(field) && !['resources', 'volumeMounts'].includes(field))).toEqual([]);
    expect(Object.keys(LEFT[kind] ?? {}).filter((field) => isHeld(field) || !fields.includes(field))).toEqual([]);
  });
});
