import { at, membersAt } from '../tree.ts';
import type { HostObject } from './host-object.ts';

/** What makes pods: an object with a template, or a pod. */
export interface Workload {
  readonly object: HostObject;
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  /** The specification of its pods. */
  readonly spec: unknown;
}

const TEMPLATES: ReadonlyMap<string, readonly string[]> = new Map([
  ['Pod', []],
  ['Deployment', ['spec', 'template']],
  ['StatefulSet', ['spec', 'template']],
  ['DaemonSet', ['spec', 'template']],
  ['ReplicaSet', ['spec', 'template']],
  ['ReplicationController', ['spec', 'template']],
  ['Job', ['spec', 'template']],
  // Of Argo and of OpenShift, in place of a Deployment.
  ['Rollout', ['spec', 'template']],
  ['DeploymentConfig', ['spec', 'template']],
  ['CronJob', ['spec', 'jobTemplate', 'spec', 'template']],
]);

/** The workloads among the objects. */
export const workloadsIn = (objects: readonly HostObject[]): readonly Workload[] =>
  objects.flatMap((object) => {
    const path = TEMPLATES.get(object.kind);
    if (path === undefined) return [];
    const pod = at(object.value, ...path);
    return [
      {
        object,
        labels: textsAt(pod, 'labels'),
        annotations: textsAt(pod, 'annotations'),
        spec: at(pod, 'spec'),
      },
    ];
  });

/** Labels or annotations of an object. */
export const textsAt = (value: unknown, kind: 'labels' | 'annotations'): ReadonlyMap<string, string> =>
  new Map(membersAt(value, 'metadata', kind).map(([name, text]) => [name, String(text)]));
