import type { Down, Hello, SidecarStatus, Up } from '../../fleet/messages.ts';
import type { Ports } from '../../runtime/ports.ts';
import type { After } from '../../runtime/timers.ts';
import type { AnswerTime } from './answer-time.ts';
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
  readonly ports: Pick<Ports, 'monotonicMs' | 'nowMs' | 'randomBytes'>;
  readonly after: After;
  /** Receives every message that the feed has taken. */
  readonly onDown: (down: Down) => void;
  /** Receives why no authority is followed, and `null` once one is. Contains nothing secret. */
  readonly onProblem: (problem: string | null) => void;
  readonly answerTime: Pick<AnswerTime, 'boundMs'>;
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;
/** On one host there is no herd, and an authority that restarts is back before a lease is over. */
const MAX_LOCAL_RETRY_MS = 250;
/** Longest wait for `Welcome`, the first time. */
const WELCOME_MS = 2_000;
/** So many times as long as an answer may take, if that is longer. */
const WELCOME_ANSWERS = 8;
/**
 * A connected authority that said nothing in time gets twice as long the next time, up to 8 times: an authority that is starved of processor time
 * has more to do with each stream that begins anew, and one that is given up too early is never heard.
 */
const MAX_DOUBLINGS = 3;
/** Where cards come and no ping is answered, a stream is given up after so many times as long. */
const PROGRESS_TIMES = 4;

/** A connection, with the certificate that it was made with. */
interface KeptLink {
  readonly link: AuthorityLink;
  readonly credentials: string;
}

/** A stream in use. */
interface Stream {
  readonly link: AuthorityLink;
  readonly up: FollowStream;
  /** When the last `Fresh` came, or the stream began. */
  freshMs: number;
  /** When it made progress last: cards, `Fresh` or `Welcome` came. */
  progressMs: number;
  cancel: () => void;
}

/**
 * Follows the feed of one of several authorities: it connects, says Hello, pings, and connects to the next one when the stream ends, when
 * no ping is answered for half a lease and no cards come (longer after others in vain), or when the authority is about to stop. Unless the authority answered and refused, it does so over a
 * new connection, to where DNS says then. Retries have full jitter from 100 ms, doubling to 5 s, on a Unix socket to 250 ms.
 *
 * Lifecycle: begins with `start`; `close` once.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #links = new Map<string, KeptLink>();
  /** Of some targets, an earlier connection that was still being made when it was given up. */
  readonly #aside = new Map<string, KeptLink>();
  #stream: Stream | null = null;
  #at = 0;
  #failures = 0;
  /** Connected authorities in a row that said nothing in time. */
  #silences = 0;
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
    for (const { link } of [...this.#links.values(), ...this.#aside.values()]) link.close();
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
    const nowMs = ports.monotonicMs();
    this.#stream = { link, up, freshMs: nowMs, progressMs: nowMs, cancel: () => undefined };
    up.send({ of: 'hello', hello: feed.hello(this.#options.hello()) });
    const withinMs = this.#patienceMs(Math.max(WELCOME_MS, WELCOME_ANSWERS * this.#options.answerTime.boundMs));
    this.#stream.cancel = this.#options.after(withinMs, () => {
      this.#silent(link);
      this.#failed(`the authority \`${link.target}\` cannot be followed: no answer in ${withinMs} ms`);
    });
  }

  /** A connection with the credentials of now. An older one serves its stream until that ends. */
  #linkTo(target: string): AuthorityLink | string {
    const place = this.#options.placeOf(target);
    if (typeof place === 'string') return place;
    const credentials = place.tls === null ? '' : place.tls.svid.certificatePem;
    const known = this.#standing(target) ?? this.#links.get(target);
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
    const nowMs = this.#options.ports.monotonicMs();
    if (isProgress(down) && this.#stream !== null) this.#stream.progressMs = nowMs;
    if (down.of === 'fresh' && this.#stream !== null) {
      this.#stream.freshMs = nowMs;
      this.#failures = 0;
      this.#silences = 0;
      this.#refusal = null;
      this.#options.onProblem(null);
    }
    if (down.of === 'drain') this.moveWithin(down.drain.within_ms);
    this.#options.onDown(down);
  }

  /** Pings now and in each interval, and ends a stream that makes no progress. */
  #ping(pingMs: number, leaseMs: number): void {
    const stream = this.#stream;
    if (stream === null) return;
    const { feed, ports, status, after } = this.#options;
    const nowMs = ports.monotonicMs();
    const silenceMs = this.#patienceMs(Math.max(leaseMs / 2, pingMs * 2));
    if (nowMs - stream.progressMs > silenceMs || nowMs - stream.freshMs > PROGRESS_TIMES * silenceMs) {
      this.#silent(stream.link);
      return this.#failed(`the authority \`${stream.link.target}\` answers no ping`);
    }
    this.send({ of: 'ping', ping: feed.ping({ monotonicMs: nowMs, wallMs: ports.nowMs() }, status()) });
    for (const dropped of feed.dropped()) this.send({ of: 'dropped', dropped });
    stream.cancel();
    stream.cancel = after(Math.max(pingMs, MIN_PING_MS), () => this.#ping(pingMs, leaseMs));
  }

  #patienceMs(firstMs: number): number {
    return firstMs * 2 ** this.#silences;
  }

  /** An authority said nothing in time. One that cannot be reached has not been asked. */
  #silent(link: AuthorityLink): void {
    if (link.isConnected) this.#silences = Math.min(this.#silences + 1, MAX_DOUBLINGS);
    const kept = this.#links.get(link.target);
    this.#drop(link);
    // The handshake of an authority that is slow goes on beside the next one, which goes to where DNS says then: else none of them would end.
    if (link.isConnecting && kept?.link === link && !this.#aside.has(link.target)) this.#aside.set(link.target, kept);
  }

  /** The connection that was set aside, once it stands. One that failed is given up. */
  #standing(target: string): KeptLink | undefined {
    const aside = this.#aside.get(target);
    if (aside === undefined || aside.link.isConnecting) return undefined;
    this.#aside.delete(target);
    if (!aside.link.isConnected) {
      aside.link.close();
      return undefined;
    }
    const known = this.#links.get(target);
    if (known !== undefined && known.link !== this.#stream?.link) known.link.close();
    this.#links.set(target, aside);
    return aside;
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
    const kept = [...this.#links.values(), ...this.#aside.values()];
    if (!kept.some(({ link }) => link === stream.link)) stream.link.close();
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

/** What an authority without its database does not say. */
const isProgress = ({ of }: Down): boolean => of === 'welcome' || of === 'changes' || of === 'fresh';

const MIN_PING_MS = 10;
