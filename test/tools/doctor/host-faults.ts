import { GATEWAY_FAULTS } from './gateway-faults.ts';
import { ISTIO_FAULTS } from './mesh-faults.ts';
import type { HostFault } from './mesh-faults.ts';

const MESH = 'mesh.yaml';
const EXT_AUTHZ = `              extAuthz:
                host: 127.0.0.1:9470
`;

/** Faults in the shipped files of hosts: the folder, what is wrong, the change (file, text, other text), and the codes it is found by. */
export const HOST_FAULTS: readonly HostFault[] = [
  ...ISTIO_FAULTS,
  ...GATEWAY_FAULTS,
  [
    'hosts/istio',
    'rules with paths',
    ['policy.yaml', 'rules: [{}]', "rules: [{ to: [{ operation: { paths: ['/v1/*'] } }] }]"],
    'istio.conditional-rule',
  ],
  [
    'hosts/istio',
    'rules with methods',
    ['policy.yaml', 'rules: [{}]', 'rules: [{ to: [{ operation: { methods: [POST] } }] }]'],
    'istio.conditional-rule',
  ],
  ['hosts/istio', 'no rule', ['policy.yaml', 'rules: [{}]', 'rules: []'], 'istio.no-rule'],
  [
    'hosts/istio',
    'a provider misnamed',
    ['policy.yaml', 'provider: { name: remit }', 'provider: { name: remit.local }'],
    'istio.provider-unknown',
  ],
  [
    'hosts/istio',
    'an unknown service',
    [MESH, 'service: ext-authz.remit.local', 'service: ext-auth-grpc.local'],
    'istio.service-unknown',
  ],
  ['hosts/istio', 'a port of HTTP', ['remit.yaml', 'protocol: GRPC', 'protocol: HTTP'], 'istio.port-http1'],
  ['hosts/istio', 'a provider of HTTP', [MESH, 'envoyExtAuthzGrpc', 'envoyExtAuthzHttp'], 'istio.provider-http'],
  ['hosts/istio', 'failOpen', [MESH, 'failOpen: false', 'failOpen: true'], 'istio.fails-open'],
  ['hosts/istio', 'no timeout', [MESH, '      timeout: 0.5s\n', ''], 'istio.long-timeout'],
  ['hosts/istio', '403 on error', [MESH, "      statusOnError: '503'\n", ''], 'istio.status-on-error'],
  [
    'hosts/istio',
    'partial bodies',
    [MESH, 'allowPartialMessage: false', 'allowPartialMessage: true'],
    'istio.partial-body',
  ],
  ['hosts/istio', 'no body', [MESH, 'includeRequestBodyInCheck', 'x'], 'istio.no-body'],
  ['hosts/istio', 'permissive mTLS', ['policy.yaml', 'STRICT', 'PERMISSIVE'], 'istio.mtls-optional'],
  [
    'hosts/istio',
    'two providers',
    [
      'policy.yaml',
      '---',
      '---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: other, namespace: demo }\nspec: { action: CUSTOM, provider: { name: remit-outcomes }, rules: [{}] }\n---',
    ],
    'istio.provider-unknown istio.two-providers',
  ],
  [
    'hosts/envoy-gateway',
    'failOpen',
    ['security.yaml', 'failOpen: false', 'failOpen: true'],
    'envoy-gateway.fails-open',
  ],
  [
    'hosts/envoy-gateway',
    'a backend misnamed',
    ['security.yaml', 'name: remit }] }', 'name: remitt }] }'],
    'envoy-gateway.backend-missing',
  ],
  [
    'hosts/envoy-gateway',
    'no policy of the Gateway',
    ['security.yaml', 'name: agents', 'name: agent'],
    'envoy-gateway.never-asked',
  ],
  [
    'hosts/envoy-gateway',
    'a policy of the route',
    [
      'security.yaml',
      'apiVersion',
      'apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: { name: cors, namespace: default }\nspec: { targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: payments }], cors: {} }\n---\napiVersion',
    ],
    'envoy-gateway.overridden',
  ],
  ['hosts/envoy-gateway', 'no body', ['security.yaml', 'bodyToExtAuth', 'x'], 'envoy-gateway.no-body'],
  ['hosts/envoy-gateway', 'no timeout', ['security.yaml', '    timeout: 500ms\n', ''], 'envoy-gateway.long-timeout'],
  [
    'hosts/envoy-gateway',
    '403 on error',
    ['security.yaml', '    statusOnError: 503\n', ''],
    'envoy-gateway.status-on-error',
  ],
  [
    'hosts/envoy-gateway',
    'a route chosen again',
    ['security.yaml', 'failOpen: false', 'failOpen: false\n    recomputeRoute: true'],
    'envoy-gateway.changed-after-check',
  ],
  ['hosts/envoy-gateway', 'a check by HTTP', ['security.yaml', 'grpc: {', 'http: {'], 'envoy-gateway.http'],
  [
    'hosts/envoy-gateway',
    'hidden headers',
    ['security.yaml', 'failOpen: false', 'failOpen: false\n    headersToExtAuth: [x-request-id]'],
    'envoy-gateway.headers-hidden',
  ],
  [
    'hosts/envoy-gateway',
    'a forwarded identity',
    ['gateway.yaml', 'mode: SanitizeSet', 'mode: AlwaysForwardOnly'],
    'envoy-gateway.xfcc-forwarded',
  ],
  [
    'hosts/envoy-gateway',
    'an appended identity',
    ['gateway.yaml', 'mode: SanitizeSet', 'mode: AppendForward'],
    'envoy-gateway.xfcc-appended',
  ],
  [
    'hosts/envoy-gateway',
    'an insecure fallback',
    ['gateway.yaml', 'mode: AllowValidOnly', 'mode: AllowInsecureFallback'],
    'envoy-gateway.client-certificate-optional',
  ],
  [
    'hosts/agentgateway',
    'a cache',
    ['config.yaml', EXT_AUTHZ, `${EXT_AUTHZ}                cache: { key: [request.path], ttl: 60s }\n`],
    'agentgateway.cache',
  ],
  [
    'hosts/agentgateway',
    'an open failure',
    ['config.yaml', '{ denyWithStatus: 503 }', 'allow'],
    'agentgateway.fails-open',
  ],
  [
    'hosts/agentgateway',
    'no certificate',
    ['config.yaml', '"peer_certificate": source.certificate', '"id": source.spiffeId'],
    'agentgateway.no-certificate',
  ],
  ['hosts/agentgateway', 'no body', ['config.yaml', 'includeRequestBody', 'x'], 'agentgateway.no-body'],
  [
    'hosts/agentgateway',
    'partial bodies',
    ['config.yaml', 'allowPartialMessage: false', 'allowPartialMessage: true'],
    'agentgateway.partial-body',
  ],
  ['hosts/agentgateway', 'a check by HTTP', ['config.yaml', 'grpc:', 'http:'], 'agentgateway.http'],
  [
    'hosts/agentgateway',
    'no check',
    ['config.yaml', '              extAuthz:', '              x:'],
    'agentgateway.never-asked',
  ],
  [
    'envoy',
    'a filter after the router',
    [
      'envoy.yaml',
      '                http_filters:\n',
      "                http_filters:\n                  - name: envoy.filters.http.router\n                    typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }\n",
    ],
    'envoy.never-asked',
  ],
  [
    'envoy',
    'an open failure',
    ['envoy-spire.yaml', 'failure_mode_allow: false', 'failure_mode_allow: true'],
    'envoy.fails-open',
  ],
  [
    'envoy',
    'an open failure in camelCase',
    ['envoy.yaml', 'failure_mode_allow: false', 'failureModeAllow: true'],
    'envoy.fails-open',
  ],
  [
    'envoy',
    'an admin interface for all',
    [
      'envoy.yaml',
      'address: { pipe: { path: /run/remit-envoy/admin.sock, mode: 384 } }',
      'address: { socket_address: { address: 0.0.0.0, port_value: 9901 } }',
    ],
    'envoy.admin-open',
  ],
  ['envoy', 'an admin socket for all', ['envoy.yaml', 'mode: 384', 'mode: 511'], 'envoy.admin-open'],
  [
    'envoy',
    'a runtime key of paths',
    ['envoy.yaml', 'http.max_requests_per_io_cycle: 1', 'http_connection_manager.normalize_path: false'],
    'envoy.runtime',
  ],
  [
    'envoy',
    'a field of another Envoy',
    ['envoy.yaml', 'stat_prefix: agents\n', 'stat_prefix: agents\n                a_later_field: true\n'],
    'envoy.unseen',
  ],
  [
    'envoy',
    'a control plane in clear',
    [
      'envoy-spire.yaml',
      'address: { pipe: { path: /spiffe-workload-api/spire-agent.sock } }',
      'address: { socket_address: { address: 192.0.2.1, port_value: 1 } }',
    ],
    'envoy.impostor',
  ],
  [
    'envoy',
    'a log of some calls alone',
    [
      'envoy.yaml',
      '                  - name: envoy.access_loggers.http_grpc\n',
      '                  - name: envoy.access_loggers.http_grpc\n                    filter: { not_health_check_filter: {} }\n',
    ],
    'envoy.false-records',
  ],
  [
    'envoy',
    'Remit under any certificate',
    [
      'envoy-network.yaml',
      'match_typed_subject_alt_names:\n',
      'match_typed_subject_alt_names: []\n                x:\n',
    ],
    'envoy.impostor envoy.unseen',
  ],
];
