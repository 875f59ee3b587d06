import { describe, expect, it } from '@jest/globals';
import type { Check } from '../../../src/tools/doctor/check.ts';
import { NO_FACTS } from '../../../src/tools/doctor/facts.ts';
import { envoyGatewayChecks } from '../../../src/tools/doctor/hosts/envoy-gateway.ts';
import { objectsFrom } from '../../../src/tools/doctor/hosts/host-object.ts';
import { istioChecks } from '../../../src/tools/doctor/hosts/istio.ts';
import { kubernetesChecks } from '../../../src/tools/doctor/hosts/kubernetes.ts';

/** The errors and warnings of checks about objects, as `code at KIND NAMESPACE/NAME`. */
function foundBy(checks: readonly Check[], values: readonly object[]): readonly string[] {
  const objects = values.flatMap((value) => objectsFrom('a.yaml', value, () => undefined));
  const found = checks.flatMap(({ run }) => run({ ...NO_FACTS, objects }) ?? []);
  return found
    .filter(({ level }) => level !== 'info')
    .map(({ code, where }) => `${code} at ${where.replace('a.yaml: ', '')}`)
    .toSorted();
}

const object = (apiVersion: string, kind: string, name: string, spec: object, metadata: object = {}): object => ({
  apiVersion,
  kind,
  metadata: { name, namespace: 'demo', ...metadata },
  spec,
});

const API = 'gateway.networking.k8s.io/v1';
const OWN = 'gateway.envoyproxy.io/v1alpha1';
const VALID = { validation: { mode: 'AllowValidOnly', caCertificateRefs: [{ name: 'ca' }] } };
const https = (name: string, port: number): object => ({ name, port, protocol: 'HTTPS' });
const gateway = (frontend: object, listeners: readonly object[] = [https('one', 443), https('two', 8443)]): object =>
  object(API, 'Gateway', 'agents', { gatewayClassName: 'eg', listeners, tls: { frontend } });
const route = object(API, 'HTTPRoute', 'tools', { parentRefs: [{ name: 'agents' }], rules: [] });
const ofGateway = { targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'agents' }] };
const ofListener = { targetRefs: [{ ...ofGateway.targetRefs[0], sectionName: 'two' }] };
const ASKS = {
  extAuth: {
    failOpen: false,
    statusOnError: 503,
    timeout: '500ms',
    bodyToExtAuth: { maxRequestBytes: 65_536 },
    grpc: { backendRefs: [{ name: 'remit', port: 9470 }] },
  },
};
const security = (name: string, spec: object): object => object(OWN, 'SecurityPolicy', name, spec);
const asking = security('remit', { ...ofGateway, ...ASKS });
const silent = (target: object): object => security('cors', { ...target, cors: {} });
const selecting = (expression: object): object => ({
  targetSelectors: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', matchExpressions: [expression] }],
});
const clients = (target: object): object =>
  object(OWN, 'ClientTrafficPolicy', 'clients', { ...target, tls: { clientValidation: { caCertificateRefs: [] } } });

const OVERRIDDEN = ['envoy-gateway.overridden at SecurityPolicy demo/cors'];
const OPTIONAL = ['envoy-gateway.client-certificate-optional at Gateway demo/agents'];

/** Objects of Envoy Gateway, and what is found. */
const GATEWAYS: readonly (readonly [name: string, objects: readonly object[], found: readonly string[]])[] = [
  ['a Gateway whose policy asks', [gateway({ default: VALID }), route, asking], []],
  ['a second policy of the Gateway', [gateway({ default: VALID }), route, asking, silent(ofGateway)], OVERRIDDEN],
  ['a policy of one listener beside', [gateway({ default: VALID }), route, asking, silent(ofListener)], OVERRIDDEN],
  [
    'a policy of one listener beside, and a policy of the route',
    [
      gateway({ default: VALID }),
      route,
      silent(ofListener),
      security('remit', { targetRefs: [{ kind: 'HTTPRoute', name: 'tools' }], ...ASKS }),
    ],
    [],
  ],
  [
    'a policy that selects the route by an expression',
    [gateway({ default: VALID }), route, asking, silent(selecting({ key: 'app', operator: 'DoesNotExist' }))],
    OVERRIDDEN,
  ],
  [
    'a policy that leaves out the route by an expression',
    [gateway({ default: VALID }), route, asking, silent(selecting({ key: 'app', operator: 'Exists' }))],
    [],
  ],
  ['no validation of callers', [gateway({}), route, asking], OPTIONAL],
  ['validation at one port of two', [gateway({ perPort: [{ port: 443, tls: VALID }] }), route, asking], OPTIONAL],
  [
    'validation at each port',
    [
      gateway({
        perPort: [
          { port: 443, tls: VALID },
          { port: 8443, tls: VALID },
        ],
      }),
      route,
      asking,
    ],
    [],
  ],
  [
    'validation at one port, and for the listener of the other',
    [gateway({ perPort: [{ port: 443, tls: VALID }] }), route, asking, clients(ofListener)],
    [],
  ],
];

const mesh = {
  extensionProviders: [
    {
      name: 'remit',
      envoyExtAuthzGrpc: {
        service: 'remit.security.svc.cluster.local',
        port: 9470,
        timeout: '0.5s',
        statusOnError: '503',
        includeRequestBodyInCheck: { maxRequestBytes: 65_536, packAsBytes: true },
      },
    },
  ],
};
const NETWORKING = 'networking.istio.io/v1';
const policy = (metadata: object = {}): object =>
  object('security.istio.io/v1', 'AuthorizationPolicy', 'remit', CUSTOM, metadata);
const CUSTOM = { action: 'CUSTOM', provider: { name: 'remit' }, rules: [{}] };
const strict = object('security.istio.io/v1', 'PeerAuthentication', 'strict', { mtls: { mode: 'STRICT' } });
const asked = [mesh, policy(), strict];
const server = (protocol: string, tls?: object): object =>
  object(NETWORKING, 'Gateway', 'in', { servers: [{ port: { protocol }, ...(tls === undefined ? {} : { tls }) }] });
const rule = (host: string, trafficPolicy: object, namespace = 'demo'): object =>
  object(NETWORKING, 'DestinationRule', 'rule', { host, trafficPolicy }, { namespace });
const EXT_AUTHZ = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz';
const MANAGER = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const patching = (applyTo: string, operation: string, value: object): object =>
  object(NETWORKING, 'EnvoyFilter', 'patch', { configPatches: [{ applyTo, patch: { operation, value } }] });
const merging = (fields: object, type = EXT_AUTHZ): object =>
  patching(type === EXT_AUTHZ ? 'HTTP_FILTER' : 'NETWORK_FILTER', 'MERGE', {
    typed_config: { '@type': type, ...fields },
  });

const DRY = ['istio.not-asked at AuthorizationPolicy demo/remit'];
const PAST = ['istio.past-sidecar at Gateway demo/in'];
const CLEAR = (namespace = 'demo'): readonly string[] => [`istio.impostor at DestinationRule ${namespace}/rule`];
const PATCHED = ['istio.changed-call at EnvoyFilter demo/patch'];
const DISABLED = { tls: { mode: 'DISABLE' } };

/** Objects of Istio, and what is found. */
const MESHES: readonly (readonly [name: string, objects: readonly object[], found: readonly string[]])[] = [
  ['a policy that asks', asked, []],
  ...['true', '1', 'T'].map(
    (word) =>
      [`a dry run by \`${word}\``, [mesh, policy({ annotations: { 'istio.io/dry-run': word } }), strict], DRY] as const,
  ),
  ['no dry run', [mesh, policy({ annotations: { 'istio.io/dry-run': 'false' } }), strict], []],
  ['a Gateway of a protocol in lower case', [...asked, server('tcp')], PAST],
  ['a Gateway without a mode of TLS', [...asked, server('HTTPS', { credentialName: 'x' })], PAST],
  ['a Gateway that redirects', [...asked, server('HTTP', { httpsRedirect: true })], []],
  ['a Gateway with mutual TLS', [...asked, server('HTTPS', { mode: 'MUTUAL' })], []],
  ['a rule that takes TLS away', [...asked, rule('remit.security.svc.cluster.local', DISABLED)], CLEAR()],
  [
    'a rule that takes TLS away from one port',
    [
      ...asked,
      rule('remit.security.svc.cluster.local', { portLevelSettings: [{ port: { number: 9470 }, ...DISABLED }] }),
    ],
    CLEAR(),
  ],
  ['a rule by a wildcard', [...asked, rule('*.security.svc.cluster.local', DISABLED)], CLEAR()],
  ['a rule by a short name', [...asked, rule('remit', DISABLED, 'security')], CLEAR('security')],
  ['a rule of another service', [...asked, rule('remit', DISABLED)], []],
  [
    'a port whose server is not verified',
    [...asked, rule('tool', { portLevelSettings: [{ tls: { mode: 'SIMPLE', insecureSkipVerify: true } }] })],
    ['istio.weak-identity at DestinationRule demo/rule'],
  ],
  ['a patch that lets calls pass', [...asked, merging({ failure_mode_allow: true })], PATCHED],
  ['a patch that lets calls pass, by another name', [...asked, merging({ failureModeAllow: true })], PATCHED],
  ['a patch that only looks', [...asked, merging({ shadow_mode: true })], PATCHED],
  [
    'a patch that asks another',
    [...asked, merging({ grpc_service: { envoy_grpc: { cluster_name: 'other' } } })],
    PATCHED,
  ],
  ['a patch that takes bytes as they are', [...asked, merging({ encode_raw_headers: true })], []],
  ['a patch with other filters', [...asked, merging({ http_filters: [{ name: 'x' }] }, MANAGER)], PATCHED],
  [
    'a patch that keeps the header of the client',
    [...asked, merging({ forward_client_cert_details: 'FORWARD_ONLY' }, MANAGER)],
    PATCHED,
  ],
  ['a patch with a listener', [...asked, patching('LISTENER', 'ADD', { filter_chains: [{ filters: [] }] })], PATCHED],
  ['a patch with a cluster', [...asked, patching('CLUSTER', 'ADD', { load_assignment: { endpoints: [] } })], []],
];

const binding = (actions: readonly string[], name = 'remit-guard'): object =>
  object('admissionregistration.k8s.io/v1', 'ValidatingAdmissionPolicyBinding', name, { validationActions: actions });
const WARNS = ['kubernetes.around at ValidatingAdmissionPolicyBinding demo/remit-guard'];

/** Objects of Kubernetes, and what is found. */
const CLUSTERS: readonly (readonly [name: string, objects: readonly object[], found: readonly string[]])[] = [
  ['a guard that denies', [binding(['Deny', 'Audit'])], []],
  ['a guard that warns', [binding(['Warn'])], WARNS],
  ['a guard that writes an audit entry', [binding(['Audit'])], WARNS],
  ['a binding of another policy', [binding(['Audit'], 'other')], []],
];

describe.each([
  ['Envoy Gateway', GATEWAYS, envoyGatewayChecks],
  ['Istio', MESHES, istioChecks],
  ['Kubernetes', CLUSTERS, kubernetesChecks],
] as const)('the checks of %s', (_host, rows, checks) => {
  it.each(rows)('are right about %s', (_name, objects, found) => {
    expect(foundBy(checks, objects)).toEqual(found);
  });
});
