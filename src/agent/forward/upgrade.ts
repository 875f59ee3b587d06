import { type IncomingMessage, request as requestHttp, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { isProblem } from '../../core/runtime/problem.ts';
import { isIssuerProblem } from '../task/issuer-problem.ts';
import { upstreamPath } from './forward-target.ts';
import type { Forwarded } from './forwarded.ts';
import { passAnswer } from './http1-answer.ts';
import type { Http1Call } from './http1-call.ts';
import { answerLocally, requestLines } from './http1-request.ts';
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
 * directions until one side ends or both are idle for too long.
 */
export async function forwardUpgrade(call: UpgradeCall, forwarded: Forwarded): Promise<void> {
  const { request, socket } = call;
  const { target } = forwarded;
  const credential = await forwarded.current();
  if (isIssuerProblem(credential)) return answerUpgrade(call, withoutToken(credential));
  const connections = await forwarded.connections.boundTo(credential.boundTo);
  if (isProblem(connections)) return answerUpgrade(call, withoutSvid(connections.problem));
  const lines = requestLines(request, forwarded, { token: credential.token, rest: call.rest });
  const sent = requestHttp({
    createConnection: (_options, done) => connections.connect(done),
    method: request.method,
    path: upstreamPath(target, call.rest),
    headers: [...lines, 'connection', 'Upgrade', 'upgrade', 'websocket'],
  });
  socket.once('close', () => sent.destroy());
  const { idleMs } = forwarded.bounds;
  sent
    .setTimeout(idleMs, () => sent.destroy(idleFailure(idleMs)))
    .once('upgrade', (answer, upstream, head) => joined(call, { answer, upstream, head, forwarded }))
    .once('response', (answer) => {
      const response = responseOn(request, socket);
      try {
        passAnswer(
          answer,
          { request, response, rest: call.rest, prefix: call.prefix },
          { forwarded, asked: () => null },
        );
      } catch {
        // What Node.js refuses to send on.
        socket.destroy();
      }
    })
    .on('error', (error) => {
      // After the answer it is the end of the connection.
      if (!socket.destroyed) answerUpgrade(call, upstreamFault(target.origin, upstreamFailure(error)));
    })
    .end();
  return undefined;
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
