import type { Finding } from '../finding.ts';
import { textAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { targetsOf } from './istio-selection.ts';
import { textsAt } from './workloads.ts';

/** What a waypoint may be for. Calls to pod addresses bypass a waypoint for Services; `kubernetes.around` reports that if no NetworkPolicy stops them. */
const FOR: ReadonlySet<string> = new Set(['service', 'all']);

/** Calls that do not go to the waypoint that asks; `null` if no policy is of a waypoint. */
export function waypointFindings(
  policies: readonly HostObject[],
  objects: readonly HostObject[],
): readonly Finding[] | null {
  const asked = new Set(
    policies.flatMap((policy) => targetsOf(policy).map((target) => `${policy.namespace}/${textAt(target, 'name')}`)),
  );
  if (asked.size === 0) return null;
  const waypoints = ofKind(objects, 'Gateway', 'networking.k8s.io').filter(({ name, namespace }) =>
    asked.has(`${namespace}/${name}`),
  );
  const hasIngress = ofKind(objects, 'Gateway').some(
    ({ group, value }) => group === 'networking.istio.io' || textAt(value, 'spec', 'gatewayClassName') === 'istio',
  );
  const namespaces = new Map(ofKind(objects, 'Namespace').map((one) => [one.name, textsAt(one.value, 'labels')]));
  const enrolled = [...ofKind(objects, 'Namespace'), ...ofKind(objects, 'Service')].flatMap((object) => {
    const labels = textsAt(object.value, 'labels');
    const waypoint = labels.get('istio.io/use-waypoint');
    return waypoint === undefined || waypoint === 'none' ? [] : [{ object, waypoint, labels }];
  });
  return [
    ...waypoints.flatMap(notForServices),
    ...enrolled.flatMap(({ labels, object, waypoint }) => {
      const own = object.kind === 'Namespace' ? object.name : object.namespace;
      const place = `${labels.get('istio.io/use-waypoint-namespace') ?? own}/${waypoint}`;
      const isIngress = labels.get(INGRESS) ?? namespaces.get(own)?.get(INGRESS);
      return (asked.has(place) ? [] : [otherWaypoint(object, place)]).concat(
        isIngress === 'true' ? [] : [pastByIngress(object, hasIngress)],
      );
    }),
  ];
}

const INGRESS = 'istio.io/ingress-use-waypoint';

function notForServices(waypoint: HostObject): readonly Finding[] {
  const kind = textsAt(waypoint.value, 'labels').get('istio.io/waypoint-for') ?? 'service';
  return FOR.has(kind)
    ? []
    : [
        {
          code: 'istio.past-sidecar',
          where: placeOf(waypoint),
          message: `\`istio.io/waypoint-for: ${kind}\`: calls of Services do not go to it, and reach the tool unchecked`,
          fix: 'set `istio.io/waypoint-for: service`, or `all`',
        },
      ];
}

const otherWaypoint = (object: HostObject, place: string): Finding => ({
  code: 'istio.past-sidecar',
  where: placeOf(object),
  message: `\`istio.io/use-waypoint\`: its calls go to the waypoint \`${place}\`, which no policy of Remit targets, and reach the tool unchecked`,
  fix: 'name that waypoint in `targetRefs` of the AuthorizationPolicy of Remit, or use the waypoint that it names',
});

/** A gateway of Istio sends calls to the tool itself, unless it is configured to use the waypoint. */
const pastByIngress = (object: HostObject, hasIngress: boolean): Finding => ({
  code: 'istio.past-sidecar',
  where: placeOf(object),
  level: hasIngress ? 'error' : 'info',
  message: `it has no label \`${INGRESS}\`: calls that come by a gateway of Istio go past the waypoint${hasIngress ? ', and reach the tool unchecked' : ''}`,
  fix: `set \`${INGRESS}: 'true'\` on it, or let the gateway ask Remit`,
});
