import { stringify } from 'yaml';
import type { HostFault } from './mesh-faults.ts';

const GATEWAY = 'hosts/envoy-gateway';

const beside = (name: string, codes: string, ...objects: readonly object[]): HostFault => [
  GATEWAY,
  name,
  ['security.yaml', 'apiVersion', `${objects.map((one) => `${stringify(one)}---\n`).join('')}apiVersion`],
  codes,
];

const OWN = 'gateway.envoyproxy.io/v1alpha1';
const object = (apiVersion: string, kind: string, spec: object, name = 'other'): object => ({
  apiVersion,
  kind,
  metadata: { name, namespace: 'default' },
  spec,
});
const target = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'agents' };
const own = (kind: string, spec: object): object => object(OWN, kind, { targetRefs: [target], ...spec });
const EXT_AUTH = 'failOpen: false';

/** Changes the rule of the route for everything. */
const inRule = (name: string, rule: string, codes: string): HostFault => [
  GATEWAY,
  name,
  [
    'gateway.yaml',
    '    - matches: [{ path: { type: PathPrefix, value: / } }]\n',
    `    - matches: [{ path: { type: PathPrefix, value: / } }]\n      ${rule}\n`,
  ],
  codes,
];

const inExtAuth = (name: string, setting: string, codes: string): HostFault => [
  GATEWAY,
  name,
  ['security.yaml', EXT_AUTH, `${EXT_AUTH}\n    ${setting}`],
  codes,
];

/** Faults that the doctor was green over in files of Envoy Gateway (issue 37, point 17). */
export const GATEWAY_FAULTS: readonly HostFault[] = [
  inRule(
    'a mirror',
    'filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: b } } }]',
    'envoy-gateway.mirrored',
  ),
  inRule(
    'a path that is rewritten',
    'filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: /x } } }]',
    'envoy-gateway.changed-call',
  ),
  inRule(
    'headers that are set',
    'filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: a, value: b }] } }]',
    'envoy-gateway.changed-call',
  ),
  inRule(
    'a filter of another kind',
    'filters: [{ type: ExtensionRef, extensionRef: { group: x, kind: HTTPRouteFilter, name: y } }]',
    'envoy-gateway.unseen',
  ),
  inRule('retries of a route', 'retry: { codes: [500], attempts: 2 }', 'envoy-gateway.repeated'),
  beside(
    'a TCPRoute beside',
    'envoy-gateway.past-filter',
    object('gateway.networking.k8s.io/v1alpha2', 'TCPRoute', { parentRefs: [{ name: 'agents' }], rules: [] }),
  ),
  [
    GATEWAY,
    'a plain listener beside',
    ['gateway.yaml', '  listeners:\n', '  listeners:\n    - { name: plain, protocol: HTTP, port: 8080 }\n'],
    'envoy-gateway.plaintext',
  ],
  [
    GATEWAY,
    'a listener of TCP beside',
    ['gateway.yaml', '  listeners:\n', '  listeners:\n    - { name: raw, protocol: TCP, port: 8080 }\n'],
    'envoy-gateway.past-filter',
  ],
  beside(
    'further listeners',
    'envoy-gateway.past-filter',
    object('gateway.networking.x-k8s.io/v1alpha1', 'XListenerSet', { listeners: [{ name: 'a', port: 1 }] }),
  ),
  beside('a Service that others reach', 'envoy-gateway.around', object('v1', 'Service', { type: 'NodePort' })),
  [
    GATEWAY,
    'a policy of a single listener',
    ['security.yaml', 'name: agents }', 'name: agents, sectionName: https }'],
    'envoy-gateway.never-asked',
  ],
  [
    GATEWAY,
    'a policy of other labels',
    [
      'security.yaml',
      'targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: agents }]',
      'targetSelectors: [{ kind: Gateway, matchLabels: { app: other } }]',
    ],
    'envoy-gateway.never-asked',
  ],
  beside('retries of a policy', 'envoy-gateway.repeated', own('BackendTrafficPolicy', { retry: { numRetries: 2 } })),
  beside(
    'an endpoint of the client',
    'envoy-gateway.changed-call',
    own('BackendTrafficPolicy', { endpointOverride: { extractFrom: [{ header: 'x' }] } }),
  ),
  beside('a script after the check', 'envoy-gateway.changed-after-check', own('EnvoyExtensionPolicy', { lua: [{}] })),
  [
    GATEWAY,
    'JWTs beside',
    ['security.yaml', '  extAuth:', '  jwt: { providers: [{ name: a }] }\n  extAuth:'],
    'envoy-gateway.changed-after-check',
  ],
  [
    GATEWAY,
    'several backends',
    ['security.yaml', 'name: remit }] }', 'name: remit }, { name: other }] }'],
    'envoy-gateway.impostor',
  ],
  [GATEWAY, 'a timeout of 2 ms', ['security.yaml', 'timeout: 500ms', 'timeout: 2ms'], 'envoy-gateway.fails-calls'],
  inExtAuth('some headers', 'headersToExtAuth: [authorization]', 'envoy-gateway.headers-hidden'),
  [
    GATEWAY,
    'addresses of a header',
    [
      'gateway.yaml',
      '  path: { escaped',
      '  clientIPDetection: { xForwardedFor: { numTrustedHops: 1 } }\n  path: { escaped',
    ],
    'envoy-gateway.weak-identity',
  ],
  [
    GATEWAY,
    'old TLS',
    ['gateway.yaml', '  path: { escaped', "  tls: { minVersion: '1.0' }\n  path: { escaped"],
    'envoy-gateway.weak-identity',
  ],
  [
    GATEWAY,
    'a patch that is not known',
    ['patch.yaml', 'path: include_peer_certificate', 'path: failure_mode_allow'],
    'envoy-gateway.unseen',
  ],
];
