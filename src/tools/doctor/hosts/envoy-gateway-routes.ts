import { textAt } from '../tree.ts';
import type { HostRule } from './host-rule.ts';

const API = 'gateway.networking.k8s.io';
const REMOVE = 'remove it';
const PAST = 'its connections go to the tool as they are, and nobody is asked about the calls in them';
const BESIDE = 'give the tool no route but an HTTPRoute or GRPCRoute that a SecurityPolicy holds for';

/** Protocols of listeners that no filter of HTTP reads. */
const RAW: ReadonlySet<string> = new Set(['TCP', 'UDP', 'TLS']);

const REWRITING = 'the tool gets another call than was decided';
const KNOWN_FILTERS: ReadonlySet<string> = new Set([
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestMirror',
  'RequestRedirect',
  'URLRewrite',
  'CORS',
]);
const ofType =
  (type: string) =>
  (filter: unknown): boolean =>
    textAt(filter, 'type') === type;
const isUnknown = (filter: unknown): boolean => filter !== undefined && !KNOWN_FILTERS.has(textAt(filter, 'type'));

/** Filters of a route, and of its backends. */
const routeFilters = ['HTTPRoute', 'GRPCRoute'].flatMap((kind) =>
  ['spec.rules[].filters[]', 'spec.rules[].backendRefs[].filters[]'].flatMap((path): readonly HostRule[] => [
    {
      kind,
      group: API,
      path,
      isBad: ofType('RequestMirror'),
      code: 'envoy-gateway.mirrored',
      message: '`RequestMirror`: a second server gets each call too, after one decision and with one record',
      fix: REMOVE,
    },
    {
      kind,
      group: API,
      path,
      isBad: ofType('URLRewrite'),
      code: 'envoy-gateway.changed-call',
      message: `\`URLRewrite\`: ${REWRITING}`,
      fix: 'remove it, and let the catalog of Remit have the paths and hosts that the tool has',
    },
    {
      kind,
      group: API,
      path,
      isBad: ofType('RequestHeaderModifier'),
      code: 'envoy-gateway.changed-call',
      level: 'warning',
      message: `\`RequestHeaderModifier\`: ${REWRITING}`,
      fix: REMOVE,
    },
    {
      kind,
      group: API,
      path,
      isBad: isUnknown,
      code: 'envoy-gateway.unseen',
      message: 'a filter of another kind may change checked calls, or answer them',
      fix: 'look at the running Envoy with --envoy, and suppress this finding at its place',
    },
  ]),
);

const isOutside = (type: unknown): boolean => type === 'NodePort' || type === 'LoadBalancer';
const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

const beside: readonly HostRule[] = [
  ...['TCPRoute', 'TLSRoute', 'UDPRoute'].map((kind): HostRule => ({
    kind,
    group: API,
    path: 'spec',
    code: 'envoy-gateway.past-filter',
    message: PAST,
    fix: BESIDE,
  })),
  {
    kind: 'Gateway',
    group: API,
    path: 'spec.listeners[]',
    isBad: (one) => RAW.has(textAt(one, 'protocol')) || textAt(one, 'tls', 'mode') === 'Passthrough',
    code: 'envoy-gateway.past-filter',
    message: PAST,
    fix: BESIDE,
  },
  {
    kind: 'Gateway',
    group: API,
    path: 'spec.listeners[]',
    isBad: (one) => textAt(one, 'protocol') === 'HTTP',
    code: 'envoy-gateway.plaintext',
    message:
      'a listener of HTTP accepts calls without TLS, so Remit cannot tell who calls, and others read their tokens',
    fix: 'use `protocol: HTTPS` with `tls.frontend` validation',
  },
  ...['ListenerSet', 'XListenerSet'].map((kind): HostRule => ({
    kind,
    group: '',
    path: 'spec.listeners[]',
    code: 'envoy-gateway.past-filter',
    message: 'it adds listeners to the Gateway, for which its SecurityPolicy and validation of callers may not hold',
    fix: 'put the listeners into the Gateway',
  })),
  ...[
    { kind: 'Service', group: '', path: 'spec.type', isBad: isOutside },
    { kind: 'Service', group: '', path: 'spec.externalIPs[]', isBad: isGiven },
    { kind: 'Ingress', group: 'networking.k8s.io', path: 'spec', isBad: isGiven },
  ].map(({ group, isBad, kind, path }): HostRule => ({
    kind,
    group,
    path,
    isBad,
    code: 'envoy-gateway.around',
    level: 'warning',
    message: 'it is a way around the Gateway, on which nobody is asked, if it leads to a tool',
    fix: 'give tools Services of type ClusterIP alone, and a NetworkPolicy that lets the Gateway in',
  })),
];

/** What routes do with calls after the check, and further objects of Envoy Gateway. */
export const envoyGatewayRoutes: readonly HostRule[] = [...routeFilters, ...beside];
