import { at, listAt, membersAt, textAt } from '../tree.ts';
import { ofKind } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { isSelectedBy } from './label-selector.ts';
import { containersOf } from './pod-parts.ts';
import { hasRemit } from './socket-mounts.ts';
import { selects } from './tool-pods.ts';
import { workloadsIn } from './workloads.ts';
import type { Workload } from './workloads.ts';

const ROOT = 'istio-system';

const rootOf = (objects: readonly HostObject[]): string =>
  ofKind(objects, 'MeshConfig')
    .map(({ value }) => textAt(value, 'rootNamespace'))
    .find((name) => name !== '') ?? ROOT;

/** The selector of a policy; `undefined` if it holds for every workload of its namespace. */
export const selectorOf = ({ value }: HostObject): unknown => at(value, 'spec', 'selector');

/** The Services, gateways and waypoints that a policy targets. */
export const targetsOf = ({ value }: HostObject): readonly unknown[] => [
  ...listAt(value, 'spec', 'targetRefs'),
  ...[at(value, 'spec', 'targetRef')].filter((target) => target !== undefined),
];

/** Whether a policy holds in a namespace: its own, or any if it is in the root namespace of the mesh. */
export const isInScope = (policy: HostObject, namespace: string, objects: readonly HostObject[]): boolean =>
  policy.namespace === namespace || policy.namespace === rootOf(objects);

/** The workloads that a policy holds for. */
export const selectedBy = (policy: HostObject, objects: readonly HostObject[]): readonly Workload[] =>
  workloadsIn(objects).filter(
    ({ labels, object }) => isInScope(policy, object.namespace, objects) && isSelectedBy(labels, selectorOf(policy)),
  );

/**
 * Whether Remit must see the calls of a workload. `unsure`: a policy without labels covers its whole namespace, and nothing in the files says that
 * the workload takes calls, as is usual for an agent.
 */
export type Guard = 'guarded' | 'unsure' | 'none';

/** How the policies of Remit, or a Remit in its pod, guard a workload. Pods of Remit alone, such as its authority, have no tool to guard. */
export function guardOf(workload: Workload, policies: readonly HostObject[], objects: readonly HostObject[]): Guard {
  if (isRemitAlone(workload)) return 'none';
  if (hasRemit(workload)) return 'guarded';
  const inScope = policies.filter(
    (policy) =>
      isInScope(policy, workload.object.namespace, objects) &&
      (targetsOf(policy).length > 0 || isSelectedBy(workload.labels, selectorOf(policy))),
  );
  if (inScope.length === 0) return 'none';
  return inScope.some(hasLabels) || takesCalls(workload, objects) ? 'guarded' : 'unsure';
}

/** Whether a policy names its workloads by labels. */
const hasLabels = (policy: HostObject): boolean =>
  targetsOf(policy).length === 0 && membersAt(selectorOf(policy), 'matchLabels').length > 0;

/** Whether a pod has Remit, and no container but Remit and proxies: the pod of an authority, of a node, or of a job of Remit. */
export const isRemitAlone = (workload: Workload): boolean =>
  hasRemit(workload) && containersOf(workload.spec).every(({ kind }) => kind !== 'other');

/** Whether a Service of the files leads to a workload, or one of its containers declares a port. */
const takesCalls = (workload: Workload, objects: readonly HostObject[]): boolean =>
  ofKind(objects, 'Service').some((service) => selects(service, workload)) ||
  containersOf(workload.spec).some(({ kind, ports }) => kind === 'other' && ports.length > 0);
