import { join } from 'node:path';
import { isMap, parseDocument } from 'yaml';
import type { Document, YAMLSeq } from 'yaml';
import { shippedEnvoyConfig } from '../../src/tools/init/envoy-config.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { cachedEnvoy, ENVOY_VERSION } from '../../src/dev/envoy-binary.ts';
import { cacheFolder } from '../parts/cache.ts';
import type { Stage } from './stage.ts';

/** How the Envoy of one contender differs from the shipped configuration. */
export interface EnvoyVariant {
  /** Socket of the server it asks; `null` for Envoy alone. */
  readonly socket: string | null;
  readonly collectorPort: number;
  /** Whether it sends access logs, as shipped: only Remit accepts them. Default no. */
  readonly tellsOutcomes?: boolean;
  /** Whether it sends headers as bytes, as shipped, or as text, which OPA policies read. Default bytes. */
  readonly headers?: 'bytes' | 'text';
  /** Calls per second of one agent, a tenth of them at once. Default: more than a load has, so that it costs what it costs and refuses none. */
  readonly callsPerAgent?: number;
  /** More that differs, applied last. Default nothing. */
  readonly change?: (document: Document) => void;
}

const UNLIMITED = 10_000_000;

/** Starts an Envoy in front of one contender. The stage ends it. */
export async function startEnvoy(stage: Stage, variant: EnvoyVariant): Promise<EnvoyProcess> {
  const shipped = await shippedEnvoyConfig();
  const binary = cachedEnvoy(cacheFolder, ENVOY_VERSION);
  const unused = join(stage.folder, 'nobody.sock');
  const envoy = await EnvoyProcess.start({
    binary,
    config: (adminSocket) => loadedConfig(shipped, { ...variant, adminSocket, unused }),
  });
  if (!(envoy instanceof EnvoyProcess)) throw new Error(`${envoy.problem}; \`npm run parts\` installs Envoy`);
  stage.onClose(() => envoy.stop());
  return envoy;
}

const listener = ['static_resources', 'listeners', 0];
const chain = [...listener, 'filter_chains', 0];
/** The path of the connection manager of the only listener. */
export const manager = [...chain, 'filters', 0, 'typed_config'];
/** The path of the `typed_config` of its local rate limit. */
export const limit = [...manager, 'http_filters', 0, 'typed_config'];
/** The path of its ext_authz filter. */
export const authorization = [...manager, 'http_filters', 2];
const router = [...manager, 'http_filters', 3];
const clusters = ['static_resources', 'clusters'];
const endpoint = ['load_assignment', 'endpoints', 0, 'lb_endpoints', 0, 'endpoint', 'address'];

/**
 * The shipped configuration, changed for a load generator: a plain listener on a free port, identity from a header, a direct response
 * instead of an upstream, an access log that is discarded, and a limit for each agent by that header.
 */
function loadedConfig(
  shipped: string,
  variant: EnvoyVariant & { readonly adminSocket: string; readonly unused: string },
): string {
  const { adminSocket, collectorPort, socket, unused } = variant;
  const document = parseDocument(shipped);
  document.setIn(['admin', 'address', 'pipe', 'path'], adminSocket);
  document.setIn([...listener, 'address', 'socket_address'], { address: '127.0.0.1', port_value: 0 });
  document.deleteIn([...chain, 'transport_socket']);
  document.setIn([...manager, 'forward_client_cert_details'], 'ALWAYS_FORWARD_ONLY');
  document.setIn([...manager, 'access_log', 1, 'typed_config'], {
    '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
    path: '/dev/null',
    log_format: document.getIn([...manager, 'access_log', 1, 'typed_config', 'log_format']),
  });
  document.setIn(
    [...manager, 'route_config', 'virtual_hosts'],
    [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }] }],
  );
  const remit = [...clusters, indexOf(document, 'remit')];
  const collector = [...clusters, indexOf(document, 'otel_collector')];
  document.setIn([...remit, ...endpoint, 'pipe', 'path'], socket ?? unused);
  document.setIn([...collector, ...endpoint, 'socket_address', 'port_value'], collectorPort);
  if (variant.tellsOutcomes !== true) {
    document.deleteIn([...manager, 'access_log', 0]);
    document.deleteIn([...remit, 'health_checks']);
  }
  const perTenth = Math.ceil((variant.callsPerAgent ?? UNLIMITED) / 10);
  const bucket = { max_tokens: perTenth, tokens_per_fill: perTenth, fill_interval: '0.1s' };
  // No client certificate reaches this Envoy, so the header that names the caller is the key.
  const action = [...limit, 'rate_limits', 0, 'actions', 0, 'extension', 'typed_config', 'text'];
  document.setIn(action, "request.headers['x-forwarded-client-cert']");
  document.setIn([...limit, 'token_bucket'], bucket);
  document.setIn([...limit, 'descriptors', 0, 'token_bucket'], bucket);
  if (variant.headers === 'text') document.setIn([...authorization, 'typed_config', 'encode_raw_headers'], false);
  if (socket === null) document.setIn([...manager, 'http_filters'], [document.getIn(router)]);
  variant.change?.(document);
  return document.toString({ lineWidth: 0 });
}

function indexOf(document: Document, cluster: string): number {
  const { items } = document.getIn(clusters) as YAMLSeq;
  return items.findIndex((item) => isMap(item) && item.get('name') === cluster);
}
