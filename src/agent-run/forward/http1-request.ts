import {
  type ClientRequest,
  IncomingMessage,
  request as requestHttp,
  type RequestOptions,
  type ServerResponse,
} from 'node:http';
import { isProblem } from '../../runtime/problem.ts';
import type { TaskCredential } from '../issuer-client.ts';
import { isIssuerProblem } from '../issuer-problem.ts';
import { AgentCardUrls, isAgentCard } from './agent-card.ts';
import { EndpointEvent } from './endpoint-event.ts';
import type { Forwarded } from './forwarded.ts';
import { jsonRpcAnswer } from './json-rpc-answer.ts';
import { type LocalAnswer, localAnswerBytes, upstreamFault, withoutSvid, withoutToken } from './local-answer.ts';
import { localReference } from './local-reference.ts';
import { passedAnswerLines, passedRequestLines, passedTrailers } from './passed-headers.ts';
import { RequestBody } from './request-body.ts';
import type { CertificateConnections } from './upstream-connections.ts';
import { IDLE_TIMEOUT, upstreamFailure } from './upstream-failure.ts';

/** One request on its way to the upstream. */
export interface Http1Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Path and query below the upstream's URL. */
  readonly rest: string;
  /** Path of the listener before that of the upstream. */
  readonly prefix: string;
}

/**
 * Forwards one HTTP/1.1 request over HTTP/1.1, with the current token. A 401 is answered by another token once, where the body
 * has arrived whole and is small; a client never sees it, since it would start a sign-in of its own.
 */
export async function forwardHttp1(call: Http1Call, forwarded: Forwarded): Promise<void> {
  const body = new RequestBody(call.request);
  const credential = await forwarded.current();
  if (isIssuerProblem(credential)) return answerWithoutToken(call, body, withoutToken(credential));
  const first = await attempted(call, forwarded, { credential, body });
  if (first === null) return;
  const another = first.statusCode === 401 && body.isReplayable() ? await forwarded.another(credential) : credential;
  if (isIssuerProblem(another) || another.token === credential.token) return passAnswer(first, call, forwarded);
  first.resume();
  const second = await attempted(call, forwarded, { credential: another, body });
  if (second !== null) passAnswer(second, call, forwarded);
}

/** A client of MCP or A2A is told that its task is over in the form that it survives. */
async function answerWithoutToken(
  { request, response }: Http1Call,
  body: RequestBody,
  answer: LocalAnswer,
): Promise<void> {
  const isMessage =
    answer.next === 'stop' &&
    request.method === 'POST' &&
    /^application\/json\b/i.test(request.headers['content-type'] ?? '');
  const sent = isMessage ? await body.whole() : null;
  const form = sent === null ? null : jsonRpcAnswer(answer, sent);
  if (form === null) return answerLocally(response, answer);
  response.writeHead(form.status, form.headers).end(form.body);
}

interface Attempt {
  readonly credential: TaskCredential;
  readonly body: RequestBody;
}

/** The upstream's answer; `null` after a failure that the client has been told, or where the client is gone. */
async function attempted(
  call: Http1Call,
  forwarded: Forwarded,
  { credential, body }: Attempt,
): Promise<IncomingMessage | null> {
  const connections = await forwarded.connections.boundTo(credential.boundTo);
  if (call.response.destroyed) return null;
  const { origin } = forwarded.target;
  if (isProblem(connections)) {
    answerLocally(call.response, withoutSvid(connections.problem));
    return null;
  }
  const sent = asked(call, forwarded, { credential, connections });
  let outcome = await answerOf(sent, call, body);
  if (!(outcome instanceof IncomingMessage) && isRepeatable(sent, call, body)) {
    // The upstream closed the connection as it was used again.
    const fresh = { createConnection: () => connections.connect() };
    outcome = await answerOf(asked(call, forwarded, { credential, connections: fresh }), call, body);
  }
  if (outcome instanceof IncomingMessage) return outcome;
  answerLocally(call.response, upstreamFault(origin, upstreamFailure(outcome)));
  return null;
}

/** @see RFC 9110 section 9.2.2 */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

const isRepeatable = (sent: ClientRequest, { request, response }: Http1Call, body: RequestBody): boolean =>
  sent.reusedSocket && IDEMPOTENT.has(request.method ?? '') && body.isReplayable() && !response.destroyed;

/** Where a request goes: the pool, or a connection of its own. */
type Way = Pick<CertificateConnections, 'agent'> | Required<Pick<RequestOptions, 'createConnection'>>;

function asked(
  { request, rest }: Http1Call,
  { target, bounds }: Forwarded,
  { credential, connections }: { readonly credential: TaskCredential; readonly connections: Way },
): ClientRequest {
  const sent = requestHttp({
    ...('agent' in connections ? { agent: connections.agent } : connections),
    method: request.method,
    path: `${target.base}${rest}`.replace(/^(?=$|\?)/, '/'),
    headers: requestLines(request, { target, token: credential.token }),
    timeout: bounds.idleMs,
    maxHeaderSize: MAX_ANSWER_HEADER_BYTES,
  });
  return sent.once('timeout', () =>
    sent.destroy(Object.assign(new Error(`no byte within ${bounds.idleMs / 1_000} s`), { code: IDLE_TIMEOUT })),
  );
}

const MAX_ANSWER_HEADER_BYTES = 65_536;

/** The request's lines as the upstream gets them. The framing is that of this connection's own parser. */
export function requestLines(
  request: IncomingMessage,
  { target, token }: { readonly target: Forwarded['target']; readonly token: string },
): string[] {
  const { rawHeaders, headers, method = '' } = request;
  const lines = passedRequestLines(rawHeaders);
  lines.push('host', target.origin.slice('https://'.length), 'authorization', `Bearer ${token}`);
  if (headers.origin !== undefined) lines.push('origin', target.origin);
  if (headers['transfer-encoding'] !== undefined) lines.push('transfer-encoding', 'chunked');
  else if (headers['content-length'] !== undefined) lines.push('content-length', headers['content-length']);
  else if (!BODILESS.has(method)) lines.push('content-length', '0');
  return lines;
}

/** Methods whose requests have no body unless they announce one. */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE']);

/** Sends the body; gives the answer, or why there is none. Where the client goes, the request goes. */
function answerOf(sent: ClientRequest, { request, response }: Http1Call, body: RequestBody) {
  const { promise, resolve } = Promise.withResolvers<IncomingMessage | Error>();
  const abandon = (): void => void sent.destroy();
  response.once('close', abandon);
  sent
    .once('response', resolve)
    .once('continue', () => response.writeContinue())
    .on('error', resolve);
  if (request.headers.expect !== undefined) sent.flushHeaders();
  body.sendTo(sent);
  return promise;
}

/** Passes an answer on as it comes, with back-pressure. Where it breaks off, the connection of the client does too. */
export function passAnswer(
  answer: IncomingMessage,
  { request, response, rest, prefix }: Http1Call,
  { target }: Forwarded,
): void {
  const { statusCode = 502, statusMessage = '' } = answer;
  const localised = (url: string): string => localReference(url, target, prefix);
  const isEvents =
    /^text\/event-stream\b/i.test(answer.headers['content-type'] ?? '') &&
    answer.headers['content-encoding'] === undefined;
  const isCard = request.method === 'GET' && isAgentCard(rest, answer.headers);
  // A rewritten URL changes the length.
  const lines = isCard || isEvents ? withoutLength(answerLines(answer, localised)) : answerLines(answer, localised);
  // The client cannot get another token; a 401 would make it try.
  const status = statusCode === 401 ? 403 : statusCode;
  response.sendDate = false;
  response.writeHead(status, status === statusCode ? statusMessage : 'Forbidden', lines);
  answer.once('error', () => response.destroy());
  answer.once('end', () => response.addTrailers(pairsOf(passedTrailers(answer.rawTrailers))));
  const source = isCard
    ? answer.pipe(new AgentCardUrls((url) => absolute(localised(url), request)))
    : isEvents
      ? answer.pipe(new EndpointEvent(localised))
      : answer;
  source.pipe(response);
  // One packet for the headers and the first bytes, unless these may be long in coming.
  if (answer.headers['content-length'] !== undefined || request.method === 'HEAD') return;
  setImmediate(() => {
    if (!response.writableEnded) response.flushHeaders();
  });
}

/** The URL of a path at the listener, for clients that resolve none themselves. */
const absolute = (reference: string, { headers: { host = '' } }: IncomingMessage): string =>
  reference.startsWith('/') && host !== '' ? `http://${host}${reference}` : reference;

function answerLines(answer: IncomingMessage, localised: (url: string) => string): string[] {
  const lines = passedAnswerLines(answer.rawHeaders);
  for (let at = 0; at < lines.length; at += 2) {
    const name = lines[at]?.toLowerCase();
    if (name === 'location' || name === 'content-location') lines[at + 1] = localised(lines[at + 1] ?? '');
  }
  return lines;
}

const withoutLength = (lines: string[]): string[] => {
  const at = lines.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-length');
  return at === -1 ? lines : lines.toSpliced(at, 2);
};

const pairsOf = (lines: readonly string[]): [string, string][] =>
  lines.flatMap((name, at) => (at % 2 === 0 ? [[name, lines[at + 1] ?? ''] as [string, string]] : []));

/** Answers for the forwarder itself. */
export function answerLocally(response: ServerResponse, answer: LocalAnswer): void {
  if (response.destroyed || response.headersSent) return void response.destroy();
  const { headers, body } = localAnswerBytes(answer);
  // The request may have an unread body.
  response.writeHead(answer.status, { ...headers, connection: 'close' }).end(body);
}
