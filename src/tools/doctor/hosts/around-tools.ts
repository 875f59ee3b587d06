import type { Finding } from '../finding.ts';
import { at, isTrueAt, listAt, membersAt, textAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { containersOf, isOneOf } from './pod-parts.ts';
import { selects } from './tool-pods.ts';
import type { ToolPod } from './tool-pods.ts';

/** Ports of the node, and Services, that lead to a tool and bypass the Envoy that asks. */
export const waysAround = (pod: ToolPod, objects: readonly HostObject[]): readonly Finding[] => [
  ...nodePorts(pod),
  ...ofKind(objects, 'Service')
    .filter(({ group }) => group === '')
    .flatMap((service) => serviceFindings(service, pod)),
];

function nodePorts({ guard, workload: { object, spec } }: ToolPod): readonly Finding[] {
  const ports = containersOf(spec)
    .filter(({ kind }) => kind === 'other')
    .flatMap((container) => container.ports)
    .flatMap(({ hostPort }) => (hostPort === null ? [] : [hostPort]));
  const where = placeOf(object);
  const fix = 'remove it: agents come through Envoy';
  return [
    ...ports.map((port) => ({
      code: 'kubernetes.around' as const,
      where,
      message: `\`hostPort: ${port}\`: the tool answers at this port of each node, and nobody is asked about those calls`,
      fix,
    })),
    ...(isTrueAt(spec, 'hostNetwork')
      ? [
          {
            code: 'kubernetes.around' as const,
            where,
            message: `\`hostNetwork: true\`: the tool answers at its ports of each node${guard === 'pod' ? ', beside Envoy' : ''}; a NetworkPolicy does not hold for it`,
            fix: 'remove it',
          },
        ]
      : []),
  ];
}

function serviceFindings(service: HostObject, pod: ToolPod): readonly Finding[] {
  const { object } = pod.workload;
  if (service.namespace === object.namespace && membersAt(service.value, 'spec', 'selector').length === 0)
    return isAlias(service)
      ? []
      : [
          {
            code: 'kubernetes.around',
            where: placeOf(service),
            level: 'warning',
            message: `it has no \`selector\`: its endpoints are written by somebody, and may be those of \`${placeOf(object)}\`, past Envoy`,
            fix: 'give it a selector, or suppress this here if its endpoints are others',
          },
        ];
  if (!selects(service, pod.workload)) return [];
  return pod.guard === 'pod' ? pastEnvoy(service, pod) : second(service, pod);
}

/** A name for another host: callers who can use it could call that host directly. */
const isAlias = ({ value }: HostObject): boolean => textAt(value, 'spec', 'type') === 'ExternalName';

function pastEnvoy(service: HostObject, { guarded, workload }: ToolPod): readonly Finding[] {
  return listAt(service.value, 'spec', 'ports')
    .map((port) => at(port, 'targetPort') ?? at(port, 'port'))
    .filter((port) => !isOneOf(port, guarded))
    .map((port) => ({
      code: 'kubernetes.around' as const,
      where: placeOf(service),
      message: `it leads to the port \`${String(port)}\` of \`${placeOf(workload.object)}\`, which is not a port of its Envoy: Remit is not asked about those calls`,
      fix: 'let `targetPort` be the port of Envoy, and let Envoy declare it in `ports`',
    }));
}

const second = (service: HostObject, { services, workload }: ToolPod): readonly Finding[] =>
  services.has(service)
    ? []
    : [
        {
          code: 'kubernetes.around',
          where: placeOf(service),
          level: 'warning',
          message: `it leads to \`${placeOf(workload.object)}\` too, and no route of the Gateway forwards to it: nobody is asked about calls that come by it`,
          fix: 'remove it, or let a NetworkPolicy keep all but the Gateway from the tool and suppress this here',
        },
      ];
