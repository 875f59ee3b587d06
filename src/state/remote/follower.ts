import type { Down, Hello, SidecarStatus, Up } from '../../fleet/messages.ts';
import type { Ports } from '../../runtime/ports.ts';
import type { After } from '../../runtime/timers.ts';
import { AuthorityLink } from './authority-link.ts';
import type { AuthorityPlace, FollowStream } from './authority-link.ts';
import type { SidecarFeed } from './sidecar-feed.ts';

/** Options of a follower. */
export interface FollowerOptions {
  readonly feed: SidecarFeed;
  /** gRPC targets of the authorities, at least one. */
  readonly targets: readonly string[];
  /** How to reach a target now; a text where it cannot be reached, such as while there is no SVID. */
  readonly placeOf: (target: string) => AuthorityPlace | string;
  readonly hello: () => Pick<Hello, 'version' | 'policy_set' | 'log'>;
  readonly status: () => SidecarStatus;
  readonly ports: Pick<Ports, 'monotonicMs' | 'randomBytes'>;
  readonly after: After;
  /** Receives every message that the feed has taken. */
  readonly onDown: (down: Down) => void;
  /** Receives why no authority is followed, and `null` once one is. Contains nothing secret. */
  readonly onProblem: (problem: string | null) => void;
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;
/** On one host there is no herd, and an authority that restarts is back before a lease is over. */
const MAX_LOCAL_RETRY_MS = 250;
/** Longest wait for `Welcome`. */
const WELCOME_MS = 2_000;

/** A stream in use. */
interface Stream {
  readonly link: AuthorityLink;
  readonly up: FollowStream;
  /** When the last `Fresh` came, or the stream began. */
  freshMs: number;
  cancel: () => void;
}

/**
 * Follows the feed of one of several authorities: it connects, says Hello, pings, and connects to the next one when the stream ends, when
 * no ping is answered for half a lease, or when the authority is about to stop. Unless the authority answered and refused, it does so over a
 * new connection, to where DNS says then. Retries have full jitter from 100 ms, doubling to 5 s, on a Unix socket to 250 ms.
 *
 * Lifecycle: begins with `start`; `close` once.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #links = new Map<string, { readonly link: AuthorityLink; readonly credentials: string }>();
  #stream: Stream | null = null;
  #at = 0;
  #failures = 0;
  #isClosed = false;
  #cancelRetry: () => void = () => undefined;
  #cancelMove: () => void = () => undefined;
  #refusal: string | null = null;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Why the last authority that answered serves no sidecar: its database lacks changes. `null` where it serves. */
  get refusal(): string | null {
    return this.#refusal;
  }

  start(): void {
    this.#connect();
  }

  /** Connections for calls, the one of the stream first. */
  links(): readonly AuthorityLink[] {
    const current = this.#stream?.link;
    const others = this.#options.targets.filter((target) => target !== current?.target);
    const reachable = others.flatMap((target) => this.#linkTo(target) ?? []).filter((link) => typeof link !== 'string');
    return current === undefined ? reachable : [current, ...reachable];
  }

  send(up: Up): void {
    this.#stream?.up.send(up);
  }

  /** Connects anew within a time, as where the credentials have changed. The stream stays until then. */
  moveWithin(withinMs: number): void {
    this.#cancelMove();
    this.#cancelMove = this.#options.after(this.#random() * withinMs, () => {
      if (this.#stream !== null) this.#drop(this.#stream.link);
      this.#next();
      this.#restart(0);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelMove();
    this.#cancelRetry();
    this.#endStream();
    for (const { link } of this.#links.values()) link.close();
  }

  #connect(): void {
    if (this.#isClosed) return;
    const link = this.#linkTo(this.#options.targets[this.#at] ?? '');
    if (typeof link === 'string') return this.#failed(link);
    const { feed, ports } = this.#options;
    const up = link.follow({
      onDown: (down) => this.#heard(down),
      onEnd: (problem, { isRefused, isAnswered }) => {
        if (isRefused) this.#refusal = problem;
        if (!isAnswered) this.#drop(link);
        this.#failed(`the authority \`${link.target}\` cannot be followed: ${problem}`);
      },
    });
    this.#stream = { link, up, freshMs: ports.monotonicMs(), cancel: () => undefined };
    up.send({ of: 'hello', hello: feed.hello(this.#options.hello()) });
    this.#stream.cancel = this.#options.after(WELCOME_MS, () => {
      this.#drop(link);
      this.#failed(`the authority \`${link.target}\` cannot be followed: no answer in ${WELCOME_MS} ms`);
    });
  }

  /** A connection with the credentials of now. An older one serves its stream until that ends. */
  #linkTo(target: string): AuthorityLink | string {
    const place = this.#options.placeOf(target);
    if (typeof place === 'string') return place;
    const credentials = place.tls === null ? '' : place.tls.svid.certificatePem;
    const known = this.#links.get(target);
    if (known?.credentials === credentials) return known.link;
    if (known !== undefined && known.link !== this.#stream?.link) known.link.close();
    const link = new AuthorityLink(place);
    this.#links.set(target, { link, credentials });
    return link;
  }

  #heard(down: Down): void {
    const answer = this.#options.feed.heard(down);
    if (answer === 'resync') {
      this.#options.onProblem('the feed has a gap: it is followed anew');
      return this.#restart(this.#retryMs());
    }
    for (const up of answer) this.send(up);
    if (down.of === 'welcome') this.#ping(down.welcome.ping_ms, down.welcome.lease_ms);
    if (down.of === 'fresh' && this.#stream !== null) {
      this.#stream.freshMs = this.#options.ports.monotonicMs();
      this.#failures = 0;
      this.#refusal = null;
      this.#options.onProblem(null);
    }
    if (down.of === 'drain') this.moveWithin(down.drain.within_ms);
    this.#options.onDown(down);
  }

  /** Pings now and in each interval, and ends a stream on which no ping was answered for half a lease. */
  #ping(pingMs: number, leaseMs: number): void {
    const stream = this.#stream;
    if (stream === null) return;
    const { feed, ports, status, after } = this.#options;
    const nowMs = ports.monotonicMs();
    if (nowMs - stream.freshMs > Math.max(leaseMs / 2, pingMs * 2)) {
      this.#drop(stream.link);
      return this.#failed(`the authority \`${stream.link.target}\` answers no ping`);
    }
    this.send({ of: 'ping', ping: feed.ping(nowMs, status()) });
    for (const dropped of feed.dropped()) this.send({ of: 'dropped', dropped });
    stream.cancel();
    stream.cancel = after(Math.max(pingMs, MIN_PING_MS), () => this.#ping(pingMs, leaseMs));
  }

  #failed(problem: string): void {
    this.#options.onProblem(problem);
    this.#next();
    this.#restart(this.#retryMs());
  }

  #restart(delayMs: number): void {
    this.#endStream();
    this.#cancelRetry();
    if (!this.#isClosed) this.#cancelRetry = this.#options.after(delayMs, () => this.#connect());
  }

  #endStream(): void {
    const stream = this.#stream;
    this.#stream = null;
    this.#options.feed.disconnected();
    if (stream === null) return;
    stream.cancel();
    stream.up.end();
    const isCurrent = [...this.#links.values()].some(({ link }) => link === stream.link);
    if (!isCurrent) stream.link.close();
  }

  /**
   * Connects anew for the next call: another authority may have the same name, or the same one another address. Calls in progress go on, and
   * fail by their own deadlines.
   */
  #drop(link: AuthorityLink): void {
    if (this.#links.get(link.target)?.link === link) this.#links.delete(link.target);
  }

  #next(): void {
    this.#at = (this.#at + 1) % this.#options.targets.length;
  }

  #retryMs(): number {
    const isLocal = this.#options.targets[this.#at]?.startsWith('unix:') === true;
    const mostMs = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, isLocal ? MAX_LOCAL_RETRY_MS : MAX_RETRY_MS);
    this.#failures = Math.min(this.#failures + 1, 16);
    return this.#random() * mostMs;
  }

  #random(): number {
    return Buffer.from(this.#options.ports.randomBytes(4)).readUInt32BE() / 2 ** 32;
  }
}

const MIN_PING_MS = 10;
