import { at, isFalse, membersAt, numberAt } from '../tree.ts';
import type { Level } from '../codes.ts';
import { runtimeFaults } from '../envoy/fields/bootstrap-fields.ts';
import { found, harmless, inside, isSet, judged, message } from '../envoy/fields/field.ts';
import type { FieldFault, Message } from '../envoy/fields/field.ts';
import { namesSecret } from '../envoy/fields/values-of-fields.ts';

const MESH = 'istio.mesh.v1alpha1';
const REMOVE = 'remove it';
const LOOK = 'remove it, or look at the running Envoy with --envoy and suppress this finding at its place';

const PAST = (what: string): Pick<FieldFault, 'message' | 'fix'> => ({
  message: `${what}, and calls reach the tool unchecked`,
  fix: REMOVE,
});
const LEAK = {
  message: 'logs or spans have the token of each call',
  fix: 'leave out `authorization`, `dpop` and `cookie`',
};

/** `header: { name: authorization }` of a tag, and commands of a format. */
const SECRET_TAG = /"name":"(?:authorization|dpop|cookie|proxy-authorization)"/i;
const leaks = (value: unknown): Level | null =>
  namesSecret(value) || SECRET_TAG.test(JSON.stringify(value) ?? '') ? 'warning' : null;

/** Variables of a sidecar that change nothing about what it does with calls. */
const VARIABLES: ReadonlySet<string> = new Set([
  'BOOTSTRAP_XDS_AGENT',
  'EXIT_ON_ZERO_ACTIVE_CONNECTIONS',
  'GRPC_XDS_BOOTSTRAP',
  'ISTIO_META_CERT_SIGNER',
  'ISTIO_META_DNS_AUTO_ALLOCATE',
  'ISTIO_META_DNS_CAPTURE',
  'ISTIO_META_ENABLE_HBONE',
  'ISTIO_META_IDLE_TIMEOUT',
  'MINIMUM_DRAIN_DURATION',
  'OUTPUT_CERTS',
  'PROXY_CONFIG_XDS_AGENT',
]);
const variables = (name: string) =>
  found(name, 'istio.unseen', (value) => (membersAt(value).some(([key]) => !VARIABLES.has(key)) ? 'warning' : null), {
    message: 'variables of the sidecar that this doctor does not know may take calls past it',
    fix: LOOK,
  });

/** Names of enum values in the order of their numbers: Istio accepts the number instead of the name. */
const INTERCEPTIONS = ['REDIRECT', 'TPROXY', 'NONE'];
const AUTH_POLICIES = ['NONE', 'MUTUAL_TLS'];
const FORWARDED = ['UNDEFINED', 'SANITIZE', 'FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET', 'ALWAYS_FORWARD_ONLY'];

/** The name of an enum value that is written as its name or its number; empty if it is neither. */
const enumName = (names: readonly string[], value: unknown): string =>
  (typeof value === 'number' ? names[value] : typeof value === 'string' ? (names[Number(value)] ?? value) : '') ?? '';

const KEPT: ReadonlySet<string> = new Set(['FORWARD_ONLY', 'ALWAYS_FORWARD_ONLY', 'APPEND_FORWARD']);
const isKept = (value: unknown): boolean => KEPT.has(enumName(FORWARDED, value));
const CLAIMED = {
  message: 'the client says in a header who it is, or where it comes from',
  fix: 'remove it, or let it be `SANITIZE_SET` and no trusted hop',
};

/** The settings of a sidecar or gateway: of the mesh, of a ProxyConfig, or of a pod. */
export const proxyConfig: Message = message(
  `${MESH}.ProxyConfig`,
  found(
    'interceptionMode',
    'istio.past-sidecar',
    (value) => (enumName(INTERCEPTIONS, value) === 'NONE' ? 'error' : null),
    PAST('no call is taken to the sidecar'),
  ),
  found(
    'binaryPath customConfigFile proxyBootstrapTemplatePath',
    'istio.past-sidecar',
    'error',
    PAST('sidecars are another program, or start with another configuration'),
  ),
  variables('proxyMetadata'),
  variables('environmentVariables'),
  found(
    'runtimeValues',
    'istio.unseen',
    (value) => (runtimeFaults(value).some(([, level]) => level !== 'info') ? 'warning' : null),
    { message: 'runtime keys change how calls are read', fix: REMOVE },
  ),
  found(
    'controlPlaneAuthPolicy',
    'istio.impostor',
    (value) => (enumName(AUTH_POLICIES, value) === 'NONE' ? 'warning' : null),
    {
      message: 'sidecars take their configuration in clear: the server that answers there removes the check',
      fix: 'set `MUTUAL_TLS`',
    },
  ),
  found(
    'gatewayTopology',
    'istio.weak-identity',
    (value) =>
      isKept(at(value, 'forwardClientCertDetails')) ||
      (numberAt(value, 'numTrustedProxies') ?? 0) > 0 ||
      isSet(at(value, 'proxyProtocol'))
        ? 'warning'
        : null,
    CLAIMED,
  ),
  found(
    'proxyHeaders',
    'istio.weak-identity',
    (value) => (isKept(at(value, 'forwardedClientCert')) ? 'warning' : null),
    CLAIMED,
  ),
  found('caCertificatesPem', 'istio.weak-identity', 'warning', {
    message: 'further CAs issue identities of the mesh',
    fix: 'remove it, unless each of them is yours',
  }),
  found('connectionSettings', 'istio.unseen', 'warning', {
    message: 'it changes how paths and headers are read',
    fix: LOOK,
  }),
  found('tracing', 'istio.leak', leaks, LEAK),
  harmless(
    'no filter and no route depends on it',
    'availabilityZone concurrency configPath discoveryAddress discoveryRefreshDelay drainDuration envoyAccessLogService envoyMetricsService envoyMetricsServiceAddress extraStatTags fileFlushInterval fileFlushMinSizeKb holdApplicationUntilProxyStarts image meshId privateKeyProvider proxyAdminPort proxyStatsMatcher readinessProbe sds serviceCluster statNameLength tracingServiceName statsCompression statsdUdpAddress statusPort terminationDrainDuration zipkinAddress',
  ),
  harmless('it says for which pods it is', 'selector'),
);

/** The configuration of a mesh. */
export const meshConfig: Message = message(
  `${MESH}.MeshConfig`,
  inside('defaultConfig', () => proxyConfig),
  judged(['istio.provider-unknown', 'istio.fails-open'], 'extensionProviders'),
  judged(['istio.weak-identity'], 'trustDomainAliases caCertificates'),
  judged(['istio.unseen'], 'pathNormalization'),
  judged(['istio.repeated'], 'defaultHttpRetryPolicy'),
  judged(['istio.no-workload'], 'rootNamespace'),
  found(
    'protocolDetectionTimeout',
    'istio.past-sidecar',
    (value) => (/^0+m?s$/.test(String(value)) ? null : 'warning'),
    {
      message: 'a connection whose client waits so long is read as bytes, and not as calls',
      fix: 'remove it, and name the protocol of each port: `appProtocol: http`',
    },
  ),
  found('discoverySelectors', 'istio.past-sidecar', 'warning', {
    message:
      'istiod does not look at namespaces that it does not select: their policies are not in force, and their pods have no sidecar',
    fix: 'let it select each namespace of tools, and suppress this finding here',
  }),
  found('configSources', 'istio.unseen', 'warning', { message: 'policies come from elsewhere too', fix: LOOK }),
  found('ca', 'istio.weak-identity', 'warning', {
    message: 'another service issues the identities of the mesh',
    fix: 'remove it, unless it is yours',
  }),
  found('verifyCertificateAtClient', 'istio.weak-identity', (value) => (isFalse(value) ? 'warning' : null), {
    message: 'servers are not verified: another may get the calls',
    fix: REMOVE,
  }),
  found('accessLogFormat', 'istio.leak', leaks, LEAK),
  harmless('calls in clear are refused by `mtls: STRICT`', 'enableAutoMtls'),
  harmless(
    'it is of calls that leave a pod, or of how the sidecar reaches its own tool',
    'defaultTrafficPolicy inboundTrafficPolicy outboundTrafficPolicy localityLbSetting zoneAwareLbSetting h2UpgradePolicy serviceSettings serviceScopeConfigs serviceEntryVisibility',
  ),
  harmless('no version of TLS below 1.2 can be set', 'meshMTLS tlsDefaults'),
  harmless(
    'it is a name, a port, a log, a span, or statistics',
    'accessLogEncoding accessLogFile certificates defaultDestinationRuleExportTo defaultProviders defaultServiceExportTo defaultVirtualServiceExportTo disableEnvoyListenerLog enableEnvoyAccessLogService enablePrometheusMerge enableTracing inboundClusterStatName ingressClass ingressControllerMode ingressSelector ingressService outboundClusterStatName proxyHttpPort proxyInboundListenPort proxyListenPort trustDomain',
  ),
  harmless('it bounds how long something takes', 'connectTimeout dnsRefreshRate hboneIdleTimeout tcpKeepalive'),
);
