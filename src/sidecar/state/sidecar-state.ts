import { createHmac } from 'node:crypto';
import { usesFrom } from '../../core/fleet/token-uses.ts';
import type { Moment } from '../../core/fleet/lease.ts';
import type { Down, SidecarStatus } from '../../core/fleet/messages.ts';
import type { Orders } from '../../core/order/orders.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { After } from '../../core/runtime/timers.ts';
import { storeFailure } from '../../core/runtime/store-failure.ts';
import type { UsesSoFar } from '../../core/token/uses.ts';
import { RefusedTokens } from '../../core/state/refused-tokens.ts';
import type { Settling } from '../../core/state/settling.ts';
import type { TaskKey } from '../../core/state/store.ts';
import type { UseState } from '../../core/state/store-reader.ts';
import type { TaskStates } from '../../core/state/task-states.ts';
import { AnnouncedBundle } from './announced-bundle.ts';
import type { AuthorityLink, AuthorityPlace } from './authority-link.ts';
import { Follower } from './follower.ts';
import type { FollowerOptions } from './follower.ts';
import { Opens } from './opens.ts';
import { AnswerTime } from './answer-time.ts';
import type { OpensOptions } from './opens.ts';
import { RemoteProofs } from './remote-proofs.ts';
import { RemoteReports } from './remote-reports.ts';
import { RemoteSettling } from './remote-settling.ts';
import type { RemoteSettlingOptions } from './remote-settling.ts';
import { SidecarClock } from './sidecar-clock.ts';
import { SidecarFeed } from './sidecar-feed.ts';

/** Most tasks of which a sidecar holds the card. */
const MAX_CARDS = 100_000;
/** Interval at which expired tokens are forgotten. */
const EXPIRE_MS = 60_000;
/** After a new SVID, the stream is moved to a connection with it within this time. */
const RENEW_WITHIN_MS = 30_000;
/** Below the check timeout in our Envoy configurations, 500 ms. */
const ANSWER_MS = 400;

/** Options of the state of a sidecar. */
export interface SidecarStateOptions {
  /** gRPC targets of the authorities, at least one. */
  readonly targets: readonly string[];
  /** Most tasks of which the card is held. Room for them is taken at once: 24 bytes each, three times. Default 100,000. */
  readonly maxCards?: number;
  readonly placeOf: (target: string) => AuthorityPlace | string;
  readonly hello: FollowerOptions['hello'];
  readonly status: () => SidecarStatus;
  readonly ports: Ports;
  readonly after: After;
  /** Receives the keys of tokens when they change: the issuer, and its JSON Web Key Set. */
  readonly onKeys: (issuer: string, jwks: unknown) => void;
  /** Called once a change shows that a task has ended. */
  readonly onEnded: () => void;
  readonly onProblem: FollowerOptions['onProblem'];
  /** Longest wait for an answer of an authority. Default 400 ms. */
  readonly answerMs?: number;
  readonly onOpened: OpensOptions['onOpened'];
  readonly onSettled: RemoteSettlingOptions['onSettled'];
}

/** What a sidecar reports about itself. */
export interface SidecarMeasures {
  readonly cards: number;
  /** Until the lease of the cards expires; 0 if it has expired. */
  readonly leaseLeftMs: number;
  /** Number of the last change applied; 0 before the first stream. */
  readonly position: number;
  readonly isFollowing: boolean;
}

/**
 * The state of tasks at a sidecar: the cards that authorities send, under a lease. Without a lease, every use is denied.
 *
 * Lifecycle: connects from `open` on, without waiting; `close` once.
 */
export class SidecarState {
  readonly states: TaskStates;
  readonly settling: Settling & Pick<RemoteSettling, 'keep'>;
  /** The replay memory of the authority. */
  readonly proofs: RemoteProofs;
  /** The writes of `Reports`. */
  readonly reports: RemoteReports;
  /** The signed policy bundle of the authority that is followed. */
  readonly bundle: AnnouncedBundle;
  readonly #options: SidecarStateOptions;
  readonly #feed: SidecarFeed;
  readonly #follower: Follower;
  readonly #opens: Opens;
  readonly #clock: SidecarClock;
  readonly #refused = new RefusedTokens();
  /** Private to this process until an authority has sent the common key. */
  #digestKey: Uint8Array;
  /** The issuer of the tasks of the authority. */
  #issuer = '';
  #hasBegun = false;
  /** The epoch of the database that was followed last. */
  #epoch = '';
  /** Called once another life of the database is followed: nothing from before is known to be true in it. */
  onOtherLife: () => void = () => undefined;
  /** Why no authority is followed; `null` once an authority is. */
  #unfollowed: string | null = null;
  #isRepeatDue = false;
  #cancelExpiry: () => void = () => undefined;

  private constructor(options: SidecarStateOptions) {
    const { ports, after, targets, placeOf, hello, status, onOpened, onSettled } = options;
    const onProblem = (problem: string | null): void => {
      this.#unfollowed = problem;
      options.onProblem(problem);
    };
    this.#options = options;
    const instance = Buffer.from(ports.randomBytes(16)).toString('hex');
    const feed = new SidecarFeed({ instance, maxCards: options.maxCards ?? MAX_CARDS });
    this.#feed = feed;
    this.#clock = new SidecarClock(ports);
    this.#digestKey = ports.randomBytes(32);
    const answerTime = new AnswerTime(options.answerMs ?? ANSWER_MS, ports.monotonicMs);
    const onDown = (down: Down): void => this.#heard(down);
    const follower = new Follower({
      feed,
      targets,
      placeOf,
      hello,
      status,
      ports,
      after,
      onDown,
      onProblem,
      answerTime,
    });
    this.#follower = follower;
    const link = (): AuthorityLink | undefined => (feed.isFollowing ? follower.links()[0] : undefined);
    this.bundle = new AnnouncedBundle({ link, monotonicMs: ports.monotonicMs, after });
    this.#opens = new Opens({ feed, link: () => follower.links()[0], after, answerTime, onOpened });
    this.proofs = new RemoteProofs(() => follower.links(), answerTime);
    this.settling = new RemoteSettling({ instance, feed, links: () => follower.links(), after, answerTime, onSettled });
    const { clock, send } = { clock: this.#clock, send: follower.send.bind(follower) };
    this.reports = new RemoteReports({
      send: (report) => send({ of: 'report', report }),
      idles: (id) => feed.idles({ issuer: this.#issuer, id }),
      nowMs: () => Math.max(clock.read().wallMs, clock.read().floorMs),
      after,
    });
    this.states = {
      clocks: () => clock.read(),
      of: (key, jtiDigest) => this.#of(key, jtiDigest),
      standing: (key, jtiDigest) => this.#of(key, jtiDigest),
      orders: () => this.#orders(),
      refuse: (jtiDigest) => this.#refused.add(jtiDigest, clock.read().floorMs),
      turn: () => undefined,
      turnOver: () => undefined,
      open: (key, jtiDigest) => this.#open(key, jtiDigest),
    };
  }

  static open(options: SidecarStateOptions): SidecarState {
    const state = new SidecarState(options);
    state.#follower.start();
    state.#expire();
    return state;
  }

  /** The digest that represents a static secret, the same at all sidecars of an authority. */
  digestOf(secret: string): string {
    return `hmac-sha-256:${createHmac('sha256', this.#digestKey).update(secret, 'utf8').digest('base64url')}`;
  }

  /** What sidecars reported of the uses of a token before it was opened here; `undefined` while no card is held. */
  usesBefore(key: TaskKey, jtiDigest: string): UsesSoFar | null | undefined {
    const held = this.#feed.of(key, jtiDigest, this.#now());
    if (typeof held !== 'object') return undefined;
    return held.elsewhere === null ? null : usesFrom(held.elsewhere);
  }

  measures(): SidecarMeasures {
    const feed = this.#feed;
    return {
      cards: feed.cards,
      leaseLeftMs: feed.leaseLeftMs(this.#now()),
      position: feed.position?.seq ?? 0,
      isFollowing: feed.isFollowing,
    };
  }

  /** Why nothing can be decided here, and why no authority is followed; `null` if decisions are possible. */
  problem(): string | null {
    const stale = this.#stale();
    return stale === null || this.#unfollowed === null ? stale : `${stale}: ${this.#unfollowed}`;
  }

  /** Why the authorities refuse to go on from the position of this sidecar; `null` if they do not, or no authority has answered. */
  refusal(): string | null {
    return this.#follower.refusal;
  }

  /** This process has another SVID. */
  renewed(): void {
    this.#follower.moveWithin(RENEW_WITHIN_MS);
  }

  close(): void {
    this.#cancelExpiry();
    this.#follower.close();
  }

  #now(): Moment {
    const { monotonicMs, nowMs } = this.#options.ports;
    return { monotonicMs: monotonicMs(), wallMs: nowMs() };
  }

  #stale(): string | null {
    if (this.measures().leaseLeftMs > 0) return null;
    return this.#hasBegun
      ? 'no authority has confirmed the state of tasks for a lease'
      : 'no authority has answered yet';
  }

  /** INVARIANT: without a lease they are stale, since an authority acknowledges an order once the lease of this sidecar is over. */
  #orders(): Orders {
    const { orders } = this.#feed;
    const stale = this.#feed.leaseLeftMs(this.#now()) > 0 ? null : this.#stale();
    return stale === null ? orders : orders.staleBecause(storeFailure('busy', stale));
  }

  #of(key: TaskKey, jtiDigest: string): UseState | undefined | ReturnType<typeof storeFailure> {
    const held = this.#feed.of(key, jtiDigest, this.#now());
    if (held === undefined) return undefined;
    if (held === 'stale') return storeFailure('busy', this.#stale() ?? 'the lease has run out');
    if (held === 'unknown') return storeFailure('busy', 'the authority did not say in time what is true of the task');
    return this.#refused.inUse(held, jtiDigest);
  }

  #open(key: TaskKey, jtiDigest: string): Promise<void> | null {
    if (this.#feed.of(key, jtiDigest, this.#now()) !== 'unknown') return null;
    return this.#opens.open({ key: { issuer: key.issuer, id: key.id }, jti_digest: jtiDigest });
  }

  #heard(down: Down): void {
    switch (down.of) {
      case 'welcome':
        this.#clock.heard(down.welcome.now_ms);
        this.#issuer = down.welcome.issuer;
        if (this.#epoch !== '' && this.#epoch !== down.welcome.position.epoch) this.onOtherLife();
        this.#epoch = down.welcome.position.epoch;
        this.bundle.forget();
        if (down.welcome.digest_key.length === 32) this.#digestKey = down.welcome.digest_key;
        this.#isRepeatDue = true;
        return this.#opens.flush();
      case 'fresh':
        this.#hasBegun = true;
        this.#clock.heard(down.fresh.now_ms);
        // By now the authority has read which tasks are held here.
        if (this.#isRepeatDue) this.reports.repeat();
        this.#isRepeatDue = false;
        return undefined;
      case 'keys':
        return this.#options.onKeys(down.keys.issuer, jsonOf(down.keys.jwks));
      case 'reported':
        return this.reports.reported(down.reported);
      case 'policy':
        return this.bundle.announced(down.policy.digest);
      case 'changes':
        if (down.changes.cards.some(({ task }) => task.ended_at_ms !== 0)) this.#options.onEnded();
        return undefined;
      case 'orders':
      case 'resync':
      case 'drain':
        return undefined;
      default:
        down satisfies never;
    }
  }

  #expire(): void {
    this.#feed.expire(this.#clock.read().floorMs);
    this.#cancelExpiry = this.#options.after(EXPIRE_MS, () => this.#expire());
  }
}

/** `undefined` if it is not JSON. */
function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
