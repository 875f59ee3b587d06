import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import { at, isTrueAt, listAt, textAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { OWN_TEMPLATES } from './istio-mesh.ts';
import { guardOf, isRemitAlone, selectedBy, selectorOf, targetsOf } from './istio-selection.ts';
import { waypointFindings } from './istio-waypoint.ts';
import { isSelectedBy } from './label-selector.ts';
import { hasRemit } from './socket-mounts.ts';
import { textsAt, workloadsIn } from './workloads.ts';
import type { Workload } from './workloads.ts';

/** All policies of Istio that name the provider of Remit. */
type Policies = (objects: readonly HostObject[]) => readonly HostObject[];

const ofPolicies = (
  policies: Policies,
  find: (policy: HostObject, objects: readonly HostObject[]) => readonly Finding[],
): Check['run'] => {
  return ({ objects }) => {
    const found = policies(objects);
    return found.length === 0 ? null : found.flatMap((policy) => find(policy, objects));
  };
};

/** What istiod, a program in Go, takes for true in a text. @see https://pkg.go.dev/strconv#ParseBool */
const TRUE_WORDS: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);

/** A policy asks only with the action CUSTOM, and not in a dry run. */
function asksFindings(policy: HostObject): readonly Finding[] {
  const where = placeOf(policy);
  const action = textAt(policy.value, 'spec', 'action') || 'ALLOW';
  if (action !== 'CUSTOM')
    return [
      {
        code: 'istio.not-asked',
        where,
        message: `it names a provider and its action is \`${action}\`: nobody is asked, and calls reach the tool unchecked`,
        fix: 'set `action: CUSTOM`',
      },
    ];
  return TRUE_WORDS.has(textsAt(policy.value, 'annotations').get('istio.io/dry-run') ?? '')
    ? [
        {
          code: 'istio.not-asked',
          where,
          message: 'it is a dry run (`istio.io/dry-run`): nobody is asked, and calls reach the tool unchecked',
          fix: 'remove the annotation',
        },
      ]
    : [];
}

const WAYPOINT = 'istio-waypoint';

function selectsFindings(policy: HostObject, objects: readonly HostObject[]): readonly Finding[] {
  const where = placeOf(policy);
  const targeted = new Set(
    ofKind(objects, 'AuthorizationPolicy', 'istio.io').flatMap((one) =>
      targetsOf(one).map((target) => textAt(target, 'name')),
    ),
  );
  const waypoints = ofKind(objects, 'Gateway', 'networking.k8s.io').filter(
    ({ name, namespace, value }) =>
      textAt(value, 'spec', 'gatewayClassName') === WAYPOINT && namespace === policy.namespace && !targeted.has(name),
  );
  if (targetsOf(policy).length > 0) return missingTargets(policy, objects);
  const workloads = workloadsIn(objects).filter((workload) => !isRemitAlone(workload));
  if (workloads.length === 0) {
    return waypoints.length > 0 && selectorOf(policy) !== undefined
      ? [
          {
            code: 'istio.no-workload',
            where,
            message: `it has a \`selector\`, which the waypoint \`${waypoints[0]?.name ?? ''}\` does not obey: Remit is asked by sidecars alone`,
            fix: 'name the waypoint in `targetRefs`, as deploy/hosts/istio-waypoint/waypoint.yaml does',
            level: 'warning',
          },
        ]
      : [];
  }
  if (selectedBy(policy, objects).length > 0) return [];
  const elsewhere = workloads.find(({ labels }) => isSelectedBy(labels, selectorOf(policy)));
  return [
    {
      code: 'istio.no-workload',
      where,
      message:
        elsewhere === undefined
          ? 'no workload of the files has the labels of its `selector`: nobody is asked about their calls'
          : `it is in the namespace \`${policy.namespace}\`, and what it selects is in \`${elsewhere.object.namespace}\`: nobody is asked about those calls`,
      fix:
        elsewhere === undefined
          ? 'write the labels of the pods of the tool into `selector.matchLabels`'
          : `put the policy into the namespace \`${elsewhere.object.namespace}\``,
    },
  ];
}

/** Targets that are not in the files, if the files have other objects of their kind. */
const missingTargets = (policy: HostObject, objects: readonly HostObject[]): readonly Finding[] =>
  targetsOf(policy).flatMap((target): readonly Finding[] => {
    const kind = textAt(target, 'kind');
    const known = objects.filter((one) => one.kind === kind);
    const isKnown = known.some(
      ({ name, namespace }) => name === textAt(target, 'name') && namespace === policy.namespace,
    );
    return known.length === 0 || isKnown
      ? []
      : [
          {
            code: 'istio.no-workload',
            where: placeOf(policy),
            message: `the namespace \`${policy.namespace}\` has no ${kind} \`${textAt(target, 'name')}\`: nobody is asked about its calls`,
            fix: 'correct the name, or put the policy into the namespace of what it targets',
          },
        ];
  });

const entriesOf = (list: string): readonly string[] => list.split(',').map((entry) => entry.trim());
const hasOther = (list: string, known: readonly string[]): boolean =>
  entriesOf(list).some((entry) => !known.includes(entry));

const INJECT = 'sidecar.istio.io/inject';

/** What lets calls bypass the sidecar of a pod, or a waypoint: labels and annotations with the values that do so. */
const PAST: readonly (readonly [name: string, isBad: (value: string) => boolean, message: string])[] = [
  // 9471 is the port of Remit itself, which injection adds; 15020 the status port of Istio's agent, which its CNI adds.
  [
    'traffic.sidecar.istio.io/excludeInboundPorts',
    (value) => hasOther(value, ['', '9471', '15020']),
    'calls of these ports go past the sidecar',
  ],
  // istio-init excludes the status port of the sidecar, whatever listens there.
  [
    'status.sidecar.istio.io/port',
    (value) => !['0', '15020', ''].includes(value),
    'calls of this port go past the sidecar',
  ],
  [
    'traffic.sidecar.istio.io/includeInboundPorts',
    (value) => value !== '*',
    'calls of other ports than these go past the sidecar',
  ],
  [
    'traffic.sidecar.istio.io/excludeInterfaces',
    (value) => value !== '',
    'calls of these interfaces go past the sidecar',
  ],
  [
    'traffic.sidecar.istio.io/includeInboundIPRanges',
    (value) => value !== '*',
    'calls to other addresses go past the sidecar',
  ],
  ['sidecar.istio.io/interceptionMode', (value) => value === 'NONE', 'no call is taken to the sidecar'],
  [INJECT, (value) => value === 'false', 'its pods have no sidecar'],
  [
    'inject.istio.io/templates',
    (value) => !entriesOf(value).includes('sidecar'),
    'its pods have another sidecar, or none',
  ],
  [
    'sidecar.istio.io/bootstrapOverride',
    (value) => value !== '',
    'its sidecar starts with another configuration, which may ask nobody',
  ],
  ['sidecar.istio.io/proxyImage', (value) => value !== '', 'its sidecar is another program'],
  ['istio.io/dataplane-mode', (value) => value === 'none', 'no call is taken to the mesh'],
  ['istio.io/use-waypoint', (value) => value === 'none', 'calls go past the waypoint'],
  ['istio.io/use-waypoint-canary', (value) => value !== '', 'some calls go to another waypoint'],
  ['ambient.istio.io/bypass-inbound-capture', (value) => value === 'true', 'calls go past the mesh'],
];

/** Templates that change the sidecar, such as a template for certificates of SPIRE: only a warning. */
const furtherTemplates = ({ annotations, object }: Workload): readonly Finding[] => {
  const value = annotations.get(TEMPLATES) ?? '';
  return entriesOf(value).includes('sidecar') && hasOther(value, ['sidecar', ...OWN_TEMPLATES])
    ? [
        {
          ...past(object, `${TEMPLATES}: ${value}`, 'another template may change the sidecar so that calls go past it'),
          level: 'warning',
          fix: 'look at what the template changes; a template that gives the sidecar certificates of SPIRE may stay',
        },
      ]
    : [];
};

const TEMPLATES = 'inject.istio.io/templates';

/** Annotations and labels of pods. Both count, but for `sidecar.istio.io/inject` a label hides the annotation. */
const settingsOf = ({ annotations, labels }: Workload): readonly (readonly [name: string, value: string])[] => [
  ...[...annotations].filter(([name]) => name !== INJECT || !labels.has(name)),
  ...labels,
];

const pastOf = (
  settings: Iterable<readonly [name: string, value: string]>,
): readonly (readonly [text: string, message: string])[] =>
  [...settings].flatMap(([name, value]) =>
    PAST.flatMap(([known, isBad, message]) =>
      known === name && isBad(value) ? [[`${name}: ${value}`, message] as const] : [],
    ),
  );

const past = (object: HostObject, text: string, message: string): Finding => ({
  code: 'istio.past-sidecar',
  where: placeOf(object),
  message: `\`${text}\`: ${message}, and reach the tool unchecked`,
  fix: 'remove it',
});

/** Running tools with Remit whose annotations let calls bypass Istio's sidecar, found without the policy; `null` if there are none. */
function runningFindings(objects: readonly HostObject[]): readonly Finding[] | null {
  const found = workloadsIn(objects)
    .filter((workload) => hasRemit(workload) && !isRemitAlone(workload))
    .flatMap((workload) => pastOf(settingsOf(workload)).map(([text, message]) => past(workload.object, text, message)));
  return found.length === 0 ? null : found;
}

/**
 * A finding about a workload that may take no calls: a warning, or an info if its namespace has Services, since none leads to it.
 */
const unsure = (finding: Finding, { namespace }: HostObject, objects: readonly HostObject[]): Finding => ({
  ...finding,
  level: ofKind(objects, 'Service').some((service) => service.namespace === namespace) ? 'info' : 'warning',
  message: `${finding.message}, if it takes any: no Service of the files leads to it, and it declares no port`,
  fix: 'remove it if the workload takes calls; an agent that takes none may keep it',
});

/**
 * Whether a server of a Gateway forwards connections unread, as with `PASSTHROUGH` and without a mode, unless it only redirects.
 */
const isPassedThrough = (tls: unknown): boolean =>
  tls !== undefined &&
  !isTrueAt(tls, 'httpsRedirect') &&
  ['', 'PASSTHROUGH', 'AUTO_PASSTHROUGH'].includes(textAt(tls, 'mode'));

/** Pods and namespaces whose calls do not come to the sidecar or waypoint that asks. */
function pastFindings(policies: readonly HostObject[], objects: readonly HostObject[]): readonly Finding[] {
  const workloads = workloadsIn(objects).filter((workload) => guardOf(workload, policies, objects) !== 'none');
  const pods = workloads.flatMap((workload) => {
    const { object, spec } = workload;
    const isUnsure = guardOf(workload, policies, objects) === 'unsure';
    return pastOf(settingsOf(workload))
      .concat(isTrueAt(spec, 'hostNetwork') ? [['hostNetwork: true', 'its pods have no sidecar']] : [])
      .map(([text, message]) => past(object, text, message))
      .map((finding) => (isUnsure ? unsure(finding, object, objects) : finding));
  });
  const others = [...ofKind(objects, 'Namespace'), ...ofKind(objects, 'Service')].flatMap((object) =>
    pastOf(textsAt(object.value, 'labels'))
      .concat(
        object.labels.get('istio-injection') === 'disabled'
          ? [['istio-injection: disabled', 'its pods have no sidecar']]
          : [],
      )
      .map(([text, message]) => past(object, text, message)),
  );
  const sidecars = ofKind(objects, 'Sidecar', 'istio.io').flatMap((object) =>
    listAt(object.value, 'spec', 'ingress')
      .filter((one) => textAt(one, 'captureMode') === 'NONE' && textAt(one, 'bind') !== '127.0.0.1')
      .map(() => past(object, 'captureMode: NONE', 'calls to other ports of the pod are not taken to the sidecar')),
  );
  const gateways = ofKind(objects, 'Gateway', 'networking.istio.io').flatMap((object) =>
    listAt(object.value, 'spec', 'servers')
      .filter(
        (one) =>
          isPassedThrough(at(one, 'tls')) || /^(?:TCP|TLS|MONGO|MYSQL|REDIS)$/i.test(textAt(one, 'port', 'protocol')),
      )
      .map(() => past(object, 'PASSTHROUGH or TCP', 'its connections are not read')),
  );
  const services = ofKind(objects, 'VirtualService', 'istio.io').flatMap((object) =>
    ['tcp', 'tls']
      .filter((name) => listAt(object.value, 'spec', name).length > 0)
      .map((name) => past(object, name, 'its connections are not read')),
  );
  const templates = workloads.flatMap(furtherTemplates);
  return [...pods, ...templates, ...others, ...sidecars, ...gateways, ...services];
}

/** The checks that calls pass through what asks Remit. `policies` are those of Remit, whatever their action is. */
export const istioReachChecks = (policies: Policies): readonly Check[] => [
  { category: 'istio', title: 'each AuthorizationPolicy of Remit asks it', run: ofPolicies(policies, asksFindings) },
  {
    category: 'istio',
    title: 'each AuthorizationPolicy of Remit selects the tools',
    run: ofPolicies(policies, selectsFindings),
  },
  {
    category: 'istio',
    title: 'no call goes past the sidecar or waypoint that asks',
    run: ({ objects }) => {
      const found = policies(objects);
      return found.length === 0 ? runningFindings(objects) : pastFindings(found, objects);
    },
  },
  {
    category: 'istio',
    title: 'all calls of tools go to the waypoint that asks',
    run: ({ objects }) => waypointFindings(policies(objects), objects),
  },
];
