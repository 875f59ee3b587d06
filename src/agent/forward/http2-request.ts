import {
  type ClientHttp2Stream,
  constants,
  type Http2Stream,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Readable } from 'node:stream';
import { failureCode } from '../../core/runtime/system/http-exchange.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { TaskCredential } from '../task/issuer-client.ts';
import { isIssuerProblem } from '../task/issuer-problem.ts';
import type { Forwarded } from './forwarded.ts';
import { StreamBody } from './http2-body.ts';
import { jsonRpcAnswer } from './json-rpc-answer.ts';
import {
  type LocalAnswer,
  localAnswerBytes,
  messageOf,
  refusal,
  undecided,
  upstreamFault,
  withoutSession,
  withoutSvid,
  withoutToken,
} from './local/local-answer.ts';
import { listStages } from './listing/list-stages.ts';
import { type HeaderChange, linesOfShown } from './listing/shown-header.ts';
import { localReference } from './local/local-reference.ts';
import {
  type HeaderLines,
  passedAnswerLines,
  passedAnswerTrailers,
  passedRequestLines,
  passedRequestTrailers,
  valuesOf,
} from './passed-headers.ts';
import { readableRequest, referenceStages } from './reference-stages.ts';
import { isUndecided, MAX_REPEATS, waited } from './undecided.ts';
import { authorityOf, upstreamPath } from './forward-target.ts';
import { shownToken } from './shown-token.ts';
import { isInMesh } from './upstream/mesh-connection.ts';
import type { SessionLease } from './upstream/upstream-sessions.ts';
import { IDLE_TIMEOUT, upstreamFailure } from './upstream/upstream-failure.ts';

/** One stream on its way to the upstream. */
export interface Http2Call {
  readonly stream: ServerHttp2Stream;
  readonly method: string;
  /** Its header lines, pseudo-headers included. */
  readonly lines: HeaderLines;
  /** Whether the request has no body. */
  readonly isEnded: boolean;
  readonly rest: string;
  readonly prefix: string;
}

const { NGHTTP2_CANCEL, NGHTTP2_FLAG_END_STREAM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants;

/**
 * Forwards one HTTP/2 stream over HTTP/2, so that nothing is translated and trailers pass. If its token is refused, the next
 * call uses another token. A call that Envoy or Remit could not decide is sent again after `retry-after`, if its body has arrived whole and is
 * small.
 */
export async function forwardHttp2(call: Http2Call, forwarded: Forwarded): Promise<void> {
  const { stream, isEnded } = call;
  const trailersOf = (lines: HeaderLines): OutgoingHttpHeaders =>
    objectOf(passedRequestTrailers(lines, forwarded.localUrls));
  const body = new StreamBody(stream, { isEnded, trailersOf, orReset });
  for (let waits = MAX_REPEATS; ; waits -= 1) {
    const refused = await attempted(call, forwarded, { body, isLast: waits === 0 });
    if (refused === null) return undefined;
    await waited(refused);
    if (stream.destroyed || stream.closed) return undefined;
  }
}

interface Attempt {
  readonly body: StreamBody;
  /** Whether its refusal goes to the client in any case. */
  readonly isLast: boolean;
}

/** The refusal of a call that was not decided and can be sent again; `null` once anything else has gone to the client, or the client is gone. */
async function attempted(call: Http2Call, forwarded: Forwarded, attempt: Attempt): Promise<Refused | null> {
  const credential = await forwarded.current();
  if (isIssuerProblem(credential)) return answerStream(call, withoutToken(credential));
  const { origin } = forwarded.target;
  const connections = await forwarded.connections.boundTo(credential.boundTo);
  if (isProblem(connections)) return answerStream(call, withoutSvid(connections.problem));
  try {
    const lease = await connections.sessions.lease();
    if (!call.stream.destroyed) return await exchanged(call, forwarded, { credential, lease, ...attempt });
    lease.release();
    return null;
  } catch (error) {
    return answerStream(call, upstreamFault(origin, upstreamFailure(error)));
  }
}

/** The header lines of a refusal. */
interface Refused {
  readonly rawHeaders: HeaderLines;
}

function exchanged(
  call: Http2Call,
  forwarded: Forwarded,
  { credential, lease, body, isLast }: Attempt & { readonly credential: TaskCredential; readonly lease: SessionLease },
): Promise<Refused | null> {
  const { stream } = call;
  let sent: ClientHttp2Stream;
  try {
    sent = asked(call, forwarded, { credential, lease });
  } catch (error) {
    lease.release();
    // Nothing of the request was sent.
    const isClosing = CLOSING.has(failureCode(error));
    // Else what Node.js refuses to send on, such as a header that may come once and came twice.
    const malformed = refusal(400, 'malformed', 'the request could not be read');
    return Promise.resolve(answerStream(call, isClosing ? withoutSession(forwarded.target.origin) : malformed));
  }
  const { promise, resolve } = Promise.withResolvers<Refused | null>();
  let failure: unknown = null;
  let refused: Refused | null = null;
  let isAnswered = false;
  sent.setTimeout(forwarded.bounds.idleMs, () => {
    failure = Object.assign(new Error('no byte for too long'), { code: IDLE_TIMEOUT });
    sent.close(NGHTTP2_CANCEL);
  });
  const onClientClose = (): void => {
    if (!sent.closed) sent.close(stream.rstCode === NGHTTP2_NO_ERROR ? NGHTTP2_CANCEL : stream.rstCode);
  };
  sent
    .on('error', (error) => (failure ??= error))
    .once('continue', () => {
      // A stream that its client has reset is closed before it is destroyed.
      if (!stream.destroyed && !stream.closed && !stream.headersSent)
        orReset(stream, () => stream.additionalHeaders({ ':status': 100 }));
    })
    .once('response', (headers, flags) => {
      if (isRefusal(headers)) void forwarded.another(credential).catch(() => undefined);
      const rawHeaders = flatHeaders(headers);
      const isNotDecided = isUndecided({ statusCode: headers[':status'] ?? 0, rawHeaders });
      if (isNotDecided && !isLast && body.isReplayable()) refused = { rawHeaders };
      else isAnswered = isNotDecided && answeredInForm(call, forwarded, body);
      if (refused !== null || isAnswered) sent.resume().close(NGHTTP2_CANCEL);
      else passAnswer(sent, { call, forwarded, headers, body, isEnded: (flags & NGHTTP2_FLAG_END_STREAM) !== 0 });
    })
    .once('close', () => {
      lease.release();
      stream.off('close', onClientClose);
      resolve(refused);
      if (refused !== null || isAnswered || stream.destroyed || stream.closed) return;
      // All of the answer has come; a stage may still hold it.
      if (sent.readableEnded && sent.rstCode === NGHTTP2_NO_ERROR) return;
      // A reset by the upstream means something to the client, such as that it may try again.
      const isReset = stream.headersSent || failureCode(failure) === 'ERR_HTTP2_STREAM_ERROR';
      const { origin } = forwarded.target;
      if (CLOSING.has(failureCode(failure))) answerStream(call, withoutSession(origin));
      else if (!isReset) answerStream(call, upstreamFault(origin, upstreamFailure(failure ?? resetBy(sent))));
      else if (sent.rstCode !== NGHTTP2_NO_ERROR) stream.close(sent.rstCode);
    });
  stream.once('close', onClientClose);
  body.sendTo(sent);
  return promise;
}

/** Whether an MCP or A2A client was answered in JSON-RPC that the call was not decided: many clients end their session at an HTTP error status. */
function answeredInForm({ stream, method, lines }: Http2Call, { denials }: Forwarded, body: StreamBody): boolean {
  const isJson = valuesOf(lines, 'content-type').some((type) => /^application\/json\b/i.test(type));
  const kept = method === 'POST' && isJson ? body.kept() : null;
  const form = kept === null ? null : jsonRpcAnswer(undecided, kept, denials?.() ?? undefined);
  if (form === null || stream.destroyed || stream.closed) return false;
  stream.respond({ ':status': form.status, ...form.headers });
  stream.end(form.body);
  return true;
}

/** Codes of Node.js for a session that takes no further stream: thrown, or those of a stream that was never sent. */
const CLOSING: ReadonlySet<string> = new Set([
  'ERR_HTTP2_INVALID_SESSION',
  'ERR_HTTP2_GOAWAY_SESSION',
  'ERR_HTTP2_OUT_OF_STREAMS',
]);

const resetBy = ({ rstCode }: ClientHttp2Stream): Error => new Error(`it reset the stream with code ${rstCode ?? 0}`);

function asked(
  { method, lines, rest, isEnded }: Http2Call,
  { target, localUrls, mark, proofKey }: Forwarded,
  { credential, lease }: { readonly credential: TaskCredential; readonly lease: SessionLease },
): ClientHttp2Stream {
  const passed = passedRequestLines(lines, localUrls);
  const headers: OutgoingHttpHeaders = objectOf(readableRequest(rest, mark?.request(passed) ?? passed));
  const [length] = valuesOf(lines, 'content-length');
  if (length !== undefined) headers['content-length'] = length;
  // gRPC servers require it. @see RFC 9110 section 10.1.4
  if (valuesOf(lines, 'te').includes('trailers')) headers['te'] = 'trailers';
  if (valuesOf(lines, 'origin').length > 0) headers['origin'] = target.origin;
  const path = upstreamPath(target, rest);
  return lease.session.request(
    {
      ...headers,
      ':method': method,
      ':scheme': isInMesh(target) ? 'http' : 'https',
      ':authority': authorityOf(target),
      ':path': path,
      ...shownToken(credential.token, { proofKey, target }, { method, path }),
    },
    { endStream: isEnded, waitForTrailers: !isEnded },
  );
}

function passAnswer(
  sent: ClientHttp2Stream,
  {
    call: { lines, method, stream, rest, prefix },
    forwarded: { denials, listed, mark, target },
    headers,
    body,
    isEnded,
  }: {
    readonly call: Http2Call;
    readonly forwarded: Forwarded;
    readonly headers: IncomingHttpHeaders & IncomingHttpStatusHeader;
    readonly body: StreamBody;
    readonly isEnded: boolean;
  },
): void {
  if (stream.destroyed || stream.closed) return;
  const received = flatHeaders(headers);
  const exchange = { method, status: headers[':status'] ?? 0, requestLines: lines, lines: received, denials };
  const { stages: listing, onDecided } = listStages(
    { ...exchange, asked: () => body.kept() },
    isEnded ? undefined : listed,
  );
  const [host = ''] = [...valuesOf(lines, ':authority'), ...valuesOf(lines, 'host')];
  const references = isEnded ? [] : referenceStages({ method, rest, prefix, host, target, lines: received });
  const stages = [...references, ...listing];
  let trailers: OutgoingHttpHeaders = {};
  sent.once('trailers', (last: IncomingHttpHeaders) => (trailers = objectOf(passedAnswerTrailers(flatHeaders(last)))));
  stream.once('wantTrailers', () => orReset(stream, () => stream.sendTrailers(trailers)));
  const begin = (change: HeaderChange): void => {
    const kept = linesOfShown(passedAnswerLines(received), change);
    const passed = localHeaders(mark?.answer(kept, target, prefix) ?? kept, { target, prefix });
    const status = headers[':status'] === 401 ? 403 : headers[':status'];
    stream.respond({ ...passed, ':status': status }, { endStream: isEnded, waitForTrailers: !isEnded });
  };
  orReset(stream, () => {
    if (onDecided === null) begin(stages.length > 0 ? 'shown' : 'none');
    else
      onDecided((change) => {
        if (!stream.destroyed && !stream.closed && !stream.headersSent) orReset(stream, () => begin(change));
      });
    if (!isEnded) stages.reduce<Readable>((from, stage) => from.pipe(stage), sent).pipe(stream);
    // Bytes that are not what the headers say.
    for (const stage of stages) stage.once('error', () => stream.close(NGHTTP2_INTERNAL_ERROR));
  });
}

/** The headers of an answer, with local URLs. */
function localHeaders(
  lines: HeaderLines,
  { target, prefix }: { readonly target: Forwarded['target']; readonly prefix: string },
): OutgoingHttpHeaders {
  const headers = objectOf(lines);
  for (const name of ['location', 'content-location']) {
    const written = headers[name];
    if (typeof written === 'string') headers[name] = localReference(written, target, prefix);
  }
  return headers;
}

/** Resets a stream if Node.js refuses what it is to send. An error thrown in an event would end the process. */
function orReset(stream: Http2Stream, send: () => void): void {
  try {
    send();
  } catch {
    stream.close(NGHTTP2_INTERNAL_ERROR);
  }
}

const UNAUTHENTICATED = '16';
const isRefusal = (headers: IncomingHttpHeaders & IncomingHttpStatusHeader): boolean =>
  headers[':status'] === 401 || headers['grpc-status'] === UNAUTHENTICATED;

/** Headers as a flat list; Node.js has combined those that come more than once. */
const flatHeaders = (headers: IncomingHttpHeaders): string[] =>
  Object.entries(headers).flatMap(([name, value]) =>
    name[0] === ':' || value === undefined ? [] : [value].flat().flatMap((one) => [name, one]),
  );

/** Lines as an object, each name in lower case; several lines of a name are a list. */
function objectOf(lines: HeaderLines): OutgoingHttpHeaders {
  const headers = Object.create(null) as Record<string, string | string[]>;
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const name = (lines[at] ?? '').toLowerCase();
    const value = lines[at + 1] ?? '';
    const before = headers[name];
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}

/**
 * Answers for the forwarder itself. A gRPC client gets a gRPC status, since it shows no other body.
 *
 * @returns `null`: there is nothing more to send
 */
export function answerStream({ stream, lines }: Pick<Http2Call, 'stream' | 'lines'>, answer: LocalAnswer): null {
  if (stream.destroyed || stream.closed || stream.headersSent) return null;
  stream.on('error', () => undefined);
  if (valuesOf(lines, 'content-type').some((type) => /^application\/grpc\b/i.test(type))) {
    const status = answer.status === 403 ? PERMISSION_DENIED : (grpcStatuses.get(answer.next) ?? PERMISSION_DENIED);
    const message = encodeURIComponent(messageOf(answer));
    const trailersOnly = { 'content-type': 'application/grpc', 'grpc-status': String(status), 'grpc-message': message };
    stream.respond({ ':status': 200, ...trailersOnly }, { endStream: true });
    return null;
  }
  const { headers, body } = localAnswerBytes(answer);
  stream.respond({ ':status': answer.status, ...headers });
  stream.end(body);
  return null;
}

const PERMISSION_DENIED = 7;
const INTERNAL = 13;
const UNAVAILABLE = 14;

/** @see https://grpc.io/docs/guides/status-codes/ */
const grpcStatuses: ReadonlyMap<LocalAnswer['next'], number> = new Map([
  ['retry_later', UNAVAILABLE],
  ['change_arguments', INTERNAL],
]);
