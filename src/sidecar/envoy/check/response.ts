import { LRUCache } from 'lru-cache';
import { upTo } from '../../../core/runtime/collections/up-to.ts';
import type { Answer } from '../../check/answer.ts';
import { deny } from '../../../core/decision/decision.ts';
import type { ReasonCode } from '../../../core/decision/reasons.ts';
import { checkResponseBytes, type CheckedAnswer, type SetHeader } from './check-response.ts';
import { denied, type DenialOptions } from './denial.ts';
import { decisionIds, plain, traceIdOf } from './header-text.ts';

/** Options of all answers of a process. */
export interface ResponseOptions extends DenialOptions {
  /**
   * Name of the ledger with this process's decisions, if several processes serve the same proxy. Sent to the proxy, so that its access log
   * can be matched.
   */
  readonly ledger?: string;
  /** The dynamic metadata of an allow: the ids that Envoy's files read, or the labels too. A denial has all of them. Default `ids`. */
  readonly allowMetadata?: 'ids' | 'all';
}

/** Headers that Remit sets on a request it lets pass; those it does not set are removed. */
export const OWNED_HEADERS = ['x-remit-decision', 'x-remit-task', 'x-remit-agent', 'txn-token'] as const;

/**
 * Credential headers, removed before the upstream, which must not be able to replay them. The exception are those with the
 * upstream's own secret, which did not authenticate the call.
 */
export const CREDENTIAL_HEADERS = ['authorization', 'proxy-authorization', 'dpop', 'x-forwarded-client-cert'] as const;

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
const templates = new LRUCache<string, AllowTemplate>(upTo(MAX_TEMPLATES));

const TASK_PLACEHOLDER = 'ffffffff-ffff-7fff-bfff-ffffffffffff';
const TRACE_PLACEHOLDER = '0123456789abcdef'.repeat(2);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * The ordinary allow: a copy of the template for its agent and action with its ids inserted. `null` for every other answer, and if a name
 * contains a placeholder.
 */
function preparedAllow(answer: Answer, options: ResponseOptions): Buffer | null {
  const { decision, decisionId, taskId, agent, action, transactionToken, passing } = answer;
  const traceId = traceIdOf(answer);
  if (decision.kind !== 'allow' || decision.observed !== null || transactionToken !== null || passing.length > 0)
    return null;
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
  const { ledger = '', allowMetadata = 'ids' } = options;
  const key = `${allowMetadata} ${ledger} ${agent.length}:${agent}${action}`;
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

/** INVARIANT: an upstream that requires a transaction token is not called without it. */
function transactionTokenOf({ transactionToken }: Answer): string | null {
  if (transactionToken === null || /^[A-Za-z0-9_.-]{1,8192}$/.test(transactionToken)) return transactionToken;
  throw new Error('the transaction token must be a compact JWS');
}

const isObserved = ({ decision }: Answer): boolean => decision.kind === 'allow' && decision.observed !== null;

function allowed(answer: Answer): CheckedAnswer {
  const values: Readonly<Record<(typeof OWNED_HEADERS)[number], string | null>> = {
    'x-remit-decision': `allow${decisionIds(answer)}`,
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
  // Of a call that is only observed, the caller's headers stay as they are.
  const withheld = isObserved(answer) ? [] : CREDENTIAL_HEADERS.filter((name) => !passing.has(name));
  return { kind: 'ok', headers, headersToRemove: [...withheld, ...unset] };
}

/**
 * Ids and labels only, since access logs print them. Stored in the namespace `envoy.filters.http.ext_authz`. Envoy copies each entry into
 * its own structures and again into each access log, which is 2 us of its processor time.
 */
const metadataFrom = (answer: Answer, { ledger, allowMetadata }: ResponseOptions): readonly SetHeader[] => {
  const { decision } = answer;
  const hasLabels = decision.kind === 'deny' || allowMetadata === 'all';
  const values = [
    ['decision_id', answer.decisionId],
    ['decision', hasLabels ? decision.kind : null],
    ['reason', decision.kind === 'deny' ? decision.reason : null],
    ['trace_id', traceIdOf(answer)],
    ['task_id', plain(answer.taskId)],
    ['action', hasLabels ? plain(answer.action) : null],
    ['agent', hasLabels ? plain(answer.agent) : null],
    ['ledger', plain(ledger ?? null)],
  ] as const;
  return values.flatMap(([name, value]): readonly SetHeader[] => (value === null ? [] : [[name, value]]));
};
