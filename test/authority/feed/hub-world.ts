import { cardOf } from '../../../src/core/fleet/card.ts';
import type { Card, Down, TaskKeyMessage } from '../../../src/core/fleet/messages.ts';
import { FeedHub } from '../../../src/authority/feed/hub/feed-hub.ts';
import type { CardToRead } from '../../../src/authority/feed/sidecar-stream.ts';
import type { FeedChange } from '../../../src/core/state/feed.ts';
import { KEYS_ROOT } from '../../../src/core/state/shared-keys.ts';
import { noHistory } from '../../../src/core/task/history.ts';
import { taskNumber } from '../../builders/task.ts';

export const LEASE_MS = 5_000;
const MARGIN_MS = 250;
const ROOTS = 3;
const TASKS = 2 * ROOTS;

type Next = (bound: number) => number;
type Rights = 'all' | 'some';

interface HeldCard {
  readonly root: number;
  /** The change that the card was read after. */
  readonly version: number;
  readonly at: number;
}

interface Ended {
  readonly root: number;
  readonly seq: number;
}

/** A sidecar that does what the protocol asks of it, and nothing else. */
class Sidecar {
  readonly id: string;
  readonly cards = new Map<number, HeldCard>();
  readonly early = new Map<number, HeldCard>();
  /** Tasks that were said to be gone on this connection, and as of when. */
  readonly gone = new Map<number, number>();
  /** What the authority has sent, and what it has not heard yet. */
  down: Down[] = [];
  up: (() => void)[] = [];
  /** Opens without their reply yet. */
  readonly inFlight = new Set<number>();
  replies: { readonly life: number; readonly n: number; readonly card: { task: number; held: HeldCard } | null }[] = [];
  life = 0;
  opens = 0;
  position: number | null = null;
  /** The change of keys by which it verifies tokens. */
  keys = 0;
  isConnected = false;
  /** With which it connected last. With fewer rights each other task is not there for it. */
  rights: Rights = 'all';
  pings = new Map<number, number>();
  lastPing = 0;
  leaseUntilMs = -Infinity;

  constructor(id: string) {
    this.id = id;
  }

  /** A card of `Changes`. One that came before the reply of its open counts from that reply on; any other that is not held is void. */
  changed(task: number, held: HeldCard): void {
    const cards = this.cards.has(task) ? this.cards : this.early;
    if (held.at >= (cards.get(task)?.at ?? 0)) cards.set(task, held);
  }

  /** `false` if it drops the card: what is gone does not come back by a reply that was read before. */
  opened(task: number, held: HeldCard): boolean {
    if ((this.gone.get(task) ?? -1) >= held.at) return false;
    const newest = [held, this.cards.get(task), this.early.get(task)]
      .flatMap((card) => card ?? [])
      .reduce((a, b) => (b.at > a.at ? b : a));
    this.early.delete(task);
    this.cards.set(task, newest);
    return true;
  }
}

const taskNumbered = (n: number): TaskKeyMessage => {
  const { issuer, id } = taskNumber(n + 1);
  return { issuer, id };
};
const numberOf = new Map(Array.from({ length: TASKS }, (_, n) => [taskNumbered(n).id, n]));
const rootOf = (task: number): number => task % ROOTS;
/** The root of changes of keys. */
const KEYS = ROOTS;
const rootText = (root: number): string => (root === KEYS ? KEYS_ROOT : `root-${root}`);

/** One authority with a model database and two sidecars; any step may happen at any time. */
export class HubWorld {
  readonly hub: FeedHub;
  nowMs = 0;
  readonly feed: FeedChange[] = [];
  readonly versions = Array.from({ length: ROOTS }, () => 0);
  keys = 0;
  /** Tasks whose cards nobody gets at the moment, as those of rows that no authority has written. */
  readonly #unreadable = new Set<number>();
  readonly sidecars = [new Sidecar('a'), new Sidecar('b')];
  /** Changes that are not enforced yet. */
  pending: readonly Ended[] = [];
  /** The last enforced change of each root. */
  readonly #enforced: number[] = [];
  #reads: {
    readonly id: string;
    readonly read: readonly CardToRead[];
    readonly cards: (Card | null)[] | null;
    readonly head: number;
  }[] = [];
  #opens: {
    readonly sidecar: Sidecar;
    readonly life: number;
    readonly task: number;
    readonly n: number;
    /** Whether there is such a token for the sidecar. */
    isThere: boolean;
    head: number | null;
    version: number;
  }[] = [];
  #beats: { readonly beat: number; readonly head: number }[] = [];

  constructor() {
    this.hub = new FeedHub({
      epoch: 'e',
      position: 0,
      leaseMs: LEASE_MS,
      marginMs: MARGIN_MS,
      maxHeld: 100,
      maxHeldInAll: 100_000,
      inheritedUntilMs: 0,
    });
  }

  /** Each step with how often it is chosen. */
  readonly #steps: readonly (readonly [weight: number, step: (next: Next) => void])[] = [
    [3, (next) => this.change(next(ROOTS))],
    [1, () => this.changeKeys()],
    [1, (next) => this.toggleReadable(next(TASKS))],
    [6, () => this.poll()],
    [4, (next) => this.startOpen(this.#any(next), next(TASKS), next(4) > 0)],
    [6, (next) => this.readOpen(next)],
    [6, (next) => this.finishOpen(next)],
    [6, (next) => this.hearReply(this.#any(next))],
    [12, (next) => this.hearDown(this.#any(next))],
    [12, (next) => this.hearUp(this.#any(next))],
    [6, (next) => this.ping(this.#any(next))],
    [3, () => this.beat()],
    [4, () => this.commitBeat()],
    [4, () => this.askDue()],
    [6, () => this.readDue()],
    [6, () => this.sendDue()],
    [1, (next) => this.disconnect(this.#any(next))],
    [2, (next) => this.connect(this.#any(next), next(4) === 0 ? 'some' : 'all')],
    [2, (next) => this.drop(this.#any(next), next(TASKS))],
    [6, (next) => (this.nowMs += [1, 10, 100, 400, 2_000][next(5)] ?? 0)],
  ];
  readonly #weighted = this.#steps.flatMap(([weight, step]) => Array.from({ length: weight }, () => step));

  step(next: Next): void {
    this.#weighted[next(this.#weighted.length)]?.(next);
  }

  /** A use of an older state after an enforced change, in words; `null` where there is none. */
  violation(): readonly [string] | null {
    this.pending = this.pending.filter(({ root, seq }) => {
      const { enforced } = this.hub.receipt(Math.max(seq, this.hub.position), rootText(root), this.nowMs);
      if (enforced) this.#enforced[root] = seq;
      return !enforced;
    });
    this.#deliver();
    for (const { id, cards, keys, leaseUntilMs } of this.sidecars) {
      if (this.nowMs >= leaseUntilMs) continue;
      const ofKeys = this.#enforced[KEYS] ?? 0;
      if (keys < ofKeys) return [`${id} verifies by the keys of ${keys} after ${ofKeys}`];
      for (const [task, { root, version }] of cards) {
        const seq = this.#enforced[root] ?? 0;
        if (version < seq) return [`${id} uses task ${task} as of ${version} after ${seq}`];
      }
    }
    return null;
  }

  change(root: number): void {
    this.feed.push({ root: rootText(root), part: 'task' });
    this.versions[root] = this.feed.length;
    this.pending = [...this.pending, { root, seq: this.feed.length }];
  }

  toggleReadable(task: number): void {
    if (!this.#unreadable.delete(task)) this.#unreadable.add(task);
  }

  changeKeys(): void {
    this.feed.push({ root: KEYS_ROOT, part: 'keys' });
    this.keys = this.feed.length;
    this.pending = [...this.pending, { root: KEYS, seq: this.feed.length }];
  }

  poll(): void {
    // The keys are read and sent before their change is processed.
    if (this.feed.slice(this.hub.position).some(({ part }) => part === 'keys')) {
      for (const sidecar of this.sidecars) if (sidecar.isConnected) this.#sendKeys(sidecar);
    }
    this.hub.changed(this.feed.slice(this.hub.position), { seq: this.feed.length, mark: '' }, this.nowMs);
    this.#deliver();
  }

  startOpen(sidecar: Sidecar, task: number, isThere: boolean): void {
    if (!sidecar.isConnected) return;
    sidecar.opens += 1;
    sidecar.inFlight.add(sidecar.opens);
    this.hub.noting(sidecar.id, [{ key: taskNumbered(task), jti_digest: isThere ? 'j' : 'none' }], sidecar.opens);
    this.#opens.push({ sidecar, life: sidecar.life, task, n: sidecar.opens, isThere, head: null, version: 0 });
  }

  readOpen(next: Next): void {
    const open = this.#opens[next(this.#opens.length)];
    if (open === undefined) return;
    open.head = this.feed.length;
    open.isThere &&= this.#isThere(open.task, open.sidecar);
    open.version = this.versions[rootOf(open.task)] ?? 0;
  }

  finishOpen(next: Next): void {
    const at = next(this.#opens.length);
    const open = this.#opens[at];
    if (open === undefined || open.head === null) return;
    const { sidecar, life, task, n, isThere, head, version } = open;
    const root = rootOf(task);
    const token = { key: taskNumbered(task), jti_digest: 'j' };
    const answer = this.hub.noted(sidecar.id, [{ token, root: isThere ? rootText(root) : null }], { n, seq: head });
    if (answer === 'again') open.head = null;
    else this.#opens.splice(at, 1);
    const card = isThere ? { task, held: { root, version, at: head } } : null;
    if (answer === 'ok') sidecar.replies.push({ life, n, card });
  }

  hearReply(sidecar: Sidecar): void {
    const reply = sidecar.replies.shift();
    // An open that began before the connection was lost is void.
    if (reply !== undefined) sidecar.inFlight.delete(reply.n);
    if (reply?.life !== sidecar.life || reply.card === null) return;
    const { task, held } = reply.card;
    if (!sidecar.opened(task, held)) this.#sendDropped(sidecar, task);
  }

  hearDown(sidecar: Sidecar): void {
    const down = sidecar.down.shift();
    if (down?.of === 'changes') {
      const { from, to, cards, at, gone } = down.changes;
      if (from !== sidecar.position) throw new Error(`gap: at ${sidecar.position}, from ${from}`);
      for (const { task } of cards) {
        const n = numberOf.get(task.id) ?? -1;
        sidecar.changed(n, { root: rootOf(n), version: task.generation, at });
      }
      for (const { id } of gone) {
        const n = numberOf.get(id) ?? -1;
        if ((sidecar.cards.get(n)?.at ?? 0) <= at) sidecar.cards.delete(n);
        sidecar.early.delete(n);
        sidecar.gone.set(n, at);
      }
      sidecar.position = to;
      sidecar.up.push(() => this.hub.ack(sidecar.id, to) || fail());
    } else if (down?.of === 'keys') sidecar.keys = Number(down.keys.issuer);
    else if (down?.of === 'fresh') {
      const { n, position } = down.fresh;
      if (position.seq !== sidecar.position) throw new Error(`fresh at ${position.seq}, position ${sidecar.position}`);
      sidecar.leaseUntilMs = Math.max(sidecar.leaseUntilMs, (sidecar.pings.get(n) ?? -Infinity) + LEASE_MS);
    }
  }

  hearUp(sidecar: Sidecar): void {
    sidecar.up.shift()?.();
    this.#deliver();
  }

  ping(sidecar: Sidecar): void {
    if (!sidecar.isConnected) return;
    sidecar.lastPing += 1;
    const n = sidecar.lastPing;
    sidecar.pings.set(n, this.nowMs);
    sidecar.up.push(() => this.hub.ping(sidecar.id, n, this.nowMs));
  }

  beat(): void {
    this.#beats.push({ beat: this.hub.beatBegins(), head: this.feed.length });
  }

  commitBeat(): void {
    const beat = this.#beats.shift();
    if (beat !== undefined) this.hub.beatCommitted(beat.beat, beat.head, this.nowMs);
    this.#deliver();
  }

  askDue(): void {
    for (const [id, read] of this.hub.due()) this.#reads.push({ id, read, cards: null, head: 0 });
  }

  readDue(): void {
    this.#reads = this.#reads.map((one) =>
      one.cards === null
        ? { ...one, cards: one.read.map(({ key }) => this.#card(key, one.id)), head: this.feed.length }
        : one,
    );
  }

  sendDue(): void {
    const [first, ...rest] = this.#reads;
    if (first === undefined || first.cards === null) return;
    this.#reads = rest;
    this.hub.send(first.id, first.read, { cards: first.cards, head: first.head });
    this.#deliver();
  }

  disconnect(sidecar: Sidecar): void {
    sidecar.isConnected = false;
    sidecar.life += 1;
    sidecar.inFlight.clear();
    sidecar.early.clear();
    sidecar.gone.clear();
    sidecar.down = [];
    sidecar.up = [];
    this.hub.disconnect(sidecar.id, this.nowMs);
  }

  connect(sidecar: Sidecar, rights = sidecar.rights): void {
    this.disconnect(sidecar);
    sidecar.rights = rights;
    this.poll();
    const held = [...sidecar.cards.keys()].map((task) => ({
      key: taskNumbered(task),
      jti_digests: ['j'],
      state: '',
      generation: 0,
      history_version: 0,
    }));
    const resume = sidecar.position === null ? null : { epoch: 'e', seq: sidecar.position, mark: '' };
    const position = this.hub.connect(sidecar.id, { held, resume, rights }, this.nowMs);
    if (typeof position === 'string') throw new Error(position);
    sidecar.position = position.seq;
    sidecar.isConnected = true;
    this.#sendKeys(sidecar);
    this.#deliver();
  }

  drop(sidecar: Sidecar, task: number): void {
    const held = sidecar.cards.get(task);
    if (held === undefined) return;
    sidecar.cards.delete(task);
    // A reply that is on its way may be older.
    sidecar.early.set(task, held);
    if (sidecar.isConnected) this.#sendDropped(sidecar, task);
  }

  #sendDropped(sidecar: Sidecar, task: number): void {
    // Up to there no reply is on its way that would bring the card back.
    const n = Math.min(sidecar.opens + 1, ...sidecar.inFlight) - 1;
    sidecar.up.push(() => this.hub.dropped(sidecar.id, [taskNumbered(task)], n));
  }

  /** Everything works for a while. */
  settle(): void {
    for (const sidecar of this.sidecars) if (!sidecar.isConnected) this.connect(sidecar);
    for (const sidecar of this.sidecars) this.ping(sidecar);
    for (let round = 0; round < 8; round += 1) {
      for (const sidecar of this.sidecars) while (sidecar.up.length > 0) this.hearUp(sidecar);
      this.beat();
      this.poll();
      this.askDue();
      this.readDue();
      while (this.#reads.length > 0) this.sendDue();
      while (this.#beats.length > 0) this.commitBeat();
      for (const sidecar of this.sidecars) while (sidecar.down.length > 0) this.hearDown(sidecar);
    }
  }

  #sendKeys(sidecar: Sidecar): void {
    sidecar.down.push({ of: 'keys', keys: { issuer: String(this.keys), jwks: Buffer.alloc(0) } });
  }

  #isThere(task: number, { rights }: Sidecar): boolean {
    return !this.#unreadable.has(task) && (rights === 'all' || task % 2 === 0);
  }

  #card(key: TaskKeyMessage, id: string): Card | null {
    const n = numberOf.get(key.id);
    const sidecar = this.sidecars.find((one) => one.id === id);
    if (n === undefined || sidecar === undefined || !this.#isThere(n, sidecar)) return null;
    const root = rootOf(n);
    const task = taskNumber(n + 1, { generation: this.versions[root] ?? 0 });
    return cardOf({ task, root: rootText(root), tokens: new Map(), history: noHistory });
  }

  #deliver(): void {
    for (const [id, downs] of this.hub.outgoing()) {
      const sidecar = this.sidecars.find((one) => one.id === id);
      if (sidecar?.isConnected === true) sidecar.down.push(...downs);
    }
  }

  #any(next: Next): Sidecar {
    return this.sidecars[next(this.sidecars.length)] ?? fail();
  }
}

function fail(): never {
  throw new Error('the hub refused what it had sent');
}
