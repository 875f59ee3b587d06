import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isLoopback } from '../../core/runtime/loopback-host.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { restrictSocket, unixSocketProblem } from '../../core/runtime/system/unix-socket.ts';
import { crossSiteProblem } from './asked-host.ts';
import { unmetGateTexts } from './readiness.ts';
import type { Gate } from './readiness.ts';
import { answerTrace } from './trace-answer.ts';
import type { TraceSource } from './trace-answer.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/** Answers `GET /metrics` for an `Accept` header. */
export type Scrape = (accept: string | undefined) => { readonly contentType: string; readonly body: string };

/** The answers of the admin server. */
export interface AdminAnswers {
  readonly scrape: Scrape;
  /** Answers `GET /policies/trial`: what policies on trial would have decided. */
  readonly trial: () => object;
  /**
   * Answers `GET /receipts/{root task}`: waits until no sidecar can use an older state of it. `null`, the default, if this
   * process is no authority; then the answer is 404.
   */
  readonly receipt?: (root: string) => Promise<object> | null;
  /**
   * Answers `GET /fleet`: this authority, the other authorities, their database and its sidecars. It never rejects. `null`, the default, if
   * this process is no authority; then the answer is 404.
   */
  readonly fleet?: () => Promise<object> | null;
  /** Answers `GET /trace`, at private addresses only. `null`, the default, if this process decides no checks; then the answer is 404. */
  readonly traces?: TraceSource | null;
  /**
   * Answers `POST /signals/{receiver}/verification`, at private addresses only: sends the receiver an event. It never rejects. `null`, the default, if
   * this process has no receiver of that name; then the answer is 404.
   */
  readonly verification?: (receiver: string, state: string | null) => Promise<object> | null;
  /** Accepted host names besides `localhost` and IP addresses. Default none. */
  readonly hosts?: readonly string[];
}

/** The listen address; `port` 0 picks a free port. */
export interface AdminListenAddress {
  readonly host: string;
  readonly port: number;
}

/** How a request arrived: `private` addresses are those that only this host can reach. */
type Reach = 'private' | 'public';

/** Only the user of this process may connect to its socket. */
const PRIVATE = { mode: 0o600, groupId: null };

/**
 * Serves liveness, readiness and metrics over plain HTTP, exact paths only: `GET /livez` is 200 while the process responds, `GET /readyz` is
 * 200 when every gate is met, otherwise 503 with a line per unmet gate (`?exclude=lease&exclude=svid` leaves these gates out), `GET /metrics`
 * is for Prometheus, `GET /policies/trial` for `remit policy rollout`, `GET /fleet` for `remit fleet`, `GET /receipts/{root task}` for `remit
 * task`. It exposes no secrets and refuses cross-site requests (`crossSiteProblem`). `GET /trace`, for `remit trace`, reveals single calls,
 * so it is answered only on the socket and on a loopback address. The same holds for `GET /policies/trial` if there is a socket: then the
 * address of a pod exposes only numbers. It always holds for `POST /signals/{receiver}/verification`, for `remit signals verify`,
 * the only request with an effect: it sends an event, one at a time and at most one a second.
 *
 * Lifecycle: `listen` once, `listenOnSocket` at most once; `serve` once the process has started, before which only `/livez` and `/readyz` are
 * answered; `close`.
 */
export class AdminServer {
  readonly #names: ReadonlySet<string>;
  #gates: readonly Gate[];
  #answers: Required<Omit<AdminAnswers, 'hosts'>> | null = null;
  readonly #servers: Server[] = [];
  #hasSocket = false;
  #receipts = 0;
  readonly #monotonicMs: Ports['monotonicMs'];
  #isVerifying = false;
  /** When the last verification event was sent, by `monotonicMs`. */
  #verifiedMs = -Infinity;

  /**
   * @param answers only the host names for a process that starts, for which `serve` is called later
   * @param clock by which verification events are bounded; default that of the machine
   */
  constructor(
    gates: readonly Gate[],
    answers: AdminAnswers | Pick<AdminAnswers, 'hosts'>,
    { monotonicMs }: Pick<Ports, 'monotonicMs'> = systemPorts,
  ) {
    this.#gates = gates;
    this.#monotonicMs = monotonicMs;
    this.#names = new Set((answers.hosts ?? []).map((host) => host.toLowerCase()));
    if ('scrape' in answers) this.serve(gates, answers);
  }

  /** Answers everything from now on, and readiness by other gates. */
  serve(gates: readonly Gate[], answers: Omit<AdminAnswers, 'hosts'>): void {
    this.#gates = gates;
    this.#answers = { fleet: () => null, receipt: () => null, traces: null, verification: () => null, ...answers };
  }

  /** Starts listening and resolves with the port; rejects with the system's error. */
  async listen({ host, port }: AdminListenAddress): Promise<number> {
    const server = await this.#listening(isLoopback(host) ? 'private' : 'public', { host, port });
    return (server.address() as AddressInfo).port;
  }

  /** Starts listening on a Unix socket for the user of this process; resolves with the problem, or `null`. */
  async listenOnSocket(path: string): Promise<string | null> {
    const problem = await unixSocketProblem(path);
    if (problem !== null) return problem;
    this.#hasSocket = true;
    try {
      await this.#listening('private', { path });
    } catch (error) {
      return `cannot listen on \`unix:${path}\`: ${errorCode(error) ?? 'unknown error'}`;
    }
    return restrictSocket(path, PRIVATE);
  }

  #listening(reach: Reach, where: AdminListenAddress | { readonly path: string }): Promise<Server> {
    const server = createServer(
      { requestTimeout: 5000, headersTimeout: 5000, maxHeaderSize: 8192 },
      (request, response) => this.#answer(request, response, reach),
    );
    server.maxConnections = 64;
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(where, () => {
        server.off('error', reject);
        resolve(server);
      });
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse, reach: Reach): void {
    const refused = crossSiteProblem(request.headers, this.#names);
    if (refused !== null) return answer(response, refused.status, refused.text);
    const url = request.url ?? '';
    const root = RECEIPT.exec(url)?.[1];
    const isTrace = TRACE.test(url);
    const excluded = excludedGates(url);
    const verified = VERIFICATION.exec(url);
    if (verified !== null) return void this.#answerVerification(request, response, { reach, verified });
    if (root === undefined && !isTrace && excluded === null && !paths.has(url))
      return answer(response, 404, 'not found');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return answer(response, 405, 'method not allowed');
    }
    const unmet = excluded === null ? [] : unmetGateTexts(this.#gates.filter(({ name }) => !excluded.includes(name)));
    if (excluded !== null || url === '/livez')
      return unmet.length === 0 ? answer(response, 200, 'ok') : answer(response, 503, unmet.join('\n'));
    if (this.#answers === null) return answer(response, 503, 'the process is starting');
    const { scrape, trial, fleet, receipt, traces } = this.#answers;
    if (root !== undefined) return void this.#answerReceipt(response, () => receipt(root));
    if (isTrace) return this.#answerTrace(request, response, { reach, traces });
    if (url === '/metrics') return answerMetrics(response, scrape(request.headers.accept));
    if (url === '/policies/trial')
      return reach === 'public' && this.#hasSocket
        ? answer(response, 403, 'policies on trial are shown on a loopback address or `admin.socket` only')
        : answerJson(response, trial());
    return void answerFleet(response, fleet());
  }

  #answerTrace(
    request: IncomingMessage,
    response: ServerResponse,
    { reach, traces }: { readonly reach: Reach; readonly traces: TraceSource | null },
  ): void {
    if (reach === 'public')
      return answer(response, 403, 'calls are traced on a loopback address or `admin.socket` alone');
    if (traces === null) return answer(response, 404, 'this process decides no checks');
    const refused = answerTrace(request, response, traces);
    if (refused !== null) answer(response, refused.status, refused.text);
  }

  async #answerVerification(
    request: IncomingMessage,
    response: ServerResponse,
    { reach, verified }: { readonly reach: Reach; readonly verified: RegExpExecArray },
  ): Promise<void> {
    if (request.method !== 'POST') {
      response.setHeader('allow', 'POST');
      return answer(response, 405, 'method not allowed');
    }
    if (reach === 'public')
      return answer(response, 403, 'receivers are tried on a loopback address or `admin.socket` alone');
    if (this.#answers === null) return answer(response, 503, 'the process is starting');
    if (this.#isVerifying) return answer(response, 503, 'another receiver is tried now: try again');
    const state = stateIn(verified[2]);
    if (state === undefined) return answer(response, 400, '`state` must have 1 to 256 characters');
    const nowMs = this.#monotonicMs();
    if (nowMs - this.#verifiedMs < VERIFIED_EACH_MS)
      return answer(response, 503, 'a receiver was tried less than a second ago: try again');
    const answering = this.#answers.verification(verified[1] ?? '', state);
    if (answering === null) return answer(response, 404, 'this process has no receiver of signals of that name');
    this.#isVerifying = true;
    this.#verifiedMs = nowMs;
    try {
      answerJson(response, await answering);
    } catch {
      answer(response, 500, 'the receiver could not be tried');
    } finally {
      this.#isVerifying = false;
    }
  }

  async #answerReceipt(response: ServerResponse, receipt: () => Promise<object> | null): Promise<void> {
    if (this.#receipts >= MAX_RECEIPTS) return answer(response, 503, 'too many receipts are waited for: try again');
    this.#receipts += 1;
    try {
      await answerFleet(response, receipt());
    } catch {
      answer(response, 500, 'the receipt failed');
    } finally {
      this.#receipts -= 1;
    }
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map((server) => {
        const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
        server.closeAllConnections();
        return closed;
      }),
    );
  }
}

/** The id of a task, which is a single segment of the path. */
const RECEIPT = /^\/receipts\/([\w.:-]{1,128})$/;
/** A trace with its query. */
const TRACE = /^\/trace(?:\?|$)/;
/** The verification of a receiver of signals, by its name, with the state to send. */
const VERIFICATION = /^\/signals\/([a-z0-9-]{1,64})\/verification(?:\?state=([^&#]{0,3072}))?$/;
const MAX_STATE = 256;
/** Each verification event is a signature, and a connection to a receiver. */
const VERIFIED_EACH_MS = 1_000;

/** The state in a query; `null` if there is none, and `undefined` if it is not valid. */
function stateIn(query: string | undefined): string | null | undefined {
  if (query === undefined) return null;
  try {
    const state = decodeURIComponent(query);
    return state.length >= 1 && state.length <= MAX_STATE ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Receipts that are waited for at once. */
const MAX_RECEIPTS = 16;

/** Readiness, as the API server of Kubernetes writes gates that are not to be asked: `/readyz?exclude=lease`. */
const READYZ = /^\/readyz(?:\?exclude=([a-z-]{1,32}(?:&exclude=[a-z-]{1,32}){0,15}))?$/;

/** The gates that a request for readiness leaves out; `null` for other requests. A name that this process has no gate of changes nothing. */
function excludedGates(url: string): readonly string[] | null {
  const found = READYZ.exec(url);
  return found === null ? null : (found[1]?.split('&exclude=') ?? []);
}

const paths: ReadonlySet<string> = new Set(['/livez', '/metrics', '/policies/trial', '/fleet']);

function answerMetrics(response: ServerResponse, { contentType, body }: ReturnType<Scrape>): void {
  response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store' });
  response.end(body);
}

async function answerFleet(response: ServerResponse, report: Promise<object> | null): Promise<void> {
  if (report === null) answer(response, 404, 'this process is no authority: `authority.listen` is not set');
  else answerJson(response, await report);
}

function answerJson(response: ServerResponse, report: object): void {
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(`${JSON.stringify(report)}\n`);
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
  response.end(`${text}\n`);
}
