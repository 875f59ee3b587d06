import { type IncomingMessage, request as requestHttp, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { isProblem } from '../../core/runtime/problem.ts';
import type { TaskCredential } from '../task/issuer-client.ts';
import { isIssuerProblem } from '../task/issuer-problem.ts';
import { upstreamPath } from './forward-target.ts';
import type { Forwarded } from './forwarded.ts';
import { passAnswer } from './http1-answer.ts';
import type { Http1Call } from './http1-call.ts';
import { ALL_REPEATS, answerLocally, isRefusedAnswer, repetition, requestLines } from './http1-request.ts';
import { type LocalAnswer, upstreamFault, withoutSvid, withoutToken } from './local/local-answer.ts';
import { passedAnswerLines } from './passed-headers.ts';
import { idleFailure, upstreamFailure } from './upstream/upstream-failure.ts';

/** A request for WebSocket, and the connection it came on. */
export interface UpgradeCall extends Pick<Http1Call, 'request' | 'rest' | 'prefix'> {
  readonly socket: Socket;
  /** What the client has sent after the request. */
  readonly head: Buffer;
}

/** Answers a request whose connection is not upgraded. */
export function answerUpgrade({ request, socket }: Pick<UpgradeCall, 'request' | 'socket'>, answer: LocalAnswer): void {
  answerLocally(responseOn(request, socket), answer);
}

/**
 * Forwards a WebSocket with the current token, over a connection of its own. Once both sides have agreed, all bytes pass in both
 * directions until one side ends or both are idle for too long. A refusal is retried as that of any other request (`forwardHttp1`).
 */
export async function forwardUpgrade(call: UpgradeCall, forwarded: Forwarded): Promise<void> {
  let credential = await forwarded.current();
  if (isIssuerProblem(credential)) return answerUpgrade(call, withoutToken(credential));
  for (let left = ALL_REPEATS; ;) {
    const refused = await attempted(call, forwarded, credential);
    if (refused === null) return undefined;
    const next = await repetition(refused, { body: NO_BODY, credential, forwarded, left });
    if (next === null) return passRefusal(refused, call, forwarded);
    refused.resume();
    if (call.socket.destroyed) return undefined;
    ({ credential, left } = next);
  }
}

const NO_BODY = { isReplayable: () => true };

/** The answer that refuses the token, or says that the call was not decided; `null` once anything else has gone to the client. */
async function attempted(
  call: UpgradeCall,
  forwarded: Forwarded,
  { boundTo, token }: TaskCredential,
): Promise<IncomingMessage | null> {
  const { request, socket } = call;
  const { bounds, target } = forwarded;
  const connections = await forwarded.connections.boundTo(boundTo);
  if (socket.destroyed) return null;
  if (isProblem(connections)) {
    answerUpgrade(call, withoutSvid(connections.problem));
    return null;
  }
  const lines = requestLines(request, forwarded, { token, rest: call.rest });
  const sent = requestHttp({
    createConnection: (_options, done) => connections.connect(done),
    method: request.method,
    path: upstreamPath(target, call.rest),
    headers: [...lines, 'connection', 'Upgrade', 'upgrade', 'websocket'],
  });
  const { promise, resolve } = Promise.withResolvers<IncomingMessage | null>();
  socket.once('close', () => sent.destroy());
  sent
    .setTimeout(bounds.idleMs, () => sent.destroy(idleFailure(bounds.idleMs)))
    .once('upgrade', (answer, upstream, head) => {
      joined(call, { answer, upstream, head, forwarded });
      resolve(null);
    })
    .once('response', (answer) => {
      if (isRefusedAnswer(answer)) return resolve(answer);
      passRefusal(answer, call, forwarded);
      return resolve(null);
    })
    .on('error', (error) => {
      // After the answer it is the end of the connection.
      if (!socket.destroyed) answerUpgrade(call, upstreamFault(target.origin, upstreamFailure(error)));
      resolve(null);
    })
    .end();
  return promise;
}

/** Passes on an answer other than an upgrade. */
function passRefusal(
  answer: IncomingMessage,
  { request, socket, rest, prefix }: UpgradeCall,
  forwarded: Forwarded,
): void {
  const response = responseOn(request, socket);
  try {
    passAnswer(answer, { request, response, rest, prefix }, { forwarded, asked: () => null });
  } catch {
    // What Node.js refuses to send on.
    socket.destroy();
  }
}

interface Upgraded {
  readonly answer: IncomingMessage;
  readonly upstream: Duplex;
  readonly head: Buffer;
  readonly forwarded: Forwarded;
}

function joined(
  { prefix, socket, head: sentFirst }: UpgradeCall,
  { answer, upstream, head, forwarded }: Upgraded,
): void {
  const { bounds, mark, target } = forwarded;
  const passed = passedAnswerLines(answer.rawHeaders);
  const lines = mark?.answer(passed, target, prefix) ?? passed;
  lines.push('Connection', 'Upgrade', 'Upgrade', answer.headers.upgrade ?? 'websocket');
  const text = lines.map((name, at) => (at % 2 === 0 ? `${name}: ${lines[at + 1] ?? ''}\r\n` : '')).join('');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${text}\r\n`, 'latin1');
  socket.setTimeout(bounds.idleMs, () => socket.destroy());
  for (const [one, other] of [
    [socket, upstream],
    [upstream, socket],
  ] as const) {
    one.on('error', () => other.destroy()).once('close', () => other.destroy());
    one.pipe(other);
  }
  if (head.length > 0) socket.write(head);
  if (sentFirst.length > 0) upstream.write(sentFirst);
}

/** A response on a connection that Node.js has given away for an upgrade; the connection ends with it. */
function responseOn(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', () => socket.end());
  return response;
}
