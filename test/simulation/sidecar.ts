import type { Moment } from '../../src/core/fleet/lease.ts';
import type { Down, OpenReply, TokenKey, Up } from '../../src/core/fleet/messages.ts';
import { SidecarFeed } from '../../src/sidecar/state/sidecar-feed.ts';
import type { GivenPart, TaskUse } from './rows.ts';
import type { TaskSpend } from '../../src/core/state/spend.ts';
import type { UseState } from '../../src/core/state/store-reader.ts';
import { isOpen, stateAt, tokenProblem } from '../../src/core/task/task.ts';
import type { Authority, Settled } from './authority.ts';
import { Call } from './call.ts';
import type { Stream, Writer } from './network.ts';
import { serverOf } from './order-rows.ts';
import { recordOfUse } from './outbox-rows.ts';
import { Party } from './party.ts';
import { callOf, SidecarShares } from './sidecar-shares.ts';
import type { UseKind } from './promise.ts';
import { ISSUER, rootOf } from './rows.ts';
import { LEASE_MS, MOST_LEAD_MS, PING_MS } from './terms.ts';
import type { World } from './world.ts';

/** A token as an agent has it. */
export interface HeldByAgent {
  readonly taskId: string;
  readonly jtiDigest: string;
  readonly generation: number;
}

/** What a sidecar knows of a token now, as `SidecarFeed.of` tells it. */
type Known = UseState | undefined | 'unknown' | 'stale';

interface Attempt extends HeldByAgent {
  readonly kind: UseKind;
}

/** A call gives up after this long, and a settle is sent to a second authority meanwhile. */
const DEADLINE_MS = 250;
const HEDGED_MS = 40;
/** How many calls prove not to be sent, and until when; and how often what is given back is asked for again. */
const UNSENT = 0.1;
const UNSENT_WITHIN_MS = 600;
const ASKED_AGAIN = 0.2;
/** A stream that renews nothing for this long is closed. */
const SILENCE_MS = 3 * PING_MS;

const nobody = { version: '', policy_set: '', log: null };

/** One life of a sidecar: the shell round a `SidecarFeed`. */
export class Sidecar {
  readonly party: Party;
  readonly #world: World;
  readonly #name: string;
  readonly #feed: SidecarFeed;
  #authority: Authority | null = null;
  #stream: Stream<Up, Down> | null = null;
  #writer: Writer<Up> | null = null;
  #freshMs = 0;
  readonly #pings = new Map<number, number>();
  /** With the mistake `lease-from-answer`: how much longer the lease is taken to be. */
  #lagMs = 0;
  #decisions = 0;
  readonly #shares: SidecarShares;
  /** Of the database that it followed last. */
  #epoch = '';

  constructor(world: World, place: string, life: number) {
    this.#world = world;
    this.#name = `${place}#${life}`;
    this.party = new Party(place, world);
    if (world.hasWindows && world.random.chance(0.5)) this.party.leadMs = world.random.between(0, MOST_LEAD_MS);
    this.#feed = new SidecarFeed({ instance: this.#name, maxCards: world.maxCards });
    this.#shares = new SidecarShares(world, {
      name: this.#name,
      party: this.party,
      lender: {
        settle: (use, then) => this.#settle(use, then),
        giveBack: (use, part) => this.#giveBack(use, part),
        hasEnded: (key, jtiDigest) => this.#hasEnded({ taskId: key.id, jtiDigest }),
      },
    });
    this.#connect();
    this.party.every(PING_MS, () => this.#ping());
  }

  /** Whether it has processed the feed up to a head. */
  hasSeen(head: number, mark: string): boolean {
    return this.party.isRunning && this.#feed.position?.seq === head && this.#feed.position.mark === mark;
  }

  /** An agent uses a token. `then` hears whether it was allowed. */
  use(attempt: Attempt, then: (isAllowed: boolean) => void = () => undefined): void {
    const token: TokenKey = { key: { issuer: ISSUER, id: attempt.taskId }, jti_digest: attempt.jtiDigest };
    const state = this.#of(attempt);
    if (state === 'unknown') {
      if (!this.#feed.isFollowing) return then(false);
      return this.#open([token], () => this.#decide(attempt, this.#of(attempt), then));
    }
    this.#decide(attempt, state, then);
  }

  /** A call to a server without a task: allowed with a lease, unless the server is stopped. */
  bare(server: string): void {
    const isStale = this.#feed.leaseLeftMs(this.#now()) <= 0;
    if (isStale && this.#world.mistake !== 'stale-orders-used') return;
    if (this.#isStopped(server)) return;
    this.#world.promise.bareUse(this.#name, server);
  }

  /** Ids of tasks that it holds, and of whose changes its authority would not tell it. Its stream is of no use afterwards. */
  untold(): readonly string[] {
    const authority = this.#authority;
    if (authority === null || !this.#feed.isFollowing) return [];
    const { held } = this.#feed.hello(nobody);
    return held.filter(({ key }) => !authority.knowsOf(this.#name, key)).map(({ key }) => key.id);
  }

  /** The process ends. The kernel closes its connections. */
  end(): void {
    this.party.end();
    this.#writer?.close();
  }

  #of({ taskId, jtiDigest }: HeldByAgent): Known {
    return this.#feed.of({ issuer: ISSUER, id: taskId }, jtiDigest, this.#now());
  }

  #now(): Moment {
    return { monotonicMs: this.party.monotonicMs() - this.#lagMs, wallMs: this.#wallMs() - this.#lagMs };
  }

  #wallMs(): number {
    return this.#world.mistake === 'monotonic-lease' ? 0 : this.party.wallMs();
  }

  #decide(attempt: Attempt, state: Known, then: (isAllowed: boolean) => void): void {
    const isOfShares = this.#world.hasShares && attempt.kind === 'call';
    const isLeaseIgnored = isOfShares && state === 'stale' && this.#world.mistake === 'share-over-lease';
    if (isLeaseIgnored && this.#spend(attempt)) return then(true);
    if (!this.#permits(attempt, state)) return then(false);
    // Within a share nothing is asked.
    if (isOfShares && this.#spend(attempt)) return then(true);
    if (attempt.kind === 'plain') {
      this.#allowed(attempt, this.#world.schedule.nowMs);
      return then(true);
    }
    if (attempt.kind === 'send' && state.history.labels.includes('secret')) return then(false);
    const decidedMs = this.#world.schedule.nowMs;
    this.#decisions += 1;
    const decisionId = `${this.#name}/${this.#decisions}`;
    const call = callOf(this.#world);
    const isOfLimit = attempt.kind === 'call' && this.#world.hasWindows;
    this.#settle(
      { ...useOf(attempt, { decisionId, version: state.history.version, call }), isOfLimit },
      ({ problem, card, position }) => {
        if (card !== null && position !== null) this.#feed.settled(card, position);
        if (problem === null && attempt.kind === 'once') this.#world.recorded(() => recordOfUse(decisionId), decidedMs);
        // The last look before the answer: the task may have ended meanwhile.
        if (problem !== null || !this.#permits(attempt, this.#of(attempt))) return then(false);
        this.#allowed(attempt, decidedMs);
        then(true);
      },
    );
  }

  /** Whether a call is within a share, and allowed. Of some it proves later that they were not sent. */
  #spend(attempt: Attempt): boolean {
    const held = this.#shares.spend(attempt.taskId, attempt.jtiDigest);
    if (held === null) return false;
    const { promise, random, schedule } = this.#world;
    const decidedMs = schedule.nowMs;
    const isCounted = this.#allowed(attempt, decidedMs);
    if (isCounted && random.chance(UNSENT))
      this.party.after(random.between(0, UNSENT_WITHIN_MS), () => {
        if (this.#shares.putBack(held)) promise.unsent(attempt.taskId, decidedMs);
      });
    return true;
  }

  #hasEnded(token: Pick<HeldByAgent, 'taskId' | 'jtiDigest'>): boolean {
    const held = this.#of({ ...token, generation: 1 });
    return held !== undefined && typeof held !== 'string' && !isOpen(held.task.state);
  }

  #isStopped(server: string): boolean {
    const wallMs = this.party.wallMs();
    return this.#feed.orders.stopOf('server', server, { wallMs, floorMs: wallMs }) !== null;
  }

  #permits({ kind, taskId }: Attempt, state: Known): state is UseState {
    if (state === undefined || typeof state === 'string' || state.issued === undefined) return false;
    const { task, issued } = state;
    return (
      stateAt(task, this.party.wallMs()) === 'active' &&
      tokenProblem(task, issued) === null &&
      !this.#isStopped(serverOf(rootOf(taskId))) &&
      (kind !== 'plain' || task.risk !== 'high')
    );
  }

  /** Whether it counts towards what is promised of calls. */
  #allowed({ kind, taskId, jtiDigest, generation }: Attempt, decidedMs: number): boolean {
    const use = { sidecar: this.#name, taskId, root: rootOf(taskId), jtiDigest, generation, kind, decidedMs };
    return this.#world.promise.use(use, LEASE_MS * 1.1);
  }

  #open(tokens: readonly TokenKey[], then: () => void): void {
    const { mistake } = this.#world;
    const request = this.#feed.open(tokens);
    // A connection that breaks while it is used.
    const { random, resets } = this.#world;
    if (random.chance(resets)) this.party.after(random.between(0, 20), () => this.#stream?.reset());
    this.#call<OpenReply | null>({
      authority: mistake === 'opened-elsewhere' ? this.#world.anyAuthority() : this.#authority,
      ask: (authority, reply) => authority.open(request, reply),
      lost: null,
      onAnswer: (reply) => {
        if (mistake === 'older-card-applied' && reply !== null)
          this.#feed.opened(request, { ...reply, position: this.#feed.position });
        else this.#feed.opened(request, reply);
        this.#sendDropped();
        then();
      },
    });
  }

  /** The same use to a second authority where the first is slow: it counts once. */
  #settle(use: TaskUse, then: (settled: Settled) => void): void {
    const unavailable: Settled = { problem: 'unavailable', card: null, position: null };
    let open = 1;
    let isDone = false;
    const answered = (settled: Settled): void => {
      open -= 1;
      if (isDone || (settled.problem === 'unavailable' && open > 0)) return;
      isDone = true;
      then(settled);
    };
    const ask = (authority: Authority | null): void =>
      this.#call({ authority, ask: (to, reply) => to.settle(use, reply), lost: unavailable, onAnswer: answered });
    ask(this.#authority);
    this.party.after(HEDGED_MS, () => {
      if (isDone) return;
      open += 1;
      ask(this.#world.anyAuthority());
    });
  }

  /** A share that does not arrive stays spent. It is asked again now and then, since no answer may have come. */
  #giveBack(use: TaskUse, part: GivenPart): void {
    const authority = this.#authority;
    if (authority === null) return;
    const ask = (): void =>
      this.#world.network.send(this.party.place, authority.party, () => authority.giveBack(use, part));
    ask();
    if (this.#world.random.chance(ASKED_AGAIN)) this.party.after(HEDGED_MS, ask);
  }

  #call<T>({
    authority,
    ask,
    lost,
    onAnswer,
  }: {
    readonly authority: Authority | null;
    readonly ask: (authority: Authority, reply: (answer: T) => void) => void;
    readonly lost: T;
    readonly onAnswer: (answer: T) => void;
  }): void {
    const call = new Call(this.party, { patienceMs: DEADLINE_MS, lost, onAnswer });
    if (authority === null) return;
    const { network } = this.#world;
    const { place } = authority.party;
    network.send(this.party.place, authority.party, () =>
      ask(authority, (answer) => network.send(place, this.party, () => call.tell(answer))),
    );
  }

  #connect(): void {
    this.#authority = this.#world.anyAuthority(this.#authority?.party.place);
    this.#freshMs = this.party.monotonicMs();
    if (this.#authority === null) return this.#reconnect();
    const stream: Stream<Up, Down> = this.#authority.accept({
      party: this.party,
      heard: (down) => {
        if (this.#stream === stream) this.#heard(down);
      },
      closed: () => {
        if (this.#stream === stream) this.#disconnected();
      },
    });
    this.#stream = stream;
    this.#writer = stream.client;
    this.#writer.send({ of: 'hello', hello: this.#feed.hello(nobody) });
  }

  #disconnected(): void {
    this.#writer?.close();
    this.#stream = null;
    this.#writer = null;
    this.#feed.disconnected();
    this.#reconnect();
  }

  #reconnect(): void {
    this.party.after(this.#world.random.between(1, 60), () => {
      if (this.#stream === null) this.#connect();
    });
  }

  #ping(): void {
    if (this.#stream === null) return;
    const nowMs = this.party.monotonicMs();
    if (nowMs - this.#freshMs > SILENCE_MS) return this.#disconnected();
    if (!this.#feed.isFollowing) return;
    const ping = this.#feed.ping({ monotonicMs: nowMs, wallMs: this.#wallMs() }, null);
    this.#pings.set(ping.n, nowMs);
    this.#writer?.send({ of: 'ping', ping });
    this.#sendDropped();
  }

  #heard(down: Down): void {
    this.#world.promise.heard(this.#name);
    const ups = this.#feed.heard(down);
    if (down.of === 'changes') this.#shares.ended();
    if (ups === 'resync') return this.#disconnected();
    for (const up of ups) this.#writer?.send(up);
    if (down.of === 'welcome') this.#welcomed(down.welcome.position.epoch);
    if (down.of === 'fresh') {
      this.#shares.heard(down.fresh.now_ms);
      this.#refreshed(down.fresh.n);
    }
  }

  #welcomed(epoch: string): void {
    if (this.#epoch !== '' && this.#epoch !== epoch) this.#shares.forget();
    this.#epoch = epoch;
    this.#ping();
  }

  #refreshed(n: number): void {
    const nowMs = this.party.monotonicMs();
    this.#freshMs = nowMs;
    if (this.#world.mistake === 'lease-from-answer') this.#lagMs = nowMs - (this.#pings.get(n) ?? nowMs);
    this.#pings.delete(n);
  }

  #sendDropped(): void {
    const isUnnumbered = this.#world.mistake === 'dropped-without-number';
    for (const dropped of this.#feed.dropped()) {
      this.#writer?.send({
        of: 'dropped',
        dropped: isUnnumbered ? { ...dropped, n: Number.MAX_SAFE_INTEGER } : dropped,
      });
    }
  }
}

function useOf(
  { kind, taskId, jtiDigest }: Attempt,
  { decisionId, version, call }: { readonly decisionId: string; readonly version: number; readonly call: TaskSpend },
): TaskUse {
  const spends: readonly TaskSpend[] =
    kind === 'call' ? [call] : kind === 'once' ? [{ kind: 'single-use', name: jtiDigest }] : [];
  const labels = kind === 'read' ? ['secret'] : [];
  const entry = kind === 'read' || kind === 'send' ? { entry: { version, action: kind, labels } } : {};
  return { decisionId, key: { issuer: ISSUER, id: taskId }, jtiDigest, spends, ...entry };
}
