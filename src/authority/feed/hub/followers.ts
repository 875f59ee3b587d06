import { status } from '@grpc/grpc-js';
import type { FleetReport } from '../../../core/fleet/fleet-report.ts';
import type { Down, Hello, Position, Report, Up } from '../../../core/fleet/messages.ts';
import type { Receipt } from '../../../core/fleet/receipt.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { SidecarRights } from '../authorize.ts';
import { Announcements } from '../announcements.ts';
import type { ClientLimits } from '../client-limits.ts';
import { Beats } from './beats.ts';
import { FeedHub } from './feed-hub.ts';
import { HelloTurns } from './hello-turns.ts';
import { HELD_BOUNDS } from './feed-hub-options.ts';
import {
  ended,
  hangUpStalled,
  droppedKeys,
  onceOpenFor,
  randomOf,
  streamIdOf,
  tooMuch,
  unfitHello,
} from './follower.ts';
import type { SidecarCall, FollowingSidecar } from './follower.ts';
import { FeedPump } from './feed-pump.ts';
import { followAfterHello } from './hello-stream.ts';
import type { FollowersOptions } from './followers-options.ts';
import { reportProblem } from '../report-admission.ts';
import { BEHIND, standingRefusal, UNPROVEN } from './standing.ts';
import type { StandingRefusal } from './standing.ts';
import { SentOrders } from './sent-orders.ts';
import { SidecarReports } from '../sidecar-reports.ts';
import { endStream } from '../stream-end.ts';
import { welcomeOf } from './welcome.ts';
import { receiptTotal } from './receipts.ts';
import type { StreamId } from '../sidecar-stream.ts';
import { SharedRoom } from '../../../core/runtime/collections/shared-room.ts';
import { TokenBucket } from '../../../core/runtime/collections/token-bucket.ts';

/** Interval at which the feed is asked for changes, also those of other processes. */
const POLL_MS = 25;
/** Added to a lease before it counts as over. */
export const MARGIN_MS = 250;
/** A stream is moved after this time, more or less by a fifth, so that streams spread over the replicas. */
const MAX_AGE_MS = 30 * 60_000;
const MOVE: Down = { of: 'drain', drain: { within_ms: 5_000 } };
/** Most streams, shared by identities. */
const MAX_STREAMS = 20_000;

/**
 * The streams of all sidecars: the shell of `FeedHub`. It reads the feed and the cards, makes beats, and writes the hub's messages. For a
 * sidecar that does not read, no cards are read, so no `Fresh` covers their changes. It is disconnected after 10 s.
 *
 * Lifecycle: from construction on; `drain`, then `close` once.
 */
export class Followers {
  readonly hub: FeedHub;
  readonly #options: FollowersOptions;
  readonly #followers = new Map<StreamId, FollowingSidecar>();
  readonly #turns: HelloTurns;
  readonly #room = new SharedRoom(MAX_STREAMS);
  readonly #beats: Beats;
  readonly pump: FeedPump;
  readonly #reports = new SidecarReports();
  readonly #announcements: Announcements;
  readonly #orders: SentOrders;
  #isDraining = false;
  #isClosed = false;
  #cancelPoll: () => void = () => undefined;
  #halted: string | null = null;
  readonly #warnings: TokenBucket;

  constructor(options: FollowersOptions) {
    this.#options = options;
    const { after, clockMs, engine, epoch, place, leaseMs, formerLeaseMs, ports } = options;
    const inheritedUntilMs = ports.monotonicMs() + Math.max(leaseMs, formerLeaseMs) + MARGIN_MS;
    this.hub = new FeedHub({
      epoch,
      position: place.seq,
      mark: place.mark,
      leaseMs,
      marginMs: MARGIN_MS,
      ...HELD_BOUNDS,
      inheritedUntilMs,
    });
    this.#announcements = new Announcements({ ...options, issuer: options.welcome.issuer });
    this.#orders = new SentOrders(engine, clockMs);
    this.#turns = new HelloTurns({ ...ports, after });
    this.#warnings = new TokenBucket({ burst: 4, perSecond: 0.1, ...ports });
    this.pump = new FeedPump({
      hub: this.hub,
      engine,
      ports,
      after,
      rightsOf: (id) => this.#followers.get(id)?.rights,
      canTake: (id) => this.#followers.get(id)?.call.writableLength === 0,
      write: (id, down) => {
        const follower = this.#followers.get(id);
        if (follower !== undefined) this.#write(follower, down);
      },
      readKeys: options.readKeys,
      keysChanged: () => this.keysChanged(),
      ordersChanged: (at) => this.#orders.changed(at, this.#followers.values(), (...of) => this.#write(...of)),
    });
    this.#beats = new Beats({
      hub: this.hub,
      engine,
      after,
      clockMs,
      pollTo: (head) => this.pump.pollTo(head),
      onBeat: () => this.pump.advance(),
      onLost: (head) =>
        void this.#halt(`this authority has seen change ${this.hub.position}, but the database ends at ${head}`),
      onRefused: (lost) => this.#endAll(lost),
    });
    this.#tick();
  }

  /** Number of connected sidecars. */
  get size(): number {
    return this.#followers.size;
  }

  /** What `remit fleet` shows. */
  report(): Omit<FleetReport, 'id' | 'replicas' | 'database'> {
    const { epoch, leaseMs, ports, welcome } = this.#options;
    const { position, streams } = this.hub;
    const sidecars = this.#reports.all(streams, { position, monotonicMs: ports.monotonicMs(), marginMs: MARGIN_MS });
    return { version: welcome.version, epoch, position, lease_ms: leaseMs, problem: this.halted, sidecars };
  }

  /** Why no sidecar is served; `null` if they are. Once the database itself is marked, each synced commit shows it. */
  get halted(): string | null {
    return this.#halted ?? this.#options.engine.lost?.() ?? null;
  }

  /** The limits of a connected sidecar; `undefined` if it has no stream here. */
  limitsOf(id: StreamId): ClientLimits | undefined {
    return this.#followers.get(id)?.limits;
  }

  /**
   * Serves a stream.
   * @param hangUp ends its connection, with all that is queued for it
   */
  follow(call: SidecarCall, rights: SidecarRights, hangUp: () => void): void {
    if (this.#isDraining)
      return endStream(call, status.UNAVAILABLE, 'the authority is stopping: connect to another authority');
    const { halted } = this;
    if (halted !== null) return endStream(call, status.FAILED_PRECONDITION, halted);
    if (!this.#room.take(rights.peer)) return endStream(call, status.RESOURCE_EXHAUSTED, 'too many streams');
    followAfterHello(call, {
      after: this.#options.after,
      connect: (hello) => this.#hello(hello, { call, rights, hangUp }),
      heard: (follower, up) => this.#heard(follower, up),
      over: () => this.#room.give(rights.peer),
      left: (follower) => this.#left(follower),
    });
  }

  /**
   * Waits until no sidecar can use an older state of some root tasks, whose changes are committed: at most a lease and its margin, unless
   * the feed cannot be read. The receipt counts the sidecars of all of them.
   */
  async enforced(roots: readonly string[]): Promise<Receipt | StoreFailure> {
    const { engine, after, ports, leaseMs } = this.#options;
    const seq = await engine.head();
    if (isStoreFailure(seq)) return seq;
    const untilMs = ports.monotonicMs() + leaseMs + 2 * MARGIN_MS;
    for (;;) {
      await this.pump.poll();
      const nowMs = ports.monotonicMs();
      const receipt = receiptTotal(roots.map((root) => this.hub.receipt(seq, root, nowMs)));
      this.pump.advance();
      if (receipt.enforced || nowMs >= untilMs || this.#isClosed) return receipt;
      await new Promise<void>((resolve) => void after(POLL_MS / 5, resolve));
    }
  }

  /** Sends new keys to all sidecars. */
  keysChanged(): void {
    this.#writeAll(this.#announcements.keys());
  }

  /**
   * Asks all sidecars to connect elsewhere within a time. A sole authority keeps them, with their leases, until it closes.
   */
  drain(withinMs: number): void {
    if (this.#isAlone) return;
    this.#isDraining = true;
    this.#writeAll({ of: 'drain', drain: { within_ms: withinMs } });
  }

  close(): void {
    this.#isDraining = true;
    this.#isClosed = true;
    this.#beats.close();
    this.#cancelPoll();
    for (const { call } of this.#followers.values()) endStream(call, status.UNAVAILABLE, 'the authority has stopped');
  }

  async #hello(
    hello: Hello,
    peer: Pick<FollowingSidecar, 'call' | 'rights' | 'hangUp'>,
  ): Promise<FollowingSidecar | null> {
    const { call, rights } = peer;
    const { ports, engine, after, limits } = this.#options;
    const id = streamIdOf(rights, hello.instance);
    if (id === null) return ended(call, status.INVALID_ARGUMENT, 'the instance must be 8 to 64 of `A-Za-z0-9_-`');
    const unfit = unfitHello(hello, this.#options.welcome.version);
    if (unfit !== null) return ended(call, unfit.code, unfit.details);
    if (!limits.of(rights.peer).claims.take(hello.held.length)) return tooMuch(peer, 'too many held cards');
    if (!(await this.#turns.turn(rights.peer)))
      return ended(call, status.RESOURCE_EXHAUSTED, 'too many sidecars connect: try again later');
    if (call.cancelled) return null;
    const head = await engine.head();
    if (isStoreFailure(head)) return ended(call, status.UNAVAILABLE, 'the state is not available');
    await this.pump.pollTo(head);
    if (!(await this.#orders.areKnown())) return ended(call, status.UNAVAILABLE, 'the orders are not available');
    if (call.cancelled || this.halted !== null) return ended(call, status.UNAVAILABLE, 'try again');
    const refusal = (await this.#standing(hello.resume, id)) ?? this.#orders.refusalOf(hello.orders);
    if (refusal !== null) return ended(call, refusal.code, refusal.details);
    if (call.cancelled || this.halted !== null) return ended(call, status.UNAVAILABLE, 'try again');
    const before = this.#followers.get(id);
    const audiences = [...rights.audiences].toSorted().join(' ');
    const position = this.hub.connect(id, { ...hello, rights: audiences }, ports.monotonicMs());
    if (position === 'full') return ended(call, status.RESOURCE_EXHAUSTED, 'the sidecar holds too many cards');
    if (position === 'ahead') return ended(call, BEHIND.code, BEHIND.details);
    const own = { id, limits: limits.ofSidecar(rights.peer), knowsOrders: hello.orders, stalledMs: null };
    const follower: FollowingSidecar = { ...peer, ...own };
    this.#followers.set(id, follower);
    this.#reports.began(id, hello.version);
    if (before !== undefined) endStream(before.call, status.ABORTED, 'another stream of this sidecar began');
    const announced = [this.#announcements.keys(), this.#announcements.policy()];
    // INVARIANT: the orders before any `Fresh`, so that a sidecar allows nothing before it has them.
    for (const down of [welcomeOf(this.#options, position), ...announced, ...this.#orders.first(hello)])
      this.#write(follower, down);
    if (!this.#isAlone) {
      const ageMs = MAX_AGE_MS * (0.8 + 0.4 * randomOf(ports));
      onceOpenFor(call, ageMs, { after, act: () => this.#write(follower, MOVE) });
    }
    this.pump.advance();
    return follower;
  }

  #heard(follower: FollowingSidecar, up: Up): void {
    const { id, call, limits } = follower;
    if (this.#followers.get(id) !== follower) return;
    if (!limits.ups.take()) return void tooMuch(follower, 'too many messages');
    switch (up.of) {
      case 'ping':
        if (!limits.pings.take()) return;
        this.hub.ping(id, up.ping.n, this.#options.ports.monotonicMs());
        this.#reports.pinged(id, up.ping.status);
        return this.#beats.wanted();
      case 'ack':
        if (!this.hub.ack(id, up.ack.seq)) endStream(call, status.INVALID_ARGUMENT, 'acknowledges what was not sent');
        return this.pump.advance();
      case 'dropped':
        if (!this.#options.limits.of(follower.rights.peer).claims.take(up.dropped.keys.length))
          return void tooMuch(follower, 'too many dropped cards');
        this.hub.dropped(id, droppedKeys(up.dropped), up.dropped.n);
        return this.pump.advance();
      case 'report':
        return void this.#reported(follower, up.report);
      case 'hello':
        return endStream(call, status.INVALID_ARGUMENT, 'unexpected message');
      // A message that a later version has is ignored.
      default:
        return void (up satisfies never);
    }
  }

  async #reported(follower: FollowingSidecar, report: Report): Promise<void> {
    const problem = await reportProblem(report, follower, {
      issuer: this.#options.welcome.issuer,
      holds: (key) => this.hub.holds(follower.id, key),
      write: this.#options.report,
    });
    if (this.#followers.get(follower.id) !== follower) return;
    this.#write(follower, { of: 'reported', reported: { id: report.id, problem } });
  }

  #left(follower: FollowingSidecar): void {
    if (this.#followers.get(follower.id) !== follower) return;
    this.#followers.delete(follower.id);
    this.hub.disconnect(follower.id, this.#options.ports.monotonicMs());
  }

  /** Why a sidecar with this position is not served; `null` if it is. */
  async #standing(resume: Position | null, id: StreamId): Promise<StandingRefusal | null> {
    const { engine, epoch, onProblem } = this.#options;
    if (resume === null) return null;
    const onLost = (): string => this.#halt(`the database lacks change ${resume.seq}, which the sidecar \`${id}\` has`);
    const refusal = await standingRefusal(resume, { engine, epoch, position: this.hub.position, onLost });
    if (refusal === UNPROVEN && this.#warnings.take())
      onProblem(`the sidecar \`${id}\` is refused: ${UNPROVEN.details}`);
    if (refusal === null && resume.epoch === epoch) await this.pump.pollTo(resume.seq);
    return refusal;
  }

  /** A commit that was acknowledged is not in the database: nothing that is in it can be relied on. */
  #halt(lost: string): string {
    const text = `${lost}: commits were lost, as by an older copy of it. No sidecar is served until the newer database is back, or \`remit restore\` has ended all open tasks`;
    this.#halted = text;
    this.#options.onProblem(text);
    this.#endAll(text);
    return text;
  }

  #endAll(text: string): void {
    for (const { call } of this.#followers.values()) endStream(call, status.FAILED_PRECONDITION, text);
  }

  #tick(): void {
    this.#cancelPoll = this.#options.after(POLL_MS, () => {
      if ((this.#options.engine.lost?.() ?? null) !== null) this.#halted = null;
      const changed = this.#announcements.changedPolicy();
      if (changed !== null) this.#writeAll(changed);
      const nowMs = this.#options.ports.monotonicMs();
      for (const follower of this.#followers.values()) hangUpStalled(follower, nowMs);
      this.hub.sweep(nowMs);
      this.#reports.keepOnly(this.hub.streams);
      // Without sidecars nothing waits for changes, unless other authorities wait for this authority.
      const polled = this.size === 0 && this.#isAlone ? Promise.resolve() : this.pump.poll();
      void polled.finally(() => {
        if (!this.#isClosed) this.#tick();
      });
    });
  }

  #writeAll(down: Down): void {
    for (const follower of this.#followers.values()) this.#write(follower, down);
  }

  /** Writes a message. Cards are not read for a stream before all of its messages have left this process. */
  #write(follower: FollowingSidecar, down: Down): void {
    const { call } = follower;
    if (call.cancelled || call.destroyed || call.writableEnded) return;
    follower.stalledMs ??= this.#options.ports.monotonicMs();
    call.write(down, () => {
      if (call.writableLength > 0) return;
      follower.stalledMs = null;
      this.pump.advance();
    });
  }

  get #isAlone(): boolean {
    return this.#options.engine.replicas === undefined;
  }
}
