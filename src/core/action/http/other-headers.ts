import { carriedFrom } from './carried.ts';
import type { Carried } from './carried.ts';
import type { HttpCall } from './call.ts';
import type { ActionKind } from '../catalog/catalog.ts';
import { isMcpParamHeader } from '../mcp/mcp-param-headers.ts';

/** Headers that Remit checks or refuses on every route. */
const JUDGED = `authorization connection content-encoding content-length content-type dpop expect host trailer transfer-encoding upgrade
  x-forwarded-client-cert x-http-method x-http-method-override x-method-override x-original-url x-rewrite-url`;
/** Headers that Envoy and Istio set themselves, and those of traces, which Remit reads. */
const OF_PROXY = `traceparent tracestate x-b3-flags x-b3-parentspanid x-b3-sampled x-b3-spanid x-b3-traceid x-envoy-attempt-count
  x-envoy-auth-partial-body x-envoy-decorator-operation x-envoy-expected-rq-timeout-ms x-envoy-external-address x-envoy-internal
  x-envoy-peer-metadata x-envoy-peer-metadata-id x-forwarded-for x-forwarded-proto x-request-id`;
/** Headers that nearly every client sends, about itself and the form of the answer. */
const OF_CLIENT = `accept accept-encoding accept-language cache-control grpc-accept-encoding grpc-encoding grpc-timeout keep-alive pragma
  priority sec-fetch-dest sec-fetch-mode sec-fetch-site te user-agent`;

const plainWith = (judged: string): ReadonlySet<string> =>
  new Set(`${JUDGED} ${OF_PROXY} ${OF_CLIENT} ${judged}`.split(/\s+/));

/** Headers that are not recorded, by the kind of route: headers that repeat a message are checked against it. */
const PLAIN: Readonly<Record<ActionKind, ReadonlySet<string>>> = {
  http: plainWith(''),
  grpc: plainWith(''),
  mcp: plainWith('last-event-id mcp-method mcp-name mcp-protocol-version mcp-session-id'),
  a2a: plainWith('a2a-extensions'),
};

/**
 * The headers of a call, gRPC metadata included, that reach the upstream and that no rule reads, for the record; `undefined` if
 * there are none. Left out are headers that Remit checks, that a proxy sets, and that nearly every client sends. Pure.
 */
export function otherHeaders({ headers }: Pick<HttpCall, 'headers'>, kind: ActionKind): Carried | undefined {
  const plain = PLAIN[kind];
  let others: Map<string, readonly string[]> | null = null;
  for (const [name, values] of headers) {
    if (plain.has(name) || (kind === 'mcp' && isMcpParamHeader(name))) continue;
    others ??= new Map();
    others.set(name, values);
  }
  return others === null ? undefined : carriedFrom(others);
}
