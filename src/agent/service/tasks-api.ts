import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import { localAnswerBytes } from '../forward/local/local-answer.ts';
import { type GatedRequest, strangerRefusal } from '../forward/local/local-gate.ts';
import { ownUser, peerUsers } from '../forward/local/peer-users.ts';
import { Places } from '../forward/local/places.ts';
import { valuesOf } from '../forward/passed-headers.ts';
import { type ApiAnswer, isApiAnswer, badRequest } from './api-answer.ts';
import { secretKey, segmentOf } from './local-secret.ts';
import { taskRequestFrom } from './task-request.ts';
import type { EndedTask } from './task-ends.ts';
import type { TaskService } from './task-service.ts';
import type { TaskUnit } from './task-unit.ts';

/** Bounds of the server. */
const limits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 60_000,
  maxHeaderSize: 16_384,
  connectionsCheckingInterval: 1_000,
} as const;
/** A task that is held has a connection of its own. */
const MAX_CONNECTIONS = 6_144;
/** Of `POST /tasks`: an intent and a token of a user. */
const MAX_BODY_BYTES = 65_536;

/** The address of the API, and what guards it. */
export type ApiPlace =
  | {
      readonly kind: 'tcp';
      readonly port: number;
      /** First segment of the path of `/tasks`. */
      readonly secret: string;
    }
  | {
      readonly kind: 'socket';
      readonly path: string;
      /** The URL of the port, without a path. The URLs of the ends of tasks begin with it. */
      readonly origin: string;
    };

/**
 * The local API of a helper: `POST /tasks`, and the end of each task at a URL of its own. A port of 127.0.0.1, guarded by a secret in the path, or a
 * Unix socket, guarded by its folder.
 *
 * Lifecycle: `open` to `close`.
 */
export class TasksApi {
  readonly #server: Server;
  readonly #service: TaskService;
  readonly #place: ApiPlace;
  readonly #places: Places;
  /** 0 on a Unix socket. */
  readonly port: number;

  private constructor(server: Server, service: TaskService, place: ApiPlace) {
    this.#server = server;
    this.#service = service;
    this.#place = place;
    // Safe: a TCP server has an address of this form.
    this.port = place.kind === 'tcp' ? (server.address() as AddressInfo).port : 0;
    this.#places = new Places({
      max: MAX_CONNECTIONS,
      own: place.kind === 'tcp' ? ownUser() : null,
      usersOf: peerUsers,
    });
    server
      .on('connection', (socket: Socket) => void this.#places.taken(socket))
      .on('request', (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response))
      .on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
        response.writeContinue();
        void this.#serve(request, response);
      });
  }

  static async open(service: TaskService, place: ApiPlace): Promise<TasksApi | Problem> {
    const server = createServer(limits);
    const failed = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
      server.once('error', resolve);
      server.listen(place.kind === 'tcp' ? { host: '127.0.0.1', port: place.port } : place.path, () => resolve(null));
    });
    if (failed === null) return new TasksApi(server, service, place);
    const where = place.kind === 'tcp' ? `port ${place.port} of 127.0.0.1` : `the socket \`${place.path}\``;
    return { problem: `cannot listen at ${where}: ${failed.code ?? 'unknown error'}` };
  }

  /** Its URL without a path; that of the port, also at the socket. */
  get #origin(): string {
    return this.#place.kind === 'tcp' ? `http://127.0.0.1:${this.port}` : this.#place.origin;
  }

  /** Refuses new connections and closes the open connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#places.destroy();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', rawHeaders: lines, url: target = '' } = request;
    const gatedRequest: GatedRequest = { method, target, lines, hosts: valuesOf(lines, 'host') };
    const stranger = strangerRefusal(gatedRequest, this.#place.kind === 'tcp' ? this.port : null);
    if (stranger !== null) {
      const { headers, body } = localAnswerBytes(stranger);
      return void response.writeHead(stranger.status, { ...headers, connection: 'close' }).end(body);
    }
    const { segment, rest } = segmentOf(target);
    if (this.#isTasks(target)) {
      this.#places.admit(request.socket);
      if (method === 'GET') return answer(response, { status: 200, body: { ...this.#service.counts } });
      if (method === 'POST') return this.#post(request, response);
      return answer(response, notAllowed('GET, POST'));
    }
    const opened = this.#service.opened(segment);
    if (opened?.kind === 'end') this.#places.admit(request.socket);
    return answer(response, await this.#atEnd(segment, { method, rest, traceparent: traceparentOf(request) }));
  }

  #isTasks(target: string): boolean {
    if (this.#place.kind === 'socket') return target === '/tasks';
    const { segment, rest } = segmentOf(target);
    return rest === '/tasks' && secretKey(segment) === secretKey(this.#place.secret);
  }

  async #post(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    if (body === null) return answer(response, badRequest(413, 'invalid_request', `more than ${MAX_BODY_BYTES} bytes`));
    const asked = taskRequestFrom(body);
    if (isProblem(asked)) return answer(response, badRequest(400, 'invalid_request', asked.problem));
    const waiting = { traceparent: traceparentOf(request), isGone: () => response.destroyed };
    const unit = await this.#service.declare(asked, waiting);
    if (isApiAnswer(unit)) return answer(response, unit);
    // Nobody has its URL.
    if (response.destroyed) return void (await this.#service.end(unit, 'cancel', waiting.traceparent));
    const created: ApiAnswer = { status: 201, body: this.#created(unit), headers: {} };
    return asked.hold ? this.#hold(unit, response, { ...created, ...waiting }) : answer(response, created);
  }

  /**
   * Answers with a line for the task, and later with a second line for its end. The answer stays open until then; if it breaks
   * off, the task is cancelled.
   */
  #hold(
    unit: TaskUnit,
    response: ServerResponse,
    { status, body, traceparent }: ApiAnswer & { readonly traceparent: string | null },
  ): void {
    response.writeHead(status, { ...HEADERS, 'content-type': 'application/x-ndjson' });
    response.write(`${JSON.stringify(body)}\n`);
    response.once('close', () => void this.#service.end(unit, 'cancel', traceparent));
    unit.onWithdrawn(() => {
      if (!response.destroyed) response.end(`${JSON.stringify({ task: unit.id, state: 'ended' })}\n`);
    });
  }

  #created(unit: TaskUnit): Readonly<Record<string, unknown>> {
    const ways = unit.ways.map(({ door, secret }) => ({ name: door.target.name, door, secret }));
    const tasks = unit.tasks.map(({ id, resource }) => [resource, id] as const);
    return {
      task: unit.id,
      forward: Object.fromEntries(
        ways.map(({ door, name, secret }) => [name, `http://127.0.0.1:${door.port}/${secret}`]),
      ),
      end: `${this.#origin}/${unit.endSecret}`,
      sockets: Object.fromEntries(
        ways.map(({ door, name, secret }) => [name, { path: door.socketPath, prefix: `/${secret}` }]),
      ),
      header: { 'remit-task': unit.headerSecret },
      ...(tasks.length > 1 ? { tasks: Object.fromEntries(tasks) } : {}),
    };
  }

  /** `DELETE` completes, `POST …/cancel` cancels, `GET` shows the state. Idempotent for the same end. */
  async #atEnd(
    secret: string,
    {
      method,
      rest,
      traceparent,
    }: { readonly method: string; readonly rest: string; readonly traceparent: string | null },
  ): Promise<ApiAnswer> {
    const opened = this.#service.opened(secret);
    const ended = this.#service.endedBy(secret, 'end');
    const unit = opened?.kind === 'end' ? opened.unit : null;
    if ((unit === null && ended === null) || (rest !== '' && rest !== '/cancel')) return notFound;
    if (rest === '' && method === 'GET')
      return unit === null ? shown(ended) : { status: 200, body: { task: unit.id, state: 'active' } };
    const by = rest === '/cancel' ? 'cancel' : 'complete';
    if (method !== (by === 'cancel' ? 'POST' : 'DELETE')) return notAllowed(by === 'cancel' ? 'POST' : 'DELETE, GET');
    if (unit !== null) return shown(await this.#service.end(unit, by, traceparent), by);
    return shown(ended === null ? null : await ended.settled, by);
  }
}

/** What became of a task; 409 if it ended otherwise than was asked. */
function shown(ended: EndedTask | null, by: EndedTask['by'] | null = null): ApiAnswer {
  if (ended === null) return notFound;
  const { state, taskId } = ended;
  if (state === 'ending') return { status: 202, body: { task: taskId, state } };
  const asked = by === 'complete' ? 'completed' : 'cancelled';
  return by === null || state === asked
    ? { status: 200, body: { task: taskId, state } }
    : {
        status: 409,
        body: { error: 'task_ended', message: `the task is already ${state}`, task: taskId, state, next: 'stop' },
      };
}

const HEADERS = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
} as const;

const notFound = badRequest(404, 'not_found', 'not found; use the URL as it was given, with its path');
const notAllowed = (methods: string): ApiAnswer => ({
  ...badRequest(405, 'method_not_allowed', `this path supports ${methods} only`),
  headers: { allow: methods },
});

function answer(response: ServerResponse, { status, body, headers = {} }: ApiAnswer): void {
  if (response.destroyed || response.headersSent) return;
  const text = JSON.stringify(body);
  response.writeHead(status, {
    ...HEADERS,
    'content-length': Buffer.byteLength(text),
    // Its body may not have been read.
    ...(status === 413 || status === 404 ? { connection: 'close' } : {}),
    ...headers,
  });
  response.end(text);
}

/** The whole body; `null` if it is too long or broke off. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) return null;
      chunks.push(chunk);
    }
  } catch {
    return null;
  }
  return Buffer.concat(chunks);
}

/** The trace of the request that the service serves. It correlates, and names no task. @see https://www.w3.org/TR/trace-context/ */
function traceparentOf({ rawHeaders }: IncomingMessage): string | null {
  const [sent = '', ...more] = valuesOf(rawHeaders, 'traceparent');
  return more.length === 0 && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(sent) ? sent : null;
}
