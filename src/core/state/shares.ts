import { UUID_RANDOM_BYTES, uuidV7 } from '../decision/uuid.ts';
import type { Ports } from '../runtime/ports.ts';
import type { After } from '../runtime/timers.ts';
import { Share } from './share.ts';
import { countedOf, isLendable, ofNothing, shareEndOf, shareName, takenFromShare } from './share-counter.ts';
import type { ShareClocks } from './share-counter.ts';
import type { SettledUse, Settlement, Settling } from './settling.ts';
import type { Spend } from './spend.ts';
import { isStoreFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import type { TaskKey, UnsentUse } from './store.ts';
import { withLent } from './writes/settlement.ts';

/** The owner of loans of limits over all tasks: no task. */
const withoutTask = { key: null, jtiDigest: '' } as const;
/** Most counters of which a share is held, or the uses are counted. Beyond it the least recently used is given back. */
const MAX_SHARES = 16_384;
/** Loans are asked for together: no check waits for them. */
const ASK_MS = 10;
/** A share that was not used for so long is given back. */
const IDLE_MS = 10_000;
const SWEEP_MS = 2_000;
/** Waits before a loan whose result is unknown is asked for again by the same id. */
const PAUSES_MS: readonly number[] = [250, 1_000, 2_000, 4_000];
/** Longest wait for what is lent or given back, before a use is tried again or the process ends. */
const RETURN_MS = 400;

/** Options of shares. */
export interface SharesOptions {
  readonly ports: Pick<Ports, 'monotonicMs' | 'randomBytes'>;
  /** The clocks by which uses are decided: they say in which window of a limit a share may be spent. */
  readonly clocks: () => ShareClocks;
  readonly after: After;
}

/** A counter of a task, or of a limit over all tasks in one window. */
interface Counter {
  readonly name: string;
  /** `null` of a limit. */
  readonly key: TaskKey | null;
  /** By which token of the task loans are asked for: the token that was used last. */
  jtiDigest: string;
  /** A spend of nothing on it. */
  readonly spend: Spend;
  /** The end of its window; `Infinity` of a budget. */
  readonly endsMs: number;
  readonly share: Share;
  /** Pending while a loan is asked for; `null` otherwise. */
  borrowing: Promise<void> | null;
}

/**
 * Settles uses from what this process was lent of their budgets, without waiting, and all others by the state. A share counts as spent at the
 * authority until it is given back, so a budget is never exceeded. What a process has not spent when it is killed stays spent: the budget is
 * short by that. Shares shrink as a budget comes near its limit, and nothing is lent of less than 16.
 *
 * Lifecycle: `close` once, which gives all shares back; from then on each use is settled by itself.
 */
export class Shares implements Settling {
  readonly #settling: Settling;
  readonly #options: SharesOptions;
  /** By task, counter and limit, least recently used first, to about four seconds. */
  readonly #counters = new Map<string, Counter>();
  #due = new Set<Counter>();
  /** Until all shares are given back; `null` until `close`. */
  #closing: Promise<void> | null = null;
  /** Incremented each time all shares are forgotten. */
  #life = 0;
  #cancelSweep: () => void;

  constructor(settling: Settling, options: SharesOptions) {
    this.#settling = settling;
    this.#options = options;
    this.#cancelSweep = options.after(SWEEP_MS, () => this.#sweep());
  }

  settleNow(use: SettledUse): UnsentUse | null {
    const { decisionId, key, jtiDigest, spends } = use;
    if (this.#closing !== null || spends.length === 0 || !spends.every(isLendable)) return null;
    const nowMs = this.#options.ports.monotonicMs();
    const taken: { readonly amount: number; readonly counted: number; readonly counter: Counter }[] = [];
    const clocks = this.#options.clocks();
    for (const spend of spends) {
      const counter = this.#counter(use, spend, clocks);
      if (counter === null) return null;
      taken.push({ amount: takenFromShare(spend), counted: countedOf(spend), counter });
    }
    for (const { counted, counter } of taken) this.#used(counter, counted, nowMs);
    // A use may take twice from one counter.
    const isCovered =
      taken.every(({ amount, counter }) => counter.share.left >= amount) &&
      new Set(taken.map(({ counter }) => counter)).size === taken.length;
    if (isCovered) for (const { amount, counter } of taken) counter.share.spend(amount);
    for (const { counter } of taken) this.#ask(counter, nowMs);
    if (!isCovered) return null;
    const sharesOf = { life: this.#life, untilMs: shareEndOf(spends, clocks), left: leftOfLimits(taken) };
    return { decisionId, key, jtiDigest, spends, sharesOf };
  }

  /** Settles a use by the state. If a budget has too little left, what this process holds of it is given back first. */
  async settle(use: SettledUse): Promise<Settlement> {
    const settled = await this.#settling.settle(use);
    if (typeof settled !== 'object' || settled === null || !('problem' in settled)) return settled;
    const clocks = this.#options.clocks();
    const held = use.spends.flatMap((spend) => this.#counters.get(shareName(use.key, spend, clocks) ?? '') ?? []);
    const borrowing = held.flatMap((counter) => counter.borrowing ?? []);
    if (borrowing.length > 0) await Promise.race([Promise.all(borrowing), this.#pause(RETURN_MS)]);
    if (held.every(({ share }) => share.left === 0)) return settled;
    await this.#returned(held);
    return this.#settling.settle(use);
  }

  async giveBack(use: UnsentUse): Promise<boolean | StoreFailure> {
    if (use.sharesOf === undefined) return this.#settling.giveBack(use);
    // It stays spent: what was lent was given back by its id, or the state no longer knows of it.
    const { life, untilMs } = use.sharesOf;
    if (this.#closing !== null || life !== this.#life) return false;
    const clocks = this.#options.clocks();
    for (const spend of use.spends) {
      // Nothing goes into a later window of a limit.
      if (spend.kind === 'limit' && Math.max(clocks.wallMs, clocks.floorMs) >= untilMs) continue;
      this.#counter(use, spend, clocks)?.share.putBack(takenFromShare(spend));
    }
    return true;
  }

  /** Forgets all shares: this is another database, or an earlier state of it, which may not know what was lent. */
  forget(): void {
    this.#life += 1;
    this.#counters.clear();
  }

  /** Gives all shares back, and asks for no more loans. Idempotent. Resolves once that is done, or after 400 ms. */
  close(): Promise<void> {
    this.#closing ??= this.#returned([...this.#counters.values()]);
    this.#cancelSweep();
    this.#counters.clear();
    return this.#closing;
  }

  /** `null` if the clocks do not agree on the window of a limit. */
  #counter(use: Pick<SettledUse, 'key' | 'jtiDigest'>, spend: Spend, clocks: ShareClocks): Counter | null {
    const name = shareName(use.key, spend, clocks);
    if (name === null) return null;
    const { key, jtiDigest } = spend.kind === 'limit' || use.key === null ? withoutTask : { ...use, key: use.key };
    const known = this.#counters.get(name);
    if (known !== undefined) {
      known.jtiDigest = jtiDigest;
      return known;
    }
    const [oldest] = this.#counters.size >= MAX_SHARES ? this.#counters : [];
    if (oldest !== undefined) {
      this.#counters.delete(oldest[0]);
      void this.#returned([oldest[1]]);
    }
    const ownKey = key && { issuer: key.issuer, id: key.id };
    const ofCounter = { name, key: ownKey, spend: ofNothing(spend), endsMs: shareEndOf([spend], clocks) };
    const counter = { ...ofCounter, jtiDigest, share: new Share(), borrowing: null };
    this.#counters.set(name, counter);
    return counter;
  }

  #used(counter: Counter, amount: number, nowMs: number): void {
    if (!counter.share.used(amount, nowMs)) return;
    this.#counters.delete(counter.name);
    this.#counters.set(counter.name, counter);
  }

  /** Asks for a loan, if that is due, together with others. */
  #ask(counter: Counter, nowMs: number): void {
    if (counter.share.wanted(nowMs) === 0) return;
    counter.share.isAsked = true;
    this.#due.add(counter);
    if (this.#due.size === 1) this.#options.after(ASK_MS, () => this.#askAll());
  }

  #askAll(): void {
    const due = this.#due;
    this.#due = new Set();
    for (const counter of due)
      counter.borrowing = this.#borrow(counter)
        .catch(() => undefined)
        .then(() => void (counter.borrowing = null));
  }

  async #borrow(counter: Counter): Promise<void> {
    const { clocks: clocksNow, ports } = this.#options;
    const { monotonicMs, randomBytes } = ports;
    const { name, key, jtiDigest, spend, share } = counter;
    share.isAsked = false;
    const atMs = monotonicMs();
    const wanted = share.wanted(atMs);
    const clocks = clocksNow();
    if (wanted === 0 || this.#closing !== null || shareName(key, spend, clocks) !== name) return;
    share.isAsked = true;
    // INVARIANT: its time is in the window in which the loan is spent, since a state lends none of another window.
    const id = uuidV7(clocks.wallMs, randomBytes(UUID_RANDOM_BYTES));
    const loan = { decisionId: id, key, jtiDigest, spends: [spend], ahead: [wanted] };
    let settled = await this.#settling.settle(loan);
    for (const pauseMs of PAUSES_MS) {
      if (!isStoreFailure(settled) || this.#closing !== null) break;
      await this.#pause(pauseMs);
      settled = await this.#settling.settle(loan);
    }
    const lent = typeof settled === 'object' && settled !== null && 'lent' in settled ? settled.lent : null;
    const amount = lent?.[0] ?? 0;
    // A limit also lends nothing while its state is in another window: it is asked again.
    if (lent === null || (amount === 0 && spend.kind === 'limit')) share.refused(monotonicMs());
    else share.lent({ id, amount, atMs }, wanted);
    // The counter was removed meanwhile, so what it got is given back.
    if (this.#counters.get(counter.name) !== counter) await this.#returned([counter]);
  }

  #sweep(): void {
    const nowMs = this.#options.ports.monotonicMs();
    const idle: Counter[] = [];
    for (const [name, counter] of this.#counters) {
      if (nowMs - counter.share.usedMs < IDLE_MS) break;
      this.#counters.delete(name);
      idle.push(counter);
    }
    void this.#returned(idle);
    this.#cancelSweep = this.#options.after(SWEEP_MS, () => this.#sweep());
  }

  /** Gives back what is left of shares. Resolves once that is done, or after `RETURN_MS`. */
  async #returned(counters: readonly Counter[]): Promise<void> {
    const { clocks, ports } = this.#options;
    const nowMs = ports.monotonicMs();
    const { wallMs, floorMs } = clocks();
    // A state takes nothing back for a window that is over.
    const running = counters.filter(({ endsMs }) => Math.min(wallMs, floorMs) < endsMs);
    const back = running.flatMap(({ key, jtiDigest, spend, share }) =>
      share.returned(nowMs).map(({ loan, left }) =>
        this.#settling.giveBack({
          decisionId: loan.id,
          key,
          jtiDigest,
          spends: withLent([spend], [loan.amount]),
          left: [left],
        }),
      ),
    );
    if (back.length === 0) return;
    // What is not given back stays spent.
    await Promise.race([Promise.allSettled(back), this.#pause(RETURN_MS)]);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.after(ms, resolve));
  }
}

/** What the shares of limits have left, in their order. */
const leftOfLimits = (taken: readonly { readonly counter: Counter }[]): readonly number[] =>
  taken.filter(({ counter }) => counter.spend.kind === 'limit').map(({ counter }) => counter.share.left);
