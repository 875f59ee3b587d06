import { isIP } from 'node:net';
import type { HttpCall } from '../../../core/action/http/call.ts';
import { type Deny, deny, isDeny } from '../../../core/decision/decision.ts';
import type { CheckFacts, RefusedRequest } from '../../check/asked-check.ts';
import { authorityFrom, methodFrom, targetFrom } from './canonical.ts';
import { callNameOf } from '../grpc/call-name.ts';
import type { DecodedCheckRequest, DecodedHttpRequest } from './check-request.ts';
import { framingProblem } from '../grpc/framing.ts';
import { type HeaderLine, headerLineFrom } from './header-line.ts';
import { type Headers, headersFrom } from './headers.ts';
import { mcpReadingsFrom } from './mcp-metadata.ts';
import type { CertificateSource } from './peer-certificate.ts';
import { peerFrom } from './peer-facts.ts';
import { refusedRequest } from './refused-request.ts';

/** Settings of the ext_authz filter. */
export interface RequestRules {
  /**
   * `max_request_bytes` if the filter allows partial messages: a body of that length counts as partial unless its
   * `content-length` equals it, because Envoy may report it as complete. `null` if partial messages are off.
   */
  readonly partialBodyBytes: number | null;
  /** Default `peer`. */
  readonly certificateFrom?: CertificateSource;
}

/**
 * The facts of one check, or why its request is refused. Accepts both forms of headers and bodies. Never throws.
 *
 * @param traceparent of the gRPC call, as sent
 * @see https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/attribute_context.proto
 */
export function checkFactsFrom(
  request: DecodedCheckRequest,
  traceparent: string | null,
  rules: RequestRules = { partialBodyBytes: null },
): CheckFacts | RefusedRequest {
  const http = request.attributes?.request?.http;
  if (http === undefined) return deny('request.unsupported', 'the request is not HTTP');
  const lines = headerLinesFrom(http);
  if (isDeny(lines)) return refusedRequest(lines, request, rules);
  const headers = headersFrom(lines);
  if (isDeny(headers)) return refusedRequest(headers, request, rules);
  const peer = peerFrom(request, headers.byName, rules);
  if (isDeny(peer)) return refusedRequest(peer, request, rules);
  const call = callFrom(http, headers, rules);
  if (isDeny(call)) return refusedRequest(call, request, rules);
  const mcpReadings = mcpReadingsFrom(request.attributes?.metadata_context?.filter_metadata);
  const trace = {
    parent: traceparentFrom(traceparent),
    application: traceparentFrom(onlyValue(headers.byName, 'traceparent') ?? null),
  };
  return {
    peer,
    call: mcpReadings.length === 0 ? call : { ...call, mcpReadings },
    trace,
    ...sourceFrom(request),
  };
}

function headerLinesFrom(http: DecodedHttpRequest): readonly HeaderLine[] | Deny {
  const map = http.headers === undefined ? [] : Object.entries(http.headers);
  const list = http.header_map?.headers ?? [];
  if (map.length > 0 && list.length > 0) return malformed('both `headers` and `header_map` are set');
  if (map.length === 0 && list.length === 0) return malformed('`headers` or `header_map` must be set');
  if (map.length > 0) return map.map(([name, value]) => headerLineFrom(name, value));
  const lines: HeaderLine[] = [];
  for (const { line } of list) {
    if (isDeny(line)) return line;
    lines.push(line);
  }
  return lines;
}

function callFrom(http: DecodedHttpRequest, all: Headers, rules: RequestRules): HttpCall | Deny {
  const { byName: headers } = all;
  const disagreement = pseudoHeaderProblem(http, all);
  if (disagreement !== null) return disagreement;
  const method = methodFrom(http.method ?? '');
  if (isDeny(method)) return method;
  const target = targetFrom(http.path ?? '');
  if (isDeny(target)) return target;
  if (http.headers !== undefined && target.path.includes('!')) {
    return deny(
      'request.not-canonical',
      'the path has a `!`, which in this form also stands for a byte that was replaced',
    );
  }
  const authority = authorityFrom(http.host ?? '');
  if (isDeny(authority)) return authority;
  const scheme = http.scheme ?? '';
  if (scheme !== 'http' && scheme !== 'https') return deny('request.not-canonical', 'the scheme is not http or https');
  const replaced = replacementProblem(all, { method, path: http.path ?? '' });
  if (replaced !== null) return replaced;
  const body = bodyFrom(http, headers, rules);
  if (isDeny(body)) return body;
  const framing = framingProblem({ method, headers, body });
  if (framing !== null) return framing;
  const { host, port } = authority;
  const { path, segments, query } = target;
  const requestId = requestIdFrom(headers);
  return { method, scheme, host, port, path, segments, query, headers, body, requestId };
}

/** Fields and pseudo-header fields must agree, if both were sent. */
function pseudoHeaderProblem(http: DecodedHttpRequest, { byName, pseudo }: Headers): Deny | null {
  const { method, path, host, scheme } = http;
  return (
    differenceProblem(':method', pseudo, method) ??
    differenceProblem(':path', pseudo, path) ??
    differenceProblem(':authority', pseudo, host) ??
    differenceProblem('host', byName, host) ??
    differenceProblem(':scheme', pseudo, scheme)
  );
}

function differenceProblem(name: string, headers: Headers['byName'], field = ''): Deny | null {
  const values = headers.get(name);
  if (values === undefined || values[0] === field) return null;
  return deny('request.not-canonical', `the header \`${name}\` differs from the request`);
}

/** A header that overrides method or path in some servers must agree with it, in every occurrence. */
function replacementProblem(
  { replacing }: Headers,
  request: { readonly method: string; readonly path: string },
): Deny | null {
  const differs = replacing.find(({ value, replaces }) => replaces !== null && value !== request[replaces]);
  return differs === undefined
    ? null
    : deny('request.not-canonical', `the header \`${differs.name}\` names another ${differs.replaces}`);
}

/**
 * `null` if no body was inspected: there is none, it streams, the filter does not send it, or it is a gRPC message sent as
 * text, in which Envoy has replaced all bytes that are not UTF-8.
 */
function bodyFrom(
  http: DecodedHttpRequest,
  headers: ReadonlyMap<string, readonly string[]>,
  rules: RequestRules,
): Uint8Array | null | Deny {
  const { body = '', raw_body: raw = EMPTY } = http;
  if (body !== '' && raw.length > 0) return malformed('both `body` and `raw_body` are set');
  const partial = headers.get('x-envoy-auth-partial-body');
  const bytes = body === '' ? raw : Buffer.from(body);
  if (http.size !== undefined && http.size < 0) return cut();
  if (partial === undefined) return raw.length === 0 ? null : unmarkedBody(raw, http);
  if (body !== '' && isGrpc(headers)) return null;
  if (partial.length !== 1 || partial[0] !== 'false') {
    return cut();
  }
  const { partialBodyBytes: limit } = rules;
  return limit === null || bytes.length < limit || isAnnounced(bytes, headers)
    ? bytes
    : deny(
        'request.body-incomplete',
        `the body reaches the limit of ${limit} bytes, and no \`content-length\` says that it ends there`,
      );
}

/** agentgateway marks no body, but gives its size if it is whole, and -1 if it is not. */
const unmarkedBody = (raw: Uint8Array, { size }: DecodedHttpRequest): Uint8Array | Deny =>
  size === raw.length ? raw : cut();

const cut = (): Deny => deny('request.body-incomplete', 'a part of the body was sent to the check');

/** Whether the body has its announced length. Envoy ends a request that continues after that. */
const isAnnounced = (body: Uint8Array, headers: ReadonlyMap<string, readonly string[]>): boolean =>
  onlyValue(headers, 'content-length') === String(body.length);

const isGrpc = (headers: ReadonlyMap<string, readonly string[]>): boolean =>
  headers.get('content-type')?.some((type) => type.toLowerCase().startsWith('application/grpc')) === true;

const EMPTY = new Uint8Array(0);

const onlyValue = (headers: ReadonlyMap<string, readonly string[]>, name: string): string | undefined => {
  const values = headers.get(name);
  return values?.length === 1 ? values[0] : undefined;
};

/** For correlation only, so an unusual value is left out rather than refused. */
const requestIdFrom = (headers: ReadonlyMap<string, readonly string[]>): string | null => {
  const id = onlyValue(headers, 'x-request-id');
  return id !== undefined && /^[A-Za-z0-9._:/+=-]{1,128}$/.test(id) ? id : null;
};

/** @see https://www.w3.org/TR/trace-context/#traceparent-header */
const traceparentFrom = (text: string | null): string | null =>
  text !== null && /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/.test(text)
    ? text
    : null;

const sourceFrom = ({
  attributes,
}: DecodedCheckRequest): Pick<CheckFacts, 'sourceAddress' | 'sourcePort' | 'callName'> => {
  const { address = '', port_value: port = 0 } = attributes?.source?.address?.socket_address ?? {};
  if (isIP(address) === 0) return { sourceAddress: null, sourcePort: null };
  const callName = callNameOf(attributes?.request?.time ?? {}, { address, port });
  const source = { sourceAddress: address, sourcePort: port > 0 && port <= 65_535 ? port : null };
  return callName === null ? source : { ...source, callName };
};

const malformed = (detail: string): Deny => deny('request.malformed', detail);
