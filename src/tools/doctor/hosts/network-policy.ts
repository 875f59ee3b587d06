import type { Finding } from '../finding.ts';
import { at, listAt, membersAt, textAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { isSelectedBy } from './label-selector.ts';
import { isOneOf } from './pod-parts.ts';
import type { ToolPod } from './tool-pods.ts';

/** Labels that gateways and waypoints give their own pods. */
const OF_GATEWAYS: ReadonlySet<string> = new Set([
  'gateway.envoyproxy.io/owning-gateway-name',
  'gateway.networking.k8s.io/gateway-name',
]);

/** Policies of networks that this doctor does not read. */
const OTHERS = [
  'CiliumNetworkPolicy',
  'CiliumClusterwideNetworkPolicy',
  'AdminNetworkPolicy',
  'ClusterNetworkPolicy',
  'GlobalNetworkPolicy',
];

/** Whether the NetworkPolicies of a tool's pods let other pods connect to the tool itself. */
export function networkFindings(pod: ToolPod, objects: readonly HostObject[]): readonly Finding[] {
  const holding = ofKind(objects, 'NetworkPolicy', 'networking.k8s.io').filter((policy) => holdsFor(policy, pod));
  if (holding.length === 0) return [absent(pod, objects)];
  return holding.flatMap((policy) =>
    listAt(policy.value, 'spec', 'ingress').flatMap((rule, index): readonly Finding[] => {
      if (isGuarded(rule, pod)) return [];
      return [
        {
          code: 'kubernetes.around',
          where: placeOf(policy),
          message: `\`ingress[${index}]\` lets in ${peersIn(rule)} to the pods of \`${placeOf(pod.workload.object)}\`: ${
            pod.guard === 'pod' ? 'also at ports that are not of Envoy' : 'they need not come through the Gateway'
          }, and nobody is asked about their calls`,
          fix:
            pod.guard === 'pod'
              ? 'name the ports of Envoy in `ports`'
              : `name the pods of the Gateway in \`from\`, such as \`podSelector: { matchLabels: { ${[...OF_GATEWAYS][0] ?? ''}: NAME } }\`; if it does, suppress this here`,
        },
      ];
    }),
  );
}

function absent({ guard, workload }: ToolPod, objects: readonly HostObject[]): Finding {
  const other = OTHERS.find((kind) => ofKind(objects, kind).length > 0);
  return {
    code: 'kubernetes.around',
    where: placeOf(workload.object),
    ...(other === undefined ? {} : { level: 'warning' as const }),
    message: `no NetworkPolicy of the files holds for its pods: any pod can connect to the tool ${
      guard === 'pod' ? 'beside' : 'without'
    } Envoy, and nobody is asked about its calls${other === undefined ? '' : `; a ${other}, which this doctor does not read, may hold`}`,
    fix:
      guard === 'pod'
        ? 'add a NetworkPolicy that lets in the ports of Envoy alone, or let the tool listen on 127.0.0.1 and suppress this here'
        : 'add a NetworkPolicy that lets in the pods of the Gateway alone, or let the tool accept the certificate of Envoy alone and suppress this here',
  };
}

/** Whether a policy is in force for ingress to the pods, as it also is without `policyTypes`. */
function holdsFor({ namespace, value }: HostObject, { workload }: ToolPod): boolean {
  const types = listAt(value, 'spec', 'policyTypes');
  return (
    namespace === workload.object.namespace &&
    (types.length === 0 || types.includes('Ingress')) &&
    isSelectedBy(workload.labels, at(value, 'spec', 'podSelector'))
  );
}

/** Whether a rule lets in what is guarded alone: ports of Envoy in the pod, or pods of a gateway. */
function isGuarded(rule: unknown, { guard, guarded }: ToolPod): boolean {
  if (guard === 'gateway') {
    const peers = listAt(rule, 'from');
    return peers.length > 0 && peers.every(isGateway);
  }
  const ports = listAt(rule, 'ports');
  return (
    ports.length > 0 && ports.every((one) => at(one, 'endPort') === undefined && isOneOf(at(one, 'port'), guarded))
  );
}

/**
 * Pods of a gateway, in the namespace of the tool or in a namespace selected by its name: in any other namespace, anybody who can make a pod can give
 * it that label.
 */
const isGateway = (peer: unknown): boolean =>
  at(peer, 'ipBlock') === undefined &&
  membersAt(peer, 'podSelector', 'matchLabels').some(([name]) => OF_GATEWAYS.has(name)) &&
  (at(peer, 'namespaceSelector') === undefined ||
    textAt(peer, 'namespaceSelector', 'matchLabels', 'kubernetes.io/metadata.name') !== '');

function peersIn(rule: unknown): string {
  const peers = listAt(rule, 'from');
  const blocks = peers.map((one) => textAt(one, 'ipBlock', 'cidr')).filter((one) => one !== '');
  if (peers.length === 0) return 'everybody';
  return blocks.length > 0 ? `addresses (\`${blocks.join('`, `')}\`)` : 'pods that are not known to be of a gateway';
}
