import { LRUCache } from 'lru-cache';
import type { Answer } from '../check/answer.ts';
import { type Deny, deny } from '../decision/decision.ts';
import { type Reason, type ReasonCode, reasons } from '../decision/reasons.ts';
import { defaultProofRules } from '../token/proof.ts';
import { checkResponseBytes, type HttpAnswer, type SetHeader } from './check-response.ts';

/** Options of all answers of a process. */
export interface ResponseOptions {
  /** A page that explains the reasons, with each code as an anchor; `null` for no link. */
  readonly helpUrl: string | null;
  /**
   * Name of the ledger with this process's decisions, where several processes serve one proxy. Told to the proxy, so that its
   * access log can be matched.
   */
  readonly ledger?: string;
  /** The nonce for the next DPoP proof; absent where proofs need none. */
  readonly proofNonce?: () => string;
}

/** Headers that Remit sets on a request it lets pass; those it does not set are removed. */
export const OWNED_HEADERS = ['x-remit-decision', 'x-remit-task', 'x-remit-agent', 'txn-token'] as const;

/**
 * Credential headers, removed before the upstream, which must not be able to replay them. The exception are those with the
 * upstream's own secret, which did not authenticate the call.
 */
export const CREDENTIAL_HEADERS = ['authorization', 'proxy-authorization', 'dpop', 'x-forwarded-client-cert'] as const;

/** For clients whose request may succeed when retried. */
const RETRY_AFTER_SECONDS = 1;
/** Longest operator text or URL; longer ones are left out. */
const MAX_TEXT_CHARS = 2_048;

/**
 * Serialises the CheckResponse; the only place that does. Only an `Allow` gets status code 0. (Envoy reads an unset status as
 * an allow, whatever else the message says.)
 *
 * `x-remit-decision` is a structured field (RFC 9651), for the upstream and for a denied client: `allow;id="…";trace="…"` and
 * `deny;reason=token.expired;id="…";trace="…"`.
 *
 * Throws for answers that the types forbid; the caller then sends a prepared denial.
 *
 * @see proto/envoy/service/auth/v3/external_auth.proto
 */
export function checkResponseFrom(answer: Answer, options: ResponseOptions): Buffer {
  return preparedAllow(answer, options) ?? builtResponse(answer, options);
}

function builtResponse(answer: Answer, options: ResponseOptions): Buffer {
  if (!/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/.test(answer.decisionId)) throw new Error('invalid decision id');
  const { decision } = answer;
  const http = decision.kind === 'allow' ? allowed(answer) : denied(answer, decision, options);
  return checkResponseBytes(http, metadataFrom(answer, options));
}

/** Placeholder for the id in a prepared denial. */
const PLACEHOLDER = '00000000-0000-0000-0000-000000000000';

/**
 * A pre-encoded denial, for when there is no time to encode: each call copies it and inserts the decision id.
 *
 * @returns a function from a decision id of exactly 36 characters (a UUID) to the bytes
 */
export function preparedDenial(reason: ReasonCode, options: ResponseOptions): (decisionId: string) => Buffer {
  const decision = deny(reason, '');
  const nobody = {
    taskId: null,
    agent: null,
    action: null,
    resourceMetadataUrl: null,
    traceId: null,
    transactionToken: null,
    passing: [],
  };
  const template = builtResponse({ decision, decisionId: PLACEHOLDER, ...nobody }, options);
  const places = placesOf(PLACEHOLDER, template);
  return (decisionId) => {
    if (!/^[0-9A-Za-z-]{36}$/.test(decisionId)) throw new Error('the decision id must be a UUID');
    const bytes = Buffer.from(template);
    for (const at of places) bytes.write(decisionId, at, 'latin1');
    return bytes;
  };
}

function placesOf(placeholder: string, template: Buffer): readonly number[] {
  const places: number[] = [];
  for (let at = template.indexOf(placeholder); at !== -1; at = template.indexOf(placeholder, at + 1)) places.push(at);
  return places;
}

/** An allow encoded for an agent and an action, with the positions of its ids in header and metadata. */
interface AllowTemplate {
  readonly bytes: Buffer;
  readonly decisionId: readonly number[];
  readonly taskId: readonly number[];
  readonly traceId: readonly number[];
}

const MAX_TEMPLATES = 1_024;
const templates = new LRUCache<string, AllowTemplate>({ max: MAX_TEMPLATES });

const TASK_PLACEHOLDER = 'ffffffff-ffff-7fff-bfff-ffffffffffff';
const TRACE_PLACEHOLDER = '0123456789abcdef'.repeat(2);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * The ordinary allow: a copy of the template for its agent and action with its ids inserted. `null` for every other answer, and
 * where a name contains a placeholder.
 */
function preparedAllow(answer: Answer, options: ResponseOptions): Buffer | null {
  const { decision, decisionId, taskId, agent, action, transactionToken, passing } = answer;
  const traceId = traceIdOf(answer);
  if (decision.kind !== 'allow' || transactionToken !== null || passing.length > 0) return null;
  if (traceId === null || taskId === null || agent === null || action === null) return null;
  if (!UUID.test(decisionId) || !UUID.test(taskId)) return null;
  const template = templateFor(answer, { agent, action }, options);
  if (template === null) return null;
  const bytes = Buffer.from(template.bytes);
  for (const at of template.decisionId) bytes.write(decisionId, at, 'latin1');
  for (const at of template.taskId) bytes.write(taskId, at, 'latin1');
  for (const at of template.traceId) bytes.write(traceId, at, 'latin1');
  return bytes;
}

function templateFor(
  answer: Answer,
  { agent, action }: { readonly agent: string; readonly action: string },
  options: ResponseOptions,
): AllowTemplate | null {
  const names = `${agent.length}:${agent}${action}`;
  const key = options.ledger === undefined ? names : `${options.ledger} ${names}`;
  const known = templates.get(key);
  if (known !== undefined) return known;
  const ids = { decisionId: PLACEHOLDER, taskId: TASK_PLACEHOLDER, traceId: TRACE_PLACEHOLDER };
  const bytes = builtResponse({ ...answer, ...ids }, options);
  const places = {
    decisionId: placesOf(PLACEHOLDER, bytes),
    taskId: placesOf(TASK_PLACEHOLDER, bytes),
    traceId: placesOf(TRACE_PLACEHOLDER, bytes),
  };
  if (Object.values(places).some(({ length }) => length !== OCCURRENCES)) return null;
  const template = { bytes, ...places };
  templates.set(key, template);
  return template;
}

/** Occurrences of each id: in a header and in the metadata. */
const OCCURRENCES = 2;

/** The ids of a decision as parameters of the structured field. */
const idsOf = (answer: Answer): string => {
  const trace = traceIdOf(answer);
  return `;id="${answer.decisionId}"${trace === null ? '' : `;trace="${trace}"`}`;
};

/** @see W3C Trace Context section 3.2.2.3 */
const traceIdOf = ({ traceId }: Answer): string | null =>
  traceId !== null && /^[0-9a-f]{32}$/.test(traceId) ? traceId : null;

/** INVARIANT: an upstream that requires a transaction token is not called without one. */
function transactionTokenOf({ transactionToken }: Answer): string | null {
  if (transactionToken === null || /^[A-Za-z0-9_.-]{1,8192}$/.test(transactionToken)) return transactionToken;
  throw new Error('the transaction token must be a compact JWS');
}

function allowed(answer: Answer): HttpAnswer {
  const values: Readonly<Record<(typeof OWNED_HEADERS)[number], string | null>> = {
    'x-remit-decision': `allow${idsOf(answer)}`,
    'x-remit-task': plain(answer.taskId),
    'x-remit-agent': plain(answer.agent),
    'txn-token': transactionTokenOf(answer),
  };
  const headers = OWNED_HEADERS.flatMap((name): readonly SetHeader[] => {
    const value = values[name];
    return value === null ? [] : [[name, value]];
  });
  // INVARIANT: set or removed, never both: Envoy removes last, which would drop the header.
  const unset = OWNED_HEADERS.filter((name) => values[name] === null);
  const passing: ReadonlySet<string> = new Set(answer.passing);
  const withheld = CREDENTIAL_HEADERS.filter((name) => !passing.has(name));
  return { kind: 'ok', headers, headersToRemove: [...withheld, ...unset] };
}

function denied(answer: Answer, decision: Deny, options: ResponseOptions): HttpAnswer {
  const reason: Reason = reasons[decision.reason];
  const body = JSON.stringify(bodyFrom(answer, decision, options));
  const headers: readonly SetHeader[] = [
    ['content-type', 'application/json'],
    ['cache-control', 'no-store'],
    ['x-remit-decision', `deny;reason=${decision.reason}${idsOf(answer)}`],
    ...(reason.challenge === null
      ? []
      : [['www-authenticate', challengeFrom(reason, answer, schemeOf(decision))] as const]),
    ...(decision.reason === 'token.proof-nonce' && options.proofNonce !== undefined
      ? [['dpop-nonce', options.proofNonce()] as const]
      : []),
    ...(reason.retryable ? [['retry-after', String(RETRY_AFTER_SECONDS)] as const] : []),
  ];
  const { grpcStatus: code, httpStatus } = reason;
  return { kind: 'denied', code, message: decision.reason, httpStatus, headers, body };
}

/**
 * The body for a denied client. For JSON-RPC calls it is a JSON-RPC error with the request's id, so that a client handles it
 * like an error of the server.
 *
 * @see https://www.jsonrpc.org/specification section 5.1
 */
function bodyFrom(answer: Answer, decision: Deny, options: ResponseOptions): object {
  const reason: Reason = reasons[decision.reason];
  const help = plain(options.helpUrl);
  const trace = traceIdOf(answer);
  const ids = { reason: decision.reason, decision: answer.decisionId, ...(trace === null ? {} : { trace }) };
  const hints = {
    ...(decision.advice === null ? {} : { advice: decision.advice.slice(0, MAX_TEXT_CHARS).toWellFormed() }),
    ...(help === null ? {} : { help: `${help}#${decision.reason}` }),
  };
  const { jsonRpcDenial } = answer;
  if (jsonRpcDenial === undefined) return { error: errorOf(reason), ...ids, message: reason.text, ...hints };
  const error = { code: jsonRpcDenial.code, message: reason.text, data: { ...ids, ...hints } };
  return { jsonrpc: '2.0', id: jsonRpcDenial.id, error };
}

/** The `error` of the body: that of the challenge where there is one, else the nearest in RFC 6749. */
const errorOf = (reason: Reason): string => {
  if (reason.challenge !== null) return reason.challenge === '' ? 'unauthorized' : reason.challenge;
  if (reason.httpStatus === 503 || reason.httpStatus === 429) return 'temporarily_unavailable';
  return reason.httpStatus === 403 ? 'access_denied' : 'invalid_request';
};

/** The challenge scheme; `DPoP` lists the accepted algorithms. @see RFC 9449 section 7.1 */
interface Scheme {
  readonly name: 'Bearer' | 'DPoP';
  readonly error: string | null;
  readonly algs: string | null;
}

function schemeOf({ reason }: Deny): Scheme {
  const error = dpopErrors.get(reason);
  return error === undefined
    ? { name: 'Bearer', error: null, algs: null }
    : { name: 'DPoP', error, algs: [...defaultProofRules.algorithms].join(' ') };
}

/** @see RFC 9449 sections 7.1 and 9 */
const dpopErrors: ReadonlyMap<string, string> = new Map([
  ['token.proof', 'invalid_dpop_proof'],
  ['token.proof-nonce', 'use_dpop_nonce'],
]);

/** @see RFC 6750 section 3 and RFC 9728 section 5.1 */
const challengeFrom = (reason: Reason, answer: Answer, scheme: Scheme): string => {
  const url = plain(answer.resourceMetadataUrl);
  const parameters = [
    ['realm', 'remit'],
    ...(reason.challenge === ''
      ? []
      : [['error', scheme.error ?? reason.challenge ?? ''] as const, ['error_description', reason.text]]),
    ...(scheme.algs === null ? [] : [['algs', scheme.algs]]),
    ...(url === null ? [] : [['resource_metadata', url]]),
  ];
  return `${scheme.name} ${parameters.map(([name, value = '']) => `${name}="${value.replace(/["\\]/g, '\\$&')}"`).join(', ')}`;
};

/** Ids and labels only, since access logs print them. Stored in the namespace `envoy.filters.http.ext_authz`. */
const metadataFrom = (answer: Answer, { ledger }: ResponseOptions): readonly SetHeader[] => {
  const { decision } = answer;
  const values = [
    ['decision_id', answer.decisionId],
    ['decision', decision.kind],
    ['reason', decision.kind === 'deny' ? decision.reason : null],
    ['trace_id', traceIdOf(answer)],
    ['task_id', plain(answer.taskId)],
    ['action', plain(answer.action)],
    ['agent', plain(answer.agent)],
    ['ledger', plain(ledger ?? null)],
  ] as const;
  return values.flatMap(([name, value]): readonly SetHeader[] => (value === null ? [] : [[name, value]]));
};

/** Text that is safe in a header, or nothing: a truncated identifier would be another identifier. */
const plain = (text: string | null): string | null =>
  text !== null && text.length <= MAX_TEXT_CHARS && /^[\x21-\x7e]+$/.test(text) ? text : null;
