import { at, listAt, numberAt, textAt, typeNameOf } from '../tree.ts';
import { httpFilters } from '../envoy/fields/http-filters.ts';
import { SAFE_RETRIES } from '../envoy/fields/values-of-fields.ts';
import type { HostRule } from './host-rule.ts';

const API = 'gateway.networking.k8s.io';
const GROUP = 'gateway.envoyproxy.io';
const REMOVE = 'remove it';

/** Fields of Envoy Gateway's own policies that are findings, each with what follows from it. */
export const envoyGatewayPolicies: readonly HostRule[] = [
  {
    kind: 'HTTPRoute',
    group: API,
    path: 'spec.rules[].retry',
    code: 'envoy-gateway.repeated',
    message: 'a call is sent again that the tool may have carried out: one decision and several effects',
    fix: REMOVE,
  },
  {
    kind: 'BackendTrafficPolicy',
    group: GROUP,
    path: 'spec.retry',
    isBad: (retry) => retry !== undefined && !isSafeRetry(retry),
    code: 'envoy-gateway.repeated',
    message: 'a call is sent again that the tool may have carried out: one decision and several effects',
    fix: 'remove it, or retry on `connect-failure` and `refused-stream` alone',
  },
  {
    kind: 'BackendTrafficPolicy',
    group: GROUP,
    path: 'spec.responseOverride',
    code: 'envoy-gateway.changed-call',
    level: 'warning',
    message: 'a denial of Remit may be shown as something else',
    fix: 'leave 401, 403 and 503 as they are',
  },
  {
    kind: 'BackendTrafficPolicy',
    group: GROUP,
    path: 'spec.endpointOverride',
    code: 'envoy-gateway.changed-call',
    message: 'a header of the client chooses the endpoint',
    fix: REMOVE,
  },
  {
    kind: 'BackendTrafficPolicy',
    group: GROUP,
    path: 'spec.httpUpgrade[].type',
    isBad: (type) => typeof type === 'string' && type !== 'websocket',
    code: 'envoy-gateway.past-filter',
    message: 'after an upgrade nobody is asked again; Remit denies the call that asks for a WebSocket alone',
    fix: REMOVE,
  },
  {
    kind: 'EnvoyExtensionPolicy',
    group: GROUP,
    path: 'spec',
    code: 'envoy-gateway.changed-after-check',
    message: 'its Lua, Wasm or external processor runs after ext_authz by default, and can change the call',
    fix: 'set `filterOrder` of the EnvoyProxy so that it comes before `envoy.filters.http.ext_authz`, and suppress this finding',
  },
  ...['jwt', 'oidc', 'basicAuth', 'apiKeyAuth'].map((name): HostRule => ({
    kind: 'SecurityPolicy',
    group: GROUP,
    path: `spec.${name}`,
    code: 'envoy-gateway.changed-after-check',
    message: 'it comes after ext_authz, and can change headers, such as who the caller is said to be',
    fix: 'remove it: Remit verifies the token',
  })),
  {
    kind: 'SecurityPolicy',
    group: GROUP,
    path: 'spec.extAuth.grpc.backendSettings.retry',
    code: 'envoy-gateway.repeated',
    message: 'a check is repeated: one call counts as two uses, and a token for one use is refused',
    fix: REMOVE,
  },
  {
    kind: 'SecurityPolicy',
    group: GROUP,
    path: 'spec.extAuth.headersToExtAuth',
    code: 'envoy-gateway.headers-hidden',
    message: 'Remit gets some of the headers, and the tool all: it may obey a header that policies cannot see',
    fix: REMOVE,
  },
  {
    kind: 'SecurityPolicy',
    group: GROUP,
    path: 'spec.extAuth.grpc.backendRefs',
    isBad: (refs) => Array.isArray(refs) && refs.length > 1,
    code: 'envoy-gateway.impostor',
    message: 'checks go to several backends: each must be Remit, or another decides',
    fix: 'name one Backend, with an endpoint for each process of Remit',
  },
  {
    kind: 'SecurityPolicy',
    group: GROUP,
    path: 'spec.extAuth.timeout',
    isBad: (timeout) => typeof timeout === 'string' && /^(?:[01]?\d)ms$/.test(timeout),
    code: 'envoy-gateway.fails-calls',
    message: 'no check is answered in so short a time, and every call is denied',
    fix: 'set `timeout: 500ms`',
  },
  {
    kind: 'Backend',
    group: GROUP,
    path: 'spec.type',
    isBad: (type) => type === 'DynamicResolver',
    code: 'envoy-gateway.changed-call',
    message: 'the host of the call is looked up and called, whatever it is',
    fix: 'name the endpoints of the Backend',
  },
  ...(
    [
      ['spec.clientIPDetection', 'the address in records is what a header claims'],
      ['spec.enableProxyProtocol', 'the address in records is what a hop before claims'],
      ['spec.proxyProtocol', 'the address in records is what a hop before claims'],
      ['spec.headers.earlyRequestHeaders', 'headers are changed before the check, maybe the token'],
      ['spec.headers.preserveXRequestID', 'the client chooses the ids of its calls in records'],
      ['spec.http3', 'over QUIC callers are not verified by SDS or the SPIFFE validator'],
      ['spec.tls.session', 'sessions are resumed without another look at the certificate'],
      ['spec.tls.clientValidation.allowExpiredCertificate', 'expired certificates are accepted'],
    ] as const
  ).map(([path, message]): HostRule => ({
    kind: 'ClientTrafficPolicy',
    group: GROUP,
    path,
    code: 'envoy-gateway.weak-identity',
    message,
    fix: REMOVE,
  })),
  {
    kind: 'ClientTrafficPolicy',
    group: GROUP,
    path: 'spec.tls.minVersion',
    isBad: (version) => version === '1.0' || version === '1.1',
    code: 'envoy-gateway.weak-identity',
    message: 'versions of TLS before 1.2 can be broken',
    fix: "set `minVersion: '1.2'`",
  },
  {
    kind: 'ClientTrafficPolicy',
    group: GROUP,
    path: 'spec.path.escapedSlashesAction',
    isBad: (action) => action === 'KeepUnchanged' || action === 'UnescapeAndForward',
    code: 'envoy-gateway.unseen',
    message: 'the tool may read a path otherwise than Remit does',
    fix: 'set `escapedSlashesAction: RejectRequest`',
  },
  ...(
    [
      ['EnvoyProxy', 'spec.filterOrder', 'filters may come after the check, or before it'],
      ['EnvoyProxy', 'spec.bootstrap', 'it changes the bootstrap of Envoy'],
      ['EnvoyGateway', 'extensionManager', 'an extension server changes what Envoy gets'],
    ] as const
  ).map(([kind, path, message]): HostRule => ({
    kind,
    group: '',
    path,
    code: 'envoy-gateway.unseen',
    message,
    fix: 'look at the running Envoy with --envoy, and suppress this finding at its place',
  })),
  {
    kind: 'EnvoyPatchPolicy',
    group: GROUP,
    path: 'spec.jsonPatches[].operation',
    isBad: (operation) => operation !== undefined && !isKnownPatch(operation),
    code: 'envoy-gateway.unseen',
    message: 'it changes what Envoy gets in a way that this doctor does not know',
    fix: 'look at the running Envoy with --envoy, and suppress this finding at its place',
  },
];

/** Settings of the filter that asks Remit, which a patch such as deploy/hosts/envoy-gateway/patch.yaml may switch on. */
const PATCHED: ReadonlySet<string> = new Set([
  'include_peer_certificate',
  'encode_raw_headers',
  'pack_as_bytes',
  'validate_mutations',
]);

const isKnownPatch = (operation: unknown): boolean =>
  textAt(operation, 'op') === 'add' &&
  (isFirstFilter(operation) ||
    (PATCHED.has(textAt(operation, 'path').replace(/^\//, '')) && at(operation, 'value') === true));

/** A filter before all others that is harmless there. */
const isFirstFilter = (operation: unknown): boolean =>
  textAt(operation, 'jsonPath').endsWith('.typed_config.http_filters') &&
  textAt(operation, 'path') === '0' &&
  httpFilters.get(typeNameOf(at(operation, 'value', 'typed_config')))?.before === null;

/** Without triggers Envoy Gateway retries on five kinds of failure. */
function isSafeRetry(retry: unknown): boolean {
  const triggers = listAt(retry, 'retryOn', 'triggers');
  const isOff = numberAt(retry, 'numRetries') === 0;
  const isSafe = triggers.length > 0 && triggers.every((one) => SAFE_RETRIES.has(String(one)));
  return isOff || (isSafe && at(retry, 'retryOn', 'httpStatusCodes') === undefined);
}
