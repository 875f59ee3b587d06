import {
  type ClientRequest,
  IncomingMessage,
  request as requestHttp,
  type RequestOptions,
  type ServerResponse,
} from 'node:http';
import type { DenialStyle } from '../../core/action/denial-style.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { TaskCredential } from '../task/issuer-client.ts';
import { isIssuerProblem } from '../task/issuer-problem.ts';
import type { Forwarded } from './forwarded.ts';
import { passAnswer } from './http1-answer.ts';
import type { Http1Call } from './http1-call.ts';
import { type JsonRpcAnswer, jsonRpcAnswer } from './json-rpc-answer.ts';
import {
  type LocalAnswer,
  localAnswerBytes,
  undecided,
  upstreamFault,
  withoutSvid,
  withoutToken,
} from './local/local-answer.ts';
import { authorityOf, upstreamPath } from './forward-target.ts';
import { passedRequestLines, valuesOf } from './passed-headers.ts';
import { readableRequest } from './reference-stages.ts';
import { RequestBody } from './request-body.ts';
import { shownToken } from './shown-token.ts';
import { isUndecided, MAX_REPEATS, waited } from './undecided.ts';
import type { CertificateConnections } from './upstream/upstream-connections.ts';
import { idleFailure, upstreamFailure } from './upstream/upstream-failure.ts';

/**
 * Forwards one HTTP/1.1 request over HTTP/1.1, with the current token. If the body has arrived whole and is at most 64 KiB, a 401
 * is retried once with another token, and a call that Envoy or Remit could not decide is sent again after `retry-after`, at most
 * three times. A client never sees a 401, since it would start a sign-in of its own.
 */
export async function forwardHttp1(call: Http1Call, forwarded: Forwarded): Promise<void> {
  const body = new RequestBody(call.request, forwarded.localUrls);
  let credential = await forwarded.current();
  if (isIssuerProblem(credential)) return answerInForm({ call, body, forwarded }, withoutToken(credential));
  let left = ALL_REPEATS;
  for (;;) {
    const refused = await attempted(call, forwarded, { credential, body });
    if (refused === null) return undefined;
    const next = await repetition(refused, { body, credential, forwarded, left });
    if (next === null) return answerRefused(refused, { call, body, forwarded });
    refused.resume();
    if (call.response.destroyed) return undefined;
    ({ credential, left } = next);
  }
}

/** How many times a request may still be sent again: with another token, and after a wait. */
export interface RepeatsLeft {
  readonly renewals: number;
  readonly waits: number;
}

/** Those of a new request. */
export const ALL_REPEATS: RepeatsLeft = { renewals: 1, waits: MAX_REPEATS };

/** What the request is sent again with; `null` if the refusal goes to the client. */
export async function repetition(
  refused: IncomingMessage,
  {
    body,
    credential,
    forwarded,
    left: { renewals, waits },
  }: {
    readonly body: Pick<RequestBody, 'isReplayable'>;
    readonly credential: TaskCredential;
    readonly forwarded: Forwarded;
    readonly left: RepeatsLeft;
  },
): Promise<{ readonly credential: TaskCredential; readonly left: RepeatsLeft } | null> {
  const isWait = refused.statusCode !== 401;
  if (!body.isReplayable() || (isWait ? waits : renewals) === 0) return null;
  if (isWait) await waited(refused);
  const next = isWait ? await forwarded.current() : await forwarded.another(credential);
  if (isIssuerProblem(next) || (!isWait && next.token === credential.token)) return null;
  return { credential: next, left: isWait ? { renewals, waits: waits - 1 } : { renewals: renewals - 1, waits } };
}

async function answerRefused(refused: IncomingMessage, sending: Sending): Promise<void> {
  const { call, body, forwarded } = sending;
  const form = isUndecided(refused) ? await formOf(sending, body.kept(), undecided) : null;
  if (form === null) return passAnswer(refused, call, { forwarded, asked: () => body.kept() });
  refused.resume();
  call.response.writeHead(form.status, form.headers).end(form.body);
}

/** Answers an MCP or A2A client in JSON-RPC: many clients end their session at an HTTP error status. */
async function answerInForm(sending: Sending, answer: LocalAnswer): Promise<void> {
  const { call, body } = sending;
  const form = isJsonPost(call) ? await formOf(sending, await body.whole(), answer) : null;
  if (form === null) return answerLocally(call.response, answer);
  call.response.writeHead(form.status, form.headers).end(form.body);
}

async function formOf(
  { call, forwarded }: Sending,
  body: Uint8Array | null,
  answer: LocalAnswer,
): Promise<JsonRpcAnswer | null> {
  return body === null || !isJsonPost(call) ? null : jsonRpcAnswer(answer, body, await denialStyleOf(forwarded));
}

/** How the upstream answers denied calls. The issuer says it with the tools of a task, for which no client may have asked yet. */
async function denialStyleOf({ denials, listed }: Forwarded): Promise<DenialStyle | undefined> {
  const known = denials?.() ?? null;
  if (known !== null) return known;
  await listed?.();
  return denials?.() ?? undefined;
}

const isJsonPost = ({ request }: Http1Call): boolean =>
  request.method === 'POST' && /^application\/json\b/i.test(request.headers['content-type'] ?? '');

interface Attempt {
  readonly credential: TaskCredential;
  readonly body: RequestBody;
}

/**
 * The answer that refuses the token, or says that the call was not decided; `null` if another answer or a failure went to the client, or the client is gone.
 */
async function attempted(
  call: Http1Call,
  forwarded: Forwarded,
  { credential, body }: Attempt,
): Promise<IncomingMessage | null> {
  const connections = await forwarded.connections.boundTo(credential.boundTo);
  if (call.response.destroyed) return null;
  const { origin } = forwarded.target;
  if (isProblem(connections)) {
    await answerInForm({ call, body, forwarded }, withoutSvid(connections.problem));
    return null;
  }
  const sent = asked(call, forwarded, { credential, connections });
  let outcome = await outcomeOf(sent, { call, body, forwarded });
  if (isFailure(outcome) && isRepeatable(sent, call, body)) {
    // The upstream closed the connection as it was used again.
    const fresh: Way = { createConnection: (_options, done) => connections.connect(done) };
    outcome = await outcomeOf(asked(call, forwarded, { credential, connections: fresh }), { call, body, forwarded });
  }
  if (!isFailure(outcome)) return outcome;
  await answerInForm({ call, body, forwarded }, upstreamFault(origin, upstreamFailure(outcome)));
  return null;
}

/** @see RFC 9110 section 9.2.2 */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

const isRepeatable = (sent: ClientRequest, { request, response }: Http1Call, body: RequestBody): boolean =>
  sent.reusedSocket && IDEMPOTENT.has(request.method ?? '') && body.isReplayable() && !response.destroyed;

/** How a request is sent: over the pool, or over a connection of its own. */
type Way = Pick<CertificateConnections, 'agent'> | Required<Pick<RequestOptions, 'createConnection'>>;

function asked(
  { request, rest }: Http1Call,
  forwarded: Forwarded,
  { credential, connections }: { readonly credential: TaskCredential; readonly connections: Way },
): ClientRequest {
  const { target, bounds } = forwarded;
  const sent = requestHttp({
    ...('agent' in connections ? { agent: connections.agent } : connections),
    method: request.method,
    path: upstreamPath(target, rest),
    headers: requestLines(request, forwarded, { token: credential.token, rest }),
    timeout: bounds.idleMs,
    maxHeaderSize: MAX_ANSWER_HEADER_BYTES,
  });
  // Node.js sets the time-out at connections of an agent alone.
  if (!('agent' in connections)) sent.setTimeout(bounds.idleMs);
  return sent.once('timeout', () => sent.destroy(idleFailure(bounds.idleMs)));
}

const MAX_ANSWER_HEADER_BYTES = 65_536;

/** The header lines of a request for the upstream. Its framing headers are written anew, as Node.js parsed the request. */
export function requestLines(
  request: IncomingMessage,
  { target, localUrls, mark, proofKey }: Pick<Forwarded, 'target' | 'localUrls' | 'mark' | 'proofKey'>,
  { token, rest }: { readonly token: string; readonly rest: string },
): string[] {
  const { rawHeaders, method = '' } = request;
  const passed = passedRequestLines(rawHeaders, localUrls);
  const marked = mark?.request(passed) ?? passed;
  const lines = readableRequest(rest, marked);
  const [length] = valuesOf(rawHeaders, 'content-length');
  const shown = shownToken(token, { proofKey, target }, { method, path: upstreamPath(target, rest) });
  lines.push('host', authorityOf(target), ...Object.entries(shown).flat());
  if (valuesOf(rawHeaders, 'origin').length > 0) lines.push('origin', target.origin);
  if (valuesOf(rawHeaders, 'transfer-encoding').length > 0) lines.push('transfer-encoding', 'chunked');
  else if (length !== undefined) lines.push('content-length', length);
  else if (!BODILESS.has(method)) lines.push('content-length', '0');
  return lines;
}

/** Methods whose requests have no body unless they announce one. */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE']);

/** Whether an answer refuses the token, or says that the call was not decided. */
export const isRefusedAnswer = (answer: IncomingMessage): boolean => answer.statusCode === 401 || isUndecided(answer);

type UpstreamAnswer = IncomingMessage | Error | null;

const isFailure = (outcome: UpstreamAnswer): outcome is Error =>
  outcome !== null && !(outcome instanceof IncomingMessage);

interface Sending {
  readonly call: Http1Call;
  readonly body: RequestBody;
  readonly forwarded: Forwarded;
}

/**
 * Sends the body. Resolves to an answer that refuses the token or has no decision, to the error if there is no answer, or to `null` when another
 * answer is being passed on.
 */
function outcomeOf(sent: ClientRequest, { call, body, forwarded }: Sending): Promise<UpstreamAnswer> {
  const { request, response } = call;
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>();
  response.once('close', () => void sent.destroy());
  sent
    .once('response', (answer) => {
      if (isRefusedAnswer(answer)) return resolve(answer);
      try {
        // Called here, not after an `await`: an awaiting caller runs after all events that the packet has queued.
        passAnswer(answer, call, { forwarded, asked: () => body.kept() });
        resolve(null);
      } catch (error) {
        reject(error);
      }
    })
    .once('continue', () => response.writeContinue())
    .on('error', resolve);
  if (valuesOf(request.rawHeaders, 'expect').length > 0) sent.flushHeaders();
  body.sendTo(sent);
  return promise;
}

/** Answers for the forwarder itself. */
export function answerLocally(response: ServerResponse, answer: LocalAnswer): void {
  if (response.destroyed || response.headersSent) return void response.destroy();
  const { headers, body } = localAnswerBytes(answer);
  // The request may have an unread body.
  response.writeHead(answer.status, { ...headers, connection: 'close' }).end(body);
}
