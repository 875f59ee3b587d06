import { REQUIRED_BINDINGS, coreRule, policyDocuments } from './policy-documents.ts';
import type { Fragment } from './fragment.ts';

/**
 * Annotations and labels of Istio that let no call bypass its sidecar, and prefixes of such names. Not among them: volumes of a pod in
 * the sidecar (`userVolumeMount`), which could lie over its bootstrap, `proxy.istio.io/overrides`, which the injector sets if a pod brings a
 * container of Istio of its own, and `status.sidecar.istio.io/port`: the port that it names is not intercepted.
 */
const HARMLESS = [
  'traffic.sidecar.istio.io/excludeOutboundIPRanges',
  'traffic.sidecar.istio.io/excludeOutboundPorts',
  'traffic.sidecar.istio.io/includeOutboundIPRanges',
  'traffic.sidecar.istio.io/includeOutboundPorts',
  'sidecar.istio.io/agentLogLevel',
  'sidecar.istio.io/componentLogLevel',
  'sidecar.istio.io/extraStatTags',
  'sidecar.istio.io/logLevel',
  'sidecar.istio.io/nativeSidecar',
  'sidecar.istio.io/rewriteAppHTTPProbers',
  'sidecar.istio.io/status',
  'istio.io/rev',
  'prometheus.istio.io/merge-metrics',
  'security.istio.io/tlsMode',
] as const;
const HARMLESS_BEGINNINGS = [
  'sidecar.istio.io/proxyCPU',
  'sidecar.istio.io/proxyMemory',
  'sidecar.istio.io/stats',
  'galley.istio.io/',
  'networking.istio.io/',
  'readiness.status.sidecar.istio.io/',
  'service.istio.io/',
  'topology.istio.io/',
] as const;

/** The status port of Istio's sidecar, which Istio itself adds to the list of a pod if istio-cni redirects calls. */
const STATUS_PORT = '15020';

/** What a pod may set of the configuration of its sidecar: neither what it intercepts, nor who configures it. */
const PROXY_CONFIG =
  '^[{\\\\s]*(\\"?(holdApplicationUntilProxyStarts|terminationDrainDuration|drainDuration|concurrency)\\"?\\\\s*:\\\\s*\\"?[A-Za-z0-9.]+\\"?[,\\\\s]*)*[}\\\\s]*$';

/**
 * The part of the guard for pods of a mesh in namespaces that require Remit, as YAML: otherwise a pod could bypass Istio's sidecar, which asks
 * Remit, by an annotation. Anything not known to be harmless is refused.
 *
 * @see https://istio.io/latest/docs/reference/config/annotations/
 */
export function meshGuard({ portLists }: Fragment): string {
  const own = portLists.map(
    ({ annotation, port }) =>
      `variables.annotations[?"${annotation}"].orValue("").split(",").all(p, p.trim() in ["", "${port}", "${STATUS_PORT}"])`,
  );
  const isKnown = knownSettings(portLists);
  return policyDocuments('ValidatingAdmissionPolicy', {
    name: 'remit-guard-mesh',
    bindings: REQUIRED_BINDINGS,
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: { resourceRules: [coreRule(['CREATE'], ['pods'])] },
      variables: [
        { name: 'annotations', expression: 'object.metadata.?annotations.orValue({})' },
        { name: 'labels', expression: 'object.metadata.?labels.orValue({})' },
        {
          name: 'unknown',
          expression: `(variables.annotations.map(k, k) + variables.labels.map(k, k)).filter(k, k.split("/")[0].endsWith("istio.io") && !(${isKnown}))`,
        },
      ],
      validations: [
        {
          expression: [
            ...own,
            'variables.annotations[?"traffic.sidecar.istio.io/includeInboundPorts"].orValue("*") == "*"',
          ].join(' &&\n'),
          message:
            "calls of these ports would go past Istio's sidecar, unchecked: remove `traffic.sidecar.istio.io/excludeInboundPorts` and `includeInboundPorts`. Only 9471, the port of Remit, may be excluded",
        },
        {
          expression:
            '[variables.annotations, variables.labels].all(m, m[?"sidecar.istio.io/inject"].orValue("true") == "true") &&\nvariables.annotations[?"inject.istio.io/templates"].orValue("sidecar").split(",").exists(t, t.trim() == "sidecar")',
          message:
            'without the sidecar of Istio calls reach this pod unchecked: remove `sidecar.istio.io/inject`, and name `sidecar` in `inject.istio.io/templates`',
        },
        {
          expression: `variables.annotations[?"sidecar.istio.io/interceptionMode"].orValue("REDIRECT") in ["REDIRECT", "TPROXY"] &&\nvariables.annotations[?"proxy.istio.io/config"].orValue("").matches("${PROXY_CONFIG}")`,
          message:
            'the sidecar of Istio must intercept all calls: remove `sidecar.istio.io/interceptionMode`, and from `proxy.istio.io/config` all but `holdApplicationUntilProxyStarts`, `terminationDrainDuration`, `drainDuration` and `concurrency`',
        },
        {
          expression: 'variables.unknown.size() == 0',
          messageExpression:
            '"these settings of Istio may take calls past its sidecar: remove them, or let this namespace not require Remit: " + variables.unknown.join(", ")',
        },
      ],
    },
  });
}

/** Whether a setting `k` of Istio is harmless, or is checked by its value. */
function knownSettings(portLists: Fragment['portLists']): string {
  const known = [
    ...HARMLESS,
    ...portLists.map(({ annotation }) => annotation),
    'traffic.sidecar.istio.io/includeInboundPorts',
    'sidecar.istio.io/inject',
    'sidecar.istio.io/interceptionMode',
    'inject.istio.io/templates',
    'proxy.istio.io/config',
  ];
  return [
    `k in ${JSON.stringify(known)}`,
    ...HARMLESS_BEGINNINGS.map((beginning) => `k.startsWith("${beginning}")`),
  ].join(' || ');
}
