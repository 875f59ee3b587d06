import { at, listAt, membersAt, textAt } from '../tree.ts';
import { ofKind } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { hasRemit } from './socket-mounts.ts';
import { containersOf } from './pod-parts.ts';
import type { ContainerPort } from './pod-parts.ts';
import { textsAt, workloadsIn } from './workloads.ts';
import type { Workload } from './workloads.ts';

/** Pods of a tool whose calls are checked by an Envoy that other pods may bypass. */
export interface ToolPod {
  readonly workload: Workload;
  /** `pod` if Envoy and Remit are in the pod itself; `gateway` if they are in another pod. */
  readonly guard: 'pod' | 'gateway';
  /** For `pod`, the ports of Envoy and Remit. */
  readonly guarded: readonly ContainerPort[];
  /** For `gateway`, the Services that the Gateway forwards to. */
  readonly services: ReadonlySet<HostObject>;
}

/**
 * The pods of tools in the files. A sidecar of Istio is not in them: it gets all connections to its pod, whatever Service, port of the node or
 * address they come by, and what it does not get is `istio.past-sidecar`.
 */
export function toolPodsIn(objects: readonly HostObject[]): readonly ToolPod[] {
  const backends = backendsIn(objects);
  const workloads = workloadsIn(objects);
  // In node mode Remit is in a pod of its own.
  const isAsked = workloads.some(hasRemit);
  return workloads.flatMap((workload): readonly ToolPod[] => {
    const containers = containersOf(workload.spec);
    const kinds = new Set(containers.map(({ kind }) => kind));
    if (isAsked && kinds.has('proxy') && kinds.has('other') && !isOfIstio(containers))
      return [
        {
          workload,
          guard: 'pod',
          guarded: containers.filter(({ kind }) => kind !== 'other').flatMap(({ ports }) => ports.filter(isOpen)),
          services: new Set(),
        },
      ];
    const services = new Set(backends.filter((service) => selects(service, workload)));
    return services.size === 0 ? [] : [{ workload, guard: 'gateway', guarded: [], services }];
  });
}

/** Whether other pods may connect to a port of Envoy or Remit: to any but the port on which Envoy asks Remit. */
const isOpen = ({ number }: ContainerPort): boolean => number !== CHECKS;
const CHECKS = 9470;

const isOfIstio = (containers: readonly { readonly name: string }[]): boolean =>
  containers.some(({ name }) => name === 'istio-proxy');

/** Whether a Service leads to the pods of a workload. A Service without a selector leads to no known pod. */
export function selects({ namespace, value }: HostObject, { labels, object }: Workload): boolean {
  const selector = membersAt(value, 'spec', 'selector');
  return (
    namespace === object.namespace && selector.length > 0 && selector.every(([name, text]) => labels.get(name) === text)
  );
}

/** Policies by which a gateway asks an external service about calls. */
const ASKING: readonly (readonly [kind: string, path: readonly string[]])[] = [
  ['SecurityPolicy', ['spec', 'extAuth']],
  ['TrafficPolicy', ['spec', 'extAuth']],
  ['AgentgatewayPolicy', ['spec', 'traffic', 'extAuth']],
];

/** The Services to which routes of gateways forward, if a gateway asks Remit, and those behind a waypoint that asks. */
function backendsIn(objects: readonly HostObject[]): readonly HostObject[] {
  const services = ofKind(objects, 'Service').filter(({ group }) => group === '');
  const isAsked = ASKING.some(([kind, path]) =>
    ofKind(objects, kind).some(({ value }) => at(value, ...path) !== undefined),
  );
  const refs = isAsked
    ? [...ofKind(objects, 'HTTPRoute'), ...ofKind(objects, 'GRPCRoute')].flatMap(({ namespace, value }) =>
        listAt(value, 'spec', 'rules')
          .flatMap((rule) => listAt(rule, 'backendRefs'))
          .filter((ref) => ['', 'Service'].includes(textAt(ref, 'kind')))
          .map((ref) => `${textAt(ref, 'namespace') || namespace}/${textAt(ref, 'name')}`),
      )
    : [];
  const waypoints = new Set(
    ofKind(objects, 'AuthorizationPolicy', 'istio.io')
      .filter(
        ({ value }) => textAt(value, 'spec', 'action') === 'CUSTOM' && listAt(value, 'spec', 'targetRefs').length > 0,
      )
      .map(({ namespace }) => namespace),
  );
  return services.filter(
    (service) =>
      refs.includes(`${service.namespace}/${service.name}`) ||
      (waypoints.has(service.namespace) &&
        textsAt(service.value, 'labels').get('istio.io/use-waypoint') !== 'none' &&
        isBehindWaypoint(service, objects)),
  );
}

/** Whether the calls of a Service go to a waypoint: by its own label, or that of its namespace. */
const isBehindWaypoint = (service: HostObject, objects: readonly HostObject[]): boolean =>
  [service, ...ofKind(objects, 'Namespace').filter(({ name }) => name === service.namespace)].some(({ value }) =>
    textsAt(value, 'labels').has('istio.io/use-waypoint'),
  );
