import { LRUCache } from 'lru-cache';
import type { Answer } from '../check/answer.ts';
import { type Deny, deny } from '../decision/decision.ts';
import { type Reason, type ReasonCode, reasons } from '../decision/reasons.ts';
import { defaultProofRules } from '../token/proof.ts';
import { checkResponseBytes, type HttpAnswer, type SetHeader } from './check-response.ts';

/** What all answers of one process have in common. */
export interface ResponseOptions {
  /** The page that explains the reasons, each under its code as the anchor; `null` leaves the link out. */
  readonly helpUrl: string | null;
  /**
   * Name of the ledger that holds the decisions of this process, where several processes answer one proxy: told to it, so that
   * its access log finds the way back here.
   */
  readonly ledger?: string;
}

/** Headers that Remit may set on the request it lets pass. Each one it does not set is removed. */
export const OWNED_HEADERS = ['x-remit-decision', 'x-remit-task', 'x-remit-agent', 'txn-token'] as const;

/**
 * Headers that do not reach the upstream: what the agent proved itself with is not the upstream's to replay. Those that an
 * answer lets pass are the upstream's own secret, which the call was not judged by.
 */
export const CREDENTIAL_HEADERS = ['authorization', 'proxy-authorization', 'dpop', 'x-forwarded-client-cert'] as const;

/** Told to a client whose request may succeed when repeated unchanged. */
const RETRY_AFTER_SECONDS = 1;
/** Of text that an operator wrote and of URLs: what is longer is left out. */
const MAX_TEXT_CHARS = 2_048;

/**
 * The bytes of the CheckResponse for an answer; the only place that builds one. Only `Allow` gives status code 0: to
 * Envoy an unset status is an allow, whatever else the message says.
 *
 * `x-remit-decision` is the same structured field (RFC 9651) to the upstream and to a client that was denied:
 * `allow;id="…";trace="…"` and `deny;reason=token.expired;id="…";trace="…"`.
 *
 * Throws for an answer that no type checker would have let through; the caller answers with a prepared denial then.
 *
 * @see proto/envoy/service/auth/v3/external_auth.proto
 */
export function checkResponseFrom(answer: Answer, options: ResponseOptions): Buffer {
  return preparedAllow(answer, options) ?? builtResponse(answer, options);
}

function builtResponse(answer: Answer, options: ResponseOptions): Buffer {
  if (!/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/.test(answer.decisionId)) throw new Error('the decision id is not plain');
  const { decision } = answer;
  const http = decision.kind === 'allow' ? allowed(answer) : denied(answer, decision, options);
  return checkResponseBytes(http, metadataFrom(answer, options));
}

/** Stands in a prepared denial for the id that each use of it gets. */
const PLACEHOLDER = '00000000-0000-0000-0000-000000000000';

/**
 * A denial encoded once, for moments when there is no time to encode: each call copies it and writes the decision id in.
 *
 * @returns a function from a decision id of exactly 36 characters, as a UUID has, to the bytes
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
    if (!/^[0-9A-Za-z-]{36}$/.test(decisionId)) throw new Error('the decision id is no UUID');
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

/** An allow encoded once for an agent and an action, and where each id stands in it: in a header and in the metadata. */
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
 * The ordinary allow, which differs from others of the agent and the action in its ids alone: a copy with these written in.
 * `null` for every other answer, and where a name holds what stands for an id.
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
  if (Object.values(places).some(({ length }) => length !== PLACES)) return null;
  const template = { bytes, ...places };
  templates.set(key, template);
  return template;
}

/** Of each id: in a header, and in the metadata. */
const PLACES = 2;

/** The ids of a decision as parameters of the structured field. */
const idsOf = (answer: Answer): string => {
  const trace = traceIdOf(answer);
  return `;id="${answer.decisionId}"${trace === null ? '' : `;trace="${trace}"`}`;
};

/** @see W3C Trace Context section 3.2.2.3 */
const traceIdOf = ({ traceId }: Answer): string | null =>
  traceId !== null && /^[0-9a-f]{32}$/.test(traceId) ? traceId : null;

/** INVARIANT: an upstream that is to be handed a token is not called without one. */
function transactionTokenOf({ transactionToken }: Answer): string | null {
  if (transactionToken === null || /^[A-Za-z0-9_.-]{1,8192}$/.test(transactionToken)) return transactionToken;
  throw new Error('the transaction token is not a compact JWS');
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
  // INVARIANT: set or removed, never both: Envoy removes last, so a header that is in both lists would be gone.
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
    ...(reason.retryable ? [['retry-after', String(RETRY_AFTER_SECONDS)] as const] : []),
  ];
  const { grpcStatus: code, httpStatus } = reason;
  return { kind: 'denied', code, message: decision.reason, httpStatus, headers, body };
}

/**
 * What a client is told. To a call that is JSON-RPC it is a JSON-RPC error under the id of the request, so that a client
 * hands it to its caller as it would the server's own.
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

/** The `error` of the body: the challenge's own where there is one, else its nearest kin in RFC 6749. */
const errorOf = (reason: Reason): string => {
  if (reason.challenge !== null) return reason.challenge === '' ? 'unauthorized' : reason.challenge;
  if (reason.httpStatus === 503 || reason.httpStatus === 429) return 'temporarily_unavailable';
  return reason.httpStatus === 403 ? 'access_denied' : 'invalid_request';
};

/** What a challenge asks for: a proof is asked for with what it may be signed with. @see RFC 9449 section 7.1 */
interface Scheme {
  readonly name: 'Bearer' | 'DPoP';
  readonly error: string | null;
  readonly algs: string | null;
}

const schemeOf = ({ reason }: Deny): Scheme =>
  reason === 'token.proof'
    ? { name: 'DPoP', error: 'invalid_dpop_proof', algs: [...defaultProofRules.algorithms].join(' ') }
    : { name: 'Bearer', error: null, algs: null };

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

/** Ids and labels alone: access logs print these. Lands in the namespace `envoy.filters.http.ext_authz`. */
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

/** Text that may stand in a header, or nothing: half of an identifier would be another identifier. */
const plain = (text: string | null): string | null =>
  text !== null && text.length <= MAX_TEXT_CHARS && /^[\x21-\x7e]+$/.test(text) ? text : null;
