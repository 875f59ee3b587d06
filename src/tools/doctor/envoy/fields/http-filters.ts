import { isTrueAt, listAt, membersAt } from '../../tree.ts';
import type { Code, Level } from '../../codes.ts';

/** What a filter does before or after the check; `null` if it is harmless there. */
interface Side {
  readonly code: Code;
  /** `null` if its fields make it harmless. */
  readonly level: (fields: unknown) => Level | null;
  readonly message: string;
  readonly fix: string;
}

/** An HTTP filter on a chain that asks Remit. */
interface FilterEntry {
  readonly before: Side | null;
  readonly after: Side | null;
  /** Why a side without a finding needs none. */
  readonly why: string;
}

const BEFORE_FIX = 'remove it from this listener';
const always = (level: Level) => (): Level => level;

const after = (level: Level, message: string): Side => ({
  code: 'envoy.changed-after-check',
  level: always(level),
  message: `comes after the check and ${message}`,
  fix: 'move it before the ext_authz filter',
});

const early = (level: Level, message: string): Side => ({
  code: 'envoy.answered-early',
  level: always(level),
  message: `comes before the check and ${message}`,
  fix: BEFORE_FIX,
});

const before = (code: Code, message: string, level: Side['level']): Side => ({ code, level, message, fix: BEFORE_FIX });

const BOTH_SEE = 'before the check, Remit and the tool see the same call';
const PASSIVE = 'it refuses, delays, counts or bounds calls, and changes none';

const passive: FilterEntry = { before: null, after: null, why: PASSIVE };
const changing = (level: Level, message: string): FilterEntry => ({
  before: null,
  after: after(level, message),
  why: BOTH_SEE,
});

const HEADERS = 'can change headers, such as who the caller is said to be';
const ALL = 'can change the call: its path, headers, body or route';
const UNKNOWN = 'runs other filters, which may do anything';

/** A token that is removed or replaced before Remit sees it. */
const tokenLost = (level: Side['level']): Side =>
  before(
    'envoy.fails-calls',
    'comes before the check and takes out, or replaces, the token: Remit denies the call',
    level,
  );

const forwards = (fields: unknown): Level | null =>
  membersAt(fields, 'providers').some(([, one]) => !isTrueAt(one, 'forward')) ? 'error' : null;

const entries: Readonly<Record<string, FilterEntry>> = {
  'jwt_authn.v3.JwtAuthentication': { before: tokenLost(forwards), after: after('warning', HEADERS), why: BOTH_SEE },
  'oauth2.v3.OAuth2': {
    before: tokenLost((fields) => (isTrueAt(fields, 'config', 'forward_bearer_token') ? 'error' : null)),
    after: after('warning', HEADERS),
    why: BOTH_SEE,
  },
  'basic_auth.v3.BasicAuth': { before: tokenLost(always('error')), after: after('warning', HEADERS), why: BOTH_SEE },
  'api_key_auth.v3.ApiKeyAuth': {
    before: tokenLost((fields) => (listAt(fields, 'key_sources').length > 0 ? 'warning' : 'error')),
    after: after('warning', HEADERS),
    why: BOTH_SEE,
  },
  'credential_injector.v3.CredentialInjector': {
    before: tokenLost((fields) => (isTrueAt(fields, 'overwrite') ? 'error' : 'warning')),
    after: after('warning', HEADERS),
    why: BOTH_SEE,
  },
  'ext_authz.v3.ExtAuthz': changing(
    'warning',
    'can change headers and the path of the call, by what another service answers',
  ),
  'aws_request_signing.v3.AwsRequestSigning': changing('warning', HEADERS),
  'gcp_authn.v3.GcpAuthnFilterConfig': changing('warning', HEADERS),
  'on_demand.v3.OnDemand': changing(
    'error',
    'finds routes while a call waits: a call without a route at the check is not checked. It belongs first',
  ),
  'custom_response.v3.CustomResponse': {
    before: early('warning', 'can answer otherwise than Remit did: a denial becomes success, or another call'),
    after: early('warning', 'can answer otherwise than Remit did: a denial becomes success, or another call'),
    why: '',
  },
  'tap.v3.Tap': {
    before: before('envoy.leak', 'copies calls, with their tokens', always('warning')),
    after: before('envoy.leak', 'copies calls, with their tokens', always('warning')),
    why: '',
  },
  'kill_request.v3.KillRequest': {
    before: before('envoy.fails-calls', 'lets a header of a client end Envoy', always('warning')),
    after: before('envoy.fails-calls', 'lets a header of a client end Envoy', always('warning')),
    why: '',
  },
};

const rows = (names: string, entry: FilterEntry): readonly (readonly [string, FilterEntry])[] =>
  names
    .split(/\s+/)
    .filter((name) => name !== '')
    .map((name) => [name, entry]);

const answering: FilterEntry = {
  before: early('error', 'answers, or calls a tool, by itself: what it answers nobody has checked'),
  after: after('error', ALL),
  why: '',
};

const composed: FilterEntry = {
  before: { code: 'envoy.unseen', level: always('warning'), message: UNKNOWN, fix: BEFORE_FIX },
  after: after('error', UNKNOWN),
  why: '',
};

const HTTP = 'envoy.extensions.filters.http.';
const inHttp = (list: readonly (readonly [string, FilterEntry])[]): readonly (readonly [string, FilterEntry])[] =>
  list.map(([name, entry]) => [`${HTTP}${name}`, entry]);

/** Every HTTP filter that this doctor knows, by the name of its type. Any other filter is a finding. */
export const httpFilters: ReadonlyMap<string, FilterEntry> = new Map([
  ...inHttp(Object.entries(entries)),
  ...inHttp(
    rows(
      `admission_control.v3.AdmissionControl adaptive_concurrency.v3.AdaptiveConcurrency alternate_protocols_cache.v3.FilterConfig
       bandwidth_limit.v3.BandwidthLimit buffer.v3.Buffer compressor.v3.Compressor cors.v3.Cors csrf.v3.CsrfPolicy fault.v3.HTTPFault
       grpc_stats.v3.FilterConfig health_check.v3.HealthCheck local_ratelimit.v3.LocalRateLimit ratelimit.v3.RateLimit
       rate_limit_quota.v3.RateLimitQuotaFilterConfig rbac.v3.RBAC router.v3.Router upstream_codec.v3.UpstreamCodec cdn_loop.v3.CdnLoopConfig`,
      passive,
    ),
  ),
  ...inHttp(
    rows(
      `lua.v3.Lua lua.v3.LuaPerRoute ext_proc.v3.ExternalProcessor wasm.v3.Wasm golang.v3alpha.Config header_mutation.v3.HeaderMutation
       dynamic_modules.v3.DynamicModuleFilter grpc_json_transcoder.v3.GrpcJsonTranscoder grpc_json_reverse_transcoder.v3.GrpcJsonReverseTranscoder
       transform.v3.TransformConfig decompressor.v3.Decompressor grpc_web.v3.GrpcWeb proto_api_scrubber.v3.ProtoApiScrubberConfig
       grpc_http1_bridge.v3.Config grpc_http1_reverse_bridge.v3.FilterConfig connect_grpc_bridge.v3.FilterConfig
       dynamic_forward_proxy.v3.FilterConfig mcp.v3.Mcp mcp_json_rest_bridge.v3.McpJsonRestBridge header_to_metadata.v3.Config
       json_to_metadata.v3.JsonToMetadata thrift_to_metadata.v3.ThriftToMetadata sse_to_metadata.v3.SseToMetadata set_metadata.v3.Config
       set_filter_state.v3.Config ip_tagging.v3.IPTagging geoip.v3.Geoip stateful_session.v3.StatefulSession original_src.v3.OriginalSrc
       proto_message_extraction.v3.ProtoMessageExtractionConfig grpc_field_extraction.v3.GrpcFieldExtractionConfig`,
      changing('error', ALL),
    ),
  ),
  ...inHttp(
    rows(
      `cache.v3.CacheConfig cache_v2.v3.CacheV2Config file_server.v3.FileServerConfig mcp_router.v3.McpRouter aws_lambda.v3.Config`,
      answering,
    ),
  ),
  ...inHttp(rows('composite.v3.Composite filter_chain.v3.FilterChainConfig', composed)),
  ...rows(
    'envoy.extensions.common.matching.v3.ExtensionWithMatcher envoy.extensions.common.matching.v3.ExtensionWithMatcherPerRoute',
    composed,
  ),
  // Filters of Istio's own Envoy: labels of the peer, metrics, and the protocol to the upstream.
  ...rows(
    'io.istio.http.peer_metadata.Config stats.PluginConfig istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig istio.envoy.config.filter.http.authn.v2alpha1.FilterConfig',
    passive,
  ),
]);
