import type { Down, Hello, SidecarStatus, Up } from '../../core/fleet/messages.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { After } from '../../core/runtime/timers.ts';
import type { AnswerTime } from './answer-time.ts';
import { AuthorityLink } from './authority-link.ts';
import type { AuthorityPlace, FollowStream } from './authority-link.ts';
import { Patience } from './patience.ts';
import type { SidecarFeed } from './sidecar-feed.ts';

/** Options of a follower. */
export interface FollowerOptions {
  readonly feed: SidecarFeed;
  /** gRPC targets of the authorities, at least one. */
  readonly targets: readonly string[];
  /** How to reach a target now; a text with the reason if it cannot be reached, such as while there is no SVID. */
  readonly placeOf: (target: string) => AuthorityPlace | string;
  readonly hello: () => Pick<Hello, 'version' | 'policy_set' | 'log'>;
  readonly status: () => SidecarStatus;
  readonly ports: Pick<Ports, 'monotonicMs' | 'nowMs' | 'randomBytes'>;
  readonly after: After;
  /** Receives every message that the feed has taken. */
  readonly onDown: (down: Down) => void;
  /** Receives why no authority is followed, and `null` once an authority is. Contains nothing secret. */
  readonly onProblem: (problem: string | null) => void;
  readonly answerTime: Pick<AnswerTime, 'boundMs'>;
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;
/** On a single host there is no herd, and an authority that restarts is back before a lease is over. */
const MAX_LOCAL_RETRY_MS = 250;
/** Longest wait for `Welcome`, the first time. */
const WELCOME_MS = 2_000;
/** Or this many times the bound of an answer, if that is longer. */
const WELCOME_ANSWERS = 8;
/**
 * Waits are divided into slices of this length: a slice that ends late because this process did not run counts once, and messages
 * that came meanwhile are read before the next slice.
 */
const SLICE_MS = 250;
/** If cards come but no ping is answered, a stream is given up only after so many times the usual wait. */
const PROGRESS_TIMES = 4;

/** A connection, with the certificate that it was made with. */
interface KeptLink {
  readonly link: AuthorityLink;
  readonly credentials: string;
  /** Whether nothing came over it in time, and another authority was asked since. */
  isSilent: boolean;
}

/** A stream in use. */
interface Stream {
  readonly link: AuthorityLink;
  readonly up: FollowStream;
  /** Pings since the last `Fresh`. */
  unanswered: number;
  /** Pings since it made progress last: cards, `Fresh` or `Welcome` came. */
  pingsInVain: number;
  cancel: () => void;
}

/**
 * Follows the feed of one of several authorities: it connects, says Hello, pings, and connects to the next authority when the stream ends,
 * when no ping is answered for half a lease and no cards come (longer after earlier failures), or when the authority is about to stop. Unless
 * the authority answered and refused, it reconnects with a new DNS look-up; if there are several authorities, each is asked once more over
 * its existing connection. Retries have full jitter from 100 ms, doubling to 5 s, on a Unix socket to 250 ms.
 *
 * Lifecycle: begins with `start`; `close` once.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #links = new Map<string, KeptLink>();
  /** By target, an earlier connection that was still being established when it was given up. */
  readonly #aside = new Map<string, KeptLink>();
  #stream: Stream | null = null;
  #at = 0;
  #failures = 0;
  readonly #patience = new Patience();
  #isClosed = false;
  #cancelRetry: () => void = () => undefined;
  #cancelMove: () => void = () => undefined;
  #refusal: string | null = null;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Why the last authority that answered serves no sidecars: its database lacks changes. `null` if it serves. */
  get refusal(): string | null {
    return this.#refusal;
  }

  start(): void {
    this.#connect();
  }

  /** Connections for calls, the stream's connection first. */
  links(): readonly AuthorityLink[] {
    const current = this.#stream?.link;
    const others = this.#options.targets.filter((target) => target !== current?.target);
    const reachable = others.flatMap((target) => this.#linkTo(target) ?? []).filter((link) => typeof link !== 'string');
    return current === undefined ? reachable : [current, ...reachable];
  }

  send(up: Up): void {
    this.#stream?.up.send(up);
  }

  /** Reconnects within a time, for example after the credentials have changed. The stream stays until then. */
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
    const { feed } = this.#options;
    const up = link.follow({
      onDown: (down) => this.#heard(down),
      onEnd: (problem, { isRefused, isAnswered }) => {
        if (isRefused) this.#refusal = problem;
        if (!isAnswered) this.#leave(link);
        this.#failed(`the authority \`${link.target}\` cannot be followed: ${problem}`);
      },
    });
    const stream = { link, up, unanswered: 0, pingsInVain: 0, cancel: () => undefined };
    this.#stream = stream;
    up.send({ of: 'hello', hello: feed.hello(this.#options.hello()) });
    const withinMs = this.#patience.waitMs(Math.max(WELCOME_MS, WELCOME_ANSWERS * this.#options.answerTime.boundMs));
    this.#await(stream, Math.ceil(withinMs / SLICE_MS), () =>
      this.#failed(`the authority \`${link.target}\` cannot be followed: no answer in ${withinMs} ms`),
    );
  }

  /** Waits for `Welcome`. */
  #await(stream: Stream, slices: number, failed: () => void): void {
    stream.cancel = this.#options.after(SLICE_MS, () => {
      if (slices > 1) return this.#await(stream, slices - 1, failed);
      this.#silent(stream.link);
      failed();
    });
  }

  /** A connection with the current credentials. An older connection serves its stream until that ends. */
  #linkTo(target: string): AuthorityLink | string {
    const place = this.#options.placeOf(target);
    if (typeof place === 'string') return place;
    const credentials = place.tls === null ? '' : place.tls.svid.certificatePem;
    const known = this.#standing(target) ?? this.#links.get(target);
    if (known?.credentials === credentials) return known.link;
    if (known !== undefined && known.link !== this.#stream?.link) known.link.close();
    const link = new AuthorityLink(place);
    this.#links.set(target, { link, credentials, isSilent: false });
    return link;
  }

  #heard(down: Down): void {
    const answer = this.#options.feed.heard(down);
    if (answer === 'resync') {
      this.#options.onProblem('the feed has a gap: it is followed anew');
      return this.#restart(this.#retryMs());
    }
    for (const up of answer) this.send(up);
    if (down.of === 'welcome') this.#ping(Math.max(down.welcome.ping_ms, MIN_PING_MS), down.welcome.lease_ms);
    if (isProgress(down) && this.#stream !== null) this.#stream.pingsInVain = 0;
    if (down.of === 'fresh' && this.#stream !== null) {
      this.#stream.unanswered = 0;
      const kept = this.#links.get(this.#stream.link.target);
      if (kept?.link === this.#stream.link) kept.isSilent = false;
      this.#failures = 0;
      this.#patience.answered();
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
    // Counted in pings: while this process does not run, messages of the authority are not read.
    const most = Math.floor(this.#patience.waitMs(Math.max(leaseMs / 2, pingMs * 2)) / pingMs);
    if (stream.pingsInVain >= most || stream.unanswered >= PROGRESS_TIMES * most) {
      this.#silent(stream.link);
      return this.#failed(`the authority \`${stream.link.target}\` answers no ping`);
    }
    const at = { monotonicMs: ports.monotonicMs(), wallMs: ports.nowMs() };
    this.send({ of: 'ping', ping: feed.ping(at, status()) });
    stream.pingsInVain += 1;
    stream.unanswered += 1;
    for (const dropped of feed.dropped()) this.send({ of: 'dropped', dropped });
    stream.cancel();
    stream.cancel = after(pingMs, () => this.#ping(pingMs, leaseMs));
  }

  /** An authority did not answer in time. An authority that cannot be reached was never asked. */
  #silent(link: AuthorityLink): void {
    if (link.isConnected) this.#patience.silent();
    const kept = this.#links.get(link.target);
    this.#leave(link);
    // The handshake with a slow authority goes on beside the next attempt, which makes a new DNS look-up: otherwise no handshake
    // would ever end.
    if (link.isConnecting && kept?.link === link && !this.#aside.has(link.target)) this.#aside.set(link.target, kept);
  }

  /** The connection that was set aside, once it is established. A failed connection is dropped. */
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
   * Another authority is asked next, and then this authority once more over the existing connection: a handshake is what costs a slow
   * authority the most. If there is no other, a new connection finds another process of the same name.
   */
  #leave(link: AuthorityLink): void {
    const kept = this.#links.get(link.target);
    const isAskedAgain = this.#options.targets.length > 1 && link.isConnected && kept?.link === link && !kept.isSilent;
    if (isAskedAgain) kept.isSilent = true;
    else this.#drop(link);
  }

  /**
   * Reconnects for the next call: another authority may have the same name, or the same authority a new address. Calls in progress go on, and
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

/** Messages that an authority without its database cannot send. */
const isProgress = ({ of }: Down): boolean => of === 'welcome' || of === 'changes' || of === 'fresh';

const MIN_PING_MS = 10;
