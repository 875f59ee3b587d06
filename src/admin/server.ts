import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crossSiteProblem } from './asked-host.ts';
import { unmetGates } from './readiness.ts';
import type { Gate } from './readiness.ts';

/** Answers `GET /metrics` for an `Accept` header. */
export type Scrape = (accept: string | undefined) => { readonly contentType: string; readonly body: string };

/** The answers of the admin server. */
export interface AdminAnswers {
  readonly scrape: Scrape;
  /** Answers `GET /policies/trial`: what policies on trial would have decided. */
  readonly trial: () => object;
  /** Answers `GET /receipts/{root task}`: waits until no sidecar can use an older state of it; likewise `null`. */
  readonly receipt?: (root: string) => Promise<object> | null;
  /** Answers `GET /fleet`: this authority, those beside it, their database and its sidecars. It never rejects. `null`, the default, where this process is no authority; then the answer is 404. */
  readonly fleet?: () => Promise<object> | null;
  /** Accepted host names besides `localhost` and IP addresses. Default none. */
  readonly hosts?: readonly string[];
}

/** The listen address; `port` 0 picks a free one. */
export interface AdminAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Serves liveness, readiness and metrics over plain HTTP, exact paths only: `GET /livez` is 200 while the process responds,
 * `GET /readyz` is 200 when every gate is met, otherwise 503 with one line per unmet gate, `GET /metrics` is for Prometheus,
 * `GET /policies/trial` for `remit policy rollout`, `GET /fleet` for `remit fleet`, `GET /receipts/{root task}` for `remit task`. It exposes no secrets and refuses cross-site requests (`crossSiteProblem`).
 *
 * Lifecycle: `listen` once, `close` once.
 */
export class AdminServer {
  readonly #server: Server;
  #receipts = 0;

  constructor(
    gates: readonly Gate[],
    { scrape, trial, fleet = () => null, receipt = () => null, hosts = [] }: AdminAnswers,
  ) {
    const names = new Set(hosts.map((host) => host.toLowerCase()));
    this.#server = createServer(
      { requestTimeout: 5000, headersTimeout: 5000, maxHeaderSize: 8192 },
      (request, response) => {
        const refused = crossSiteProblem(request.headers, names);
        if (refused !== null) return answer(response, refused.status, refused.text);
        const root = RECEIPT.exec(request.url ?? '')?.[1];
        if (root === undefined && !paths.has(request.url ?? '')) return answer(response, 404, 'not found');
        if (request.method !== 'GET' && request.method !== 'HEAD') {
          response.setHeader('allow', 'GET, HEAD');
          return answer(response, 405, 'method not allowed');
        }
        if (root !== undefined) return void this.#answerReceipt(response, () => receipt(root));
        if (request.url === '/metrics') return answerMetrics(response, scrape(request.headers.accept));
        if (request.url === '/policies/trial') return answerJson(response, trial());
        if (request.url === '/fleet') return void answerFleet(response, fleet());
        const unmet = request.url === '/readyz' ? unmetGates(gates) : [];
        return unmet.length === 0 ? answer(response, 200, 'ok') : answer(response, 503, unmet.join('\n'));
      },
    );
    this.#server.maxConnections = 64;
  }

  /** Starts listening and resolves with the port; rejects with the system's error. */
  listen(address: AdminAddress): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(address.port, address.host, () => {
        this.#server.off('error', reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
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

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

/** The id of a task, which is one segment of the path. */
const RECEIPT = /^\/receipts\/([\w.:-]{1,128})$/;
/** Receipts that are waited for at once. */
const MAX_RECEIPTS = 16;

const paths: ReadonlySet<string> = new Set(['/livez', '/readyz', '/metrics', '/policies/trial', '/fleet']);

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
