import { createHash } from 'node:crypto';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { httpExchange } from '../../../core/runtime/system/http-exchange.ts';
import { after } from '../../../core/runtime/timers.ts';
import { clearWay, type MeshPlace, routedClusters } from './mesh-route.ts';

/** The admin interface of Istio's Envoy. */
export const ADMIN_PORT = 15_000;
/** How long new connections rely on an answer. Open connections are checked no more often than this. */
const VERDICT_MS = 5_000;
/** A route table of some 7,000 services. Parsing it takes 0.1 s, in which no other call is forwarded. */
const MAX_DUMP_BYTES = 8 * 1_024 * 1_024;

/**
 * What the Envoy of this pod reports about the way to one upstream. It is asked once for all connections that are opened within 5 s: the answer
 * has the routes of all services at that port. Routes that have not changed are not parsed again.
 *
 * Lifecycle: none; an answer under way ends with `connectMs`.
 */
export class MeshVerdict {
  readonly #place: MeshPlace;
  readonly #connectMs: number;
  readonly #adminPort: number;
  #current: { readonly user: number; readonly problem: Promise<string | null> } | null = null;
  #routes: { readonly digest: string; readonly clusters: readonly string[] | Problem } | null = null;

  /** @param options.connectMs longest time of a question */
  constructor(
    place: MeshPlace,
    { connectMs, adminPort = ADMIN_PORT }: { readonly connectMs: number; readonly adminPort?: number },
  ) {
    this.#place = place;
    this.#connectMs = connectMs;
    this.#adminPort = adminPort;
  }

  /**
   * Why Envoy may send a call in plaintext; `null` if each way speaks TLS. At most 5 s old.
   *
   * @param user the user of the process that has the connection and serves the admin interface: an answer is of this user's Envoy alone
   */
  problem(user: number): Promise<string | null> {
    if (this.#current?.user === user) return this.#current.problem;
    const asked = { user, problem: this.#asked() };
    this.#current = asked;
    const forget = (): void => {
      if (this.#current === asked) this.#current = null;
    };
    // A refusal holds for the connections alone that wait for it: what was missing may be there at the next call.
    void asked.problem.then((problem) => (problem === null ? after(VERDICT_MS, forget) : forget()));
    return asked.problem;
  }

  /** Lets the next connection ask anew. */
  forget(): void {
    this.#current = null;
  }

  async #asked(): Promise<string | null> {
    const signal = AbortSignal.timeout(this.#connectMs);
    try {
      const names = this.#routedBy(await this.#dump('dynamic_route_configs', `(.*:)?${this.#place.port}`, signal));
      const clear = isProblem(names)
        ? names.problem
        : clearWay(names, parsed(await this.#dump('dynamic_active_clusters', anyOf(names), signal)), this.#place);
      return clear === null ? null : `the sidecar of this pod may send the token in clear: ${clear}`;
    } catch (error) {
      return `Envoy's admin interface does not say how \`${this.#place.host}\` is called: ${String(error)}`;
    }
  }

  #routedBy(routes: Buffer): readonly string[] | Problem {
    const digest = createHash('sha256').update(routes).digest('base64');
    if (this.#routes?.digest !== digest)
      this.#routes = { digest, clusters: routedClusters(parsed(routes), this.#place) };
    return this.#routes.clusters;
  }

  async #dump(resource: string, names: string, signal: AbortSignal): Promise<Buffer> {
    const query = new URLSearchParams({ resource, name_regex: names });
    const url = `http://127.0.0.1:${this.#adminPort}/config_dump?${query.toString()}`;
    const { status, body, fault } = await httpExchange(url, { maxBytes: MAX_DUMP_BYTES, signal });
    if (fault === 'too-long')
      throw new Error(
        `its answer is longer than ${MAX_DUMP_BYTES} bytes: an object \`Sidecar\` of Istio with \`egress\` limits what this pod's Envoy knows to the services that it calls`,
      );
    if (status !== 200 || fault !== null) throw new Error(`it answered ${status}${fault === null ? '' : `, ${fault}`}`);
    return body;
  }
}

const parsed = (body: Buffer): unknown => JSON.parse(body.toString('utf8'));

/** An expression of RE2 for these names alone. */
const anyOf = (names: readonly string[]): string => names.map((name) => name.replace(/\W/g, '\\$&')).join('|');
