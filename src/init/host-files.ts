import type { Answers, Host } from './answers.ts';
import { envoyId } from './identities.ts';
import { yamlText } from './written-text.ts';

/** How a host other than a plain Envoy asks Remit. */
interface HostFile {
  readonly name: string;
  /** Keys of `extAuthz` in remit.yaml: what this host shows of the caller decides. */
  readonly extAuthz: (answers: Answers) => string;
  readonly text: (answers: Answers) => string;
}

/** A file for each host that has a configuration of its own kind. */
export const HOST_FILES: ReadonlyMap<Host, HostFile> = new Map<Host, HostFile>([
  [
    'istio',
    {
      name: 'istio.yaml',
      extAuthz: () => '{ listen: "127.0.0.1:9470" }',
      text: istioText,
    },
  ],
  [
    'envoy-gateway',
    {
      name: 'envoy-gateway.yaml',
      // Envoy Gateway shows no peer certificate, but its hash in the header that it writes itself.
      extAuthz: (answers) =>
        `{ listen: unix:/run/remit/check.sock, identity: xfcc, proxyId: ${yamlText(envoyId(answers))} }`,
      text: envoyGatewayText,
    },
  ],
  [
    'agentgateway',
    {
      name: 'agentgateway.yaml',
      extAuthz: () => '{ listen: "127.0.0.1:9470", binding: spiffe-id }',
      text: agentgatewayText,
    },
  ],
]);

function istioText({ tools }: Answers): string {
  return `# Istio sidecars that ask Remit in their own pod about every call to the workloads \`app: tools\` of the namespace \`tools\`.
# Mutual TLS must be STRICT. First put this provider into the mesh configuration (meshConfig); its timeout is 600 s by default:
#
#   extensionProviders:
#     - name: remit
#       envoyExtAuthzGrpc:
#         service: remit.internal
#         port: 19470
#         timeout: 0.5s
#         failOpen: false
#         statusOnError: "503"
#         includeRequestBodyInCheck: { maxRequestBytes: 65536, allowPartialMessage: false, packAsBytes: true }
#
# A provider that is misnamed here or there denies every call, and only the log of istiod says why.
# Agents call \`${tools}\`: the tool server's VirtualService or ServiceEntry must have that host name.
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: remit, namespace: tools }
spec:
  hosts: [remit.internal]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: 19470, name: grpc, protocol: GRPC }]
  endpoints: [{ address: 127.0.0.1, ports: { grpc: 9470 } }]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: tools }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: remit, namespace: tools }
spec:
  selector: { matchLabels: { app: tools } }
  action: CUSTOM
  provider: { name: remit }
  # Every call. A rule with \`paths\` is walked around with \`//\`.
  rules: [{}]
---
# The peer certificate and raw headers, which Istio's own API cannot send, and one reading of each path.
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: remit, namespace: tools }
spec:
  workloadSelector: { labels: { app: tools } }
  configPatches:
    - applyTo: HTTP_FILTER
      match:
        context: SIDECAR_INBOUND
        listener:
          filterChain:
            filter:
              name: envoy.filters.network.http_connection_manager
              subFilter: { name: envoy.filters.http.ext_authz }
      patch:
        operation: MERGE
        value:
          typed_config:
            '@type': type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
            include_peer_certificate: true
            encode_raw_headers: true
            validate_mutations: true
    - applyTo: NETWORK_FILTER
      match:
        context: SIDECAR_INBOUND
        listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } }
      patch:
        operation: MERGE
        value:
          typed_config:
            '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
            merge_slashes: true
            path_with_escaped_slashes_action: REJECT_REQUEST
            # SANITIZE is the zero value, which a merge drops.
            forward_client_cert_details: SANITIZE_SET
`;
}

function envoyGatewayText({ tools }: Answers): string {
  return `# Envoy Gateway that asks Remit about every call at the Gateway \`agents\` of the namespace \`default\`, over the socket
# /run/remit/check.sock. Its listener must have the host name ${tools}; ConfigMap \`spiffe-bundle\` is the bundle of the
# trust domain. Needs \`extensionApis.enableBackend: true\` in the configuration of Envoy Gateway.
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: { name: remit, namespace: default }
spec: { endpoints: [{ unix: { path: /run/remit/check.sock } }] }
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: { name: remit, namespace: default }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: agents }]
  extAuth:
    grpc: { backendRefs: [{ group: gateway.envoyproxy.io, kind: Backend, name: remit }] }
    # With \`true\`, a Remit that is away opens every tool server.
    failOpen: false
    statusOnError: 503
    timeout: 500ms
    bodyToExtAuth: { maxRequestBytes: 65536 }
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: { name: remit, namespace: default }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: agents }]
  tls:
    clientValidation: { caCertificateRefs: [{ group: '', kind: ConfigMap, name: spiffe-bundle }] }
  # Shows Remit the identity and the hash of the certificate; what a client sends under this name is dropped.
  headers: { xForwardedClientCert: { mode: SanitizeSet, certDetailsToAdd: [URI] } }
  path: { disableMergeSlashes: false, escapedSlashesAction: RejectRequest }
`;
}

function agentgatewayText({ tools }: Answers): string {
  return `# The part of an agentgateway configuration that asks Remit: put it on the listener of ${tools}, whose TLS must demand client
# certificates.
policies:
  extAuthz:
    host: 127.0.0.1:9470
    failureMode: { denyWithStatus: 503 }
    includeRequestBody: { maxRequestBytes: 65536, allowPartialMessage: false, packAsBytes: true }
    protocol: { grpc: { context: { policy: tools } } }
    # No \`cache\`: it would go on allowing calls of a task that has ended.
`;
}
