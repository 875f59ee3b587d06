import { UUID_RANDOM_BYTES, uuidV7 } from '../decision/uuid.ts';
import type { Ports } from '../runtime/ports.ts';
import type { After } from '../runtime/timers.ts';
import type { LoanPart } from './share.ts';
import { countedOf, isLendable, shareEndOf, shareName, takenFromShare } from './share-counter.ts';
import type { ShareClocks } from './share-counter.ts';
import { heldCounter } from './held-counter.ts';
import type { HeldCounter } from './held-counter.ts';
import { ShareUsers } from './share-users.ts';
import type { HasEnded } from './share-users.ts';
import type { SettledUse, Settlement, Settling } from './settling.ts';
import type { Spend } from './spend.ts';
import { isStoreFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import type { UnsentUse } from './store.ts';
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
/** Tasks that end within so long are looked at together. */
const ENDED_MS = 10;
/** Counters that are looked at in one turn after an end: of very many, the look may take no check's time. */
const LOOKED_AT_ONCE = 256;
/** For so long after its share was given back, a counter is kept for uses that took from it and whose calls prove not to be sent. */
const RETIRED_MS = 60_000;
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
  /** Absent, no end of a task is known. */
  readonly hasEnded?: HasEnded;
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
  readonly #counters = new Map<string, HeldCounter>();
  #due = new Set<HeldCounter>();
  /** Counters that were set aside, oldest first, at most `MAX_SHARES`. */
  readonly #retired = new Map<string, HeldCounter>();
  #isClosed = false;
  /** Whether a task has ended since the last look began. */
  #isEndDue = false;
  /** Counters that are still to be looked at. */
  #toLook: HeldCounter[] = [];
  #isLookDue = false;
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
    if (this.#isClosed || spends.length === 0 || !spends.every(isLendable)) return null;
    const nowMs = this.#options.ports.monotonicMs();
    const taken: { readonly amount: number; readonly counted: number; readonly counter: HeldCounter }[] = [];
    const clocks = this.#options.clocks();
    for (const spend of spends) {
      const counter = this.#counter(use, spend, clocks);
      if (counter === null) return null;
      taken.push({ amount: takenFromShare(spend), counted: countedOf(spend), counter });
    }
    for (const { counted, counter } of taken) this.#used(use, counter, { amount: counted, nowMs });
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
    const { life, untilMs } = use.sharesOf;
    // It stays spent: the state no longer knows what was lent.
    if (life !== this.#life) return false;
    const clocks = this.#options.clocks();
    const retired: HeldCounter[] = [];
    let isAll = true;
    for (const spend of use.spends) {
      // Nothing goes into a later window of a limit.
      if (spend.kind === 'limit' && Math.max(clocks.wallMs, clocks.floorMs) >= untilMs) continue;
      const name = shareName(use.key, spend, clocks) ?? '';
      const counter = this.#counters.get(name) ?? this.#retired.get(name);
      counter?.share.putBack(takenFromShare(spend));
      if (counter === undefined) isAll = false;
      else if (counter.retiredMs !== null) retired.push(counter);
    }
    return (await this.#returned(retired)) && isAll;
  }

  /** A task has ended. What is held for tasks that have is given back at once, of thousands of counters within a second. */
  ended(): void {
    this.#isEndDue = true;
    this.#lookSoon();
  }

  /** Forgets all shares: this is another database, or an earlier state of it, which may not know what was lent. */
  forget(): void {
    this.#life += 1;
    this.#toLook = [];
    this.#counters.clear();
    this.#retired.clear();
  }

  /**
   * Gives all shares back, and asks for no more loans. What later proves not to be used is given back by itself. Resolves once all of
   * it is given back, or after 400 ms.
   */
  async close(): Promise<void> {
    this.#cancelSweep();
    if (!this.#isClosed) {
      this.#isClosed = true;
      const held = [...this.#counters.values()];
      for (const counter of held) this.#retire(counter);
      void this.#returned(held);
    }
    const returning = Array.from(this.#retired.values(), (counter) => counter.returning);
    await Promise.race([Promise.all(returning), this.#pause(RETURN_MS)]);
  }

  /** `null` if the clocks do not agree on the window of a limit. */
  #counter(use: Pick<SettledUse, 'key' | 'jtiDigest'>, spend: Spend, clocks: ShareClocks): HeldCounter | null {
    const name = shareName(use.key, spend, clocks);
    if (name === null) return null;
    const { key, jtiDigest } = spend.kind === 'limit' || use.key === null ? withoutTask : { ...use, key: use.key };
    const known = this.#counters.get(name);
    if (known !== undefined) {
      known.jtiDigest = jtiDigest;
      return known;
    }
    const [oldest] = this.#counters.size >= MAX_SHARES ? this.#counters.values() : [];
    if (oldest !== undefined) {
      this.#retire(oldest);
      void this.#returned([oldest]);
    }
    const counter = this.#retired.get(name) ?? heldCounter(name, { key, jtiDigest, spend, clocks });
    counter.jtiDigest = jtiDigest;
    counter.retiredMs = null;
    counter.users = new ShareUsers();
    this.#retired.delete(name);
    this.#counters.set(name, counter);
    return counter;
  }

  /** Sets a counter aside, whose share is given back. */
  #retire(counter: HeldCounter): void {
    const { name, share } = counter;
    this.#counters.delete(name);
    counter.retiredMs = this.#options.ports.monotonicMs();
    if (!share.hasLoans && counter.borrowing === null) return;
    const [oldest] = this.#retired.size >= MAX_SHARES ? this.#retired.keys() : [];
    if (oldest !== undefined) this.#retired.delete(oldest);
    this.#retired.set(name, counter);
  }

  #used(
    { key, jtiDigest }: SettledUse,
    counter: HeldCounter,
    { amount, nowMs }: { readonly amount: number; readonly nowMs: number },
  ): void {
    counter.users.used(key, jtiDigest);
    if (!counter.share.used(amount, nowMs)) return;
    this.#counters.delete(counter.name);
    this.#counters.set(counter.name, counter);
  }

  /** Asks for a loan, if that is due, together with others. */
  #ask(counter: HeldCounter, nowMs: number): void {
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

  async #borrow(counter: HeldCounter): Promise<void> {
    const { clocks: clocksNow, ports } = this.#options;
    const { monotonicMs, randomBytes } = ports;
    const { name, key, jtiDigest, spend, share } = counter;
    share.isAsked = false;
    const atMs = monotonicMs();
    const wanted = share.wanted(atMs);
    const clocks = clocksNow();
    if (wanted === 0 || counter.retiredMs !== null || shareName(key, spend, clocks) !== name) return;
    share.isAsked = true;
    // INVARIANT: its time is in the window in which the loan is spent, since a state lends none of another window.
    const id = uuidV7(clocks.wallMs, randomBytes(UUID_RANDOM_BYTES));
    const loan = { decisionId: id, key, jtiDigest, spends: [spend], ahead: [wanted] };
    let settled = await this.#settling.settle(loan);
    for (const pauseMs of PAUSES_MS) {
      if (!isStoreFailure(settled) || this.#isClosed) break;
      await this.#pause(pauseMs);
      settled = await this.#settling.settle(loan);
    }
    const lent = typeof settled === 'object' && settled !== null && 'lent' in settled ? settled.lent : null;
    const amount = lent?.[0] ?? 0;
    // A limit also lends nothing while its state is in another window: it is asked again.
    if (lent === null || (amount === 0 && spend.kind === 'limit')) share.refused(monotonicMs());
    else share.lent({ id, amount, atMs }, wanted);
    // Its share was given back, or forgotten, meanwhile.
    if (this.#counters.get(name) !== counter) await this.#returned([counter]);
  }

  #sweep(): void {
    const nowMs = this.#options.ports.monotonicMs();
    const idle: HeldCounter[] = [];
    for (const counter of this.#counters.values()) {
      if (nowMs - counter.share.usedMs < IDLE_MS) break;
      idle.push(counter);
    }
    for (const counter of idle) this.#retire(counter);
    void this.#returned(idle);
    // Another process may have ended tasks.
    this.#isEndDue = true;
    this.#returnEnded();
    for (const { name, retiredMs } of this.#retired.values()) {
      if (retiredMs !== null && nowMs - retiredMs < RETIRED_MS) break;
      this.#retired.delete(name);
    }
    this.#cancelSweep = this.#options.after(SWEEP_MS, () => this.#sweep());
  }

  #lookSoon(): void {
    if (this.#isLookDue || this.#isClosed || this.#options.hasEnded === undefined) return;
    this.#isLookDue = true;
    this.#options.after(ENDED_MS, () => {
      this.#isLookDue = false;
      this.#returnEnded();
    });
  }

  #returnEnded(): void {
    const { hasEnded } = this.#options;
    if (hasEnded === undefined) return;
    if (this.#toLook.length === 0 && this.#isEndDue) {
      this.#isEndDue = false;
      this.#toLook = [...this.#counters.values()];
    }
    const over = this.#toLook
      .splice(-LOOKED_AT_ONCE)
      .filter(({ retiredMs, share, users }) => retiredMs === null && share.left > 0 && users.haveEnded(hasEnded));
    if (this.#toLook.length > 0 || this.#isEndDue) this.#lookSoon();
    // The next task may use a limit as often.
    for (const counter of over) if (counter.key !== null) this.#retire(counter);
    void this.#returned(over);
  }

  /** Gives back what is left of shares. Resolves once all of it is given back (`true`), or it is not, or after `RETURN_MS`. */
  async #returned(counters: readonly HeldCounter[]): Promise<boolean> {
    const { clocks, ports } = this.#options;
    const nowMs = ports.monotonicMs();
    const { wallMs, floorMs } = clocks();
    // A state takes nothing back for a window that is over.
    const running = counters.filter(({ endsMs }) => Math.min(wallMs, floorMs) < endsMs);
    const back = running.flatMap((counter) => {
      const parts = counter.share.returned(nowMs);
      if (parts.length === 0) return [];
      // INVARIANT: a part of a loan follows on the part before.
      counter.returning = counter.returning.then(() => this.#give(counter, parts));
      return [counter.returning];
    });
    if (back.length === 0) return true;
    const isGiven = Promise.all(back).then((all) => all.every(Boolean));
    // What is not given back stays spent.
    return Promise.race([isGiven, this.#pause(RETURN_MS).then(() => false)]);
  }

  async #give({ key, jtiDigest, spend, share }: HeldCounter, parts: readonly LoanPart[]): Promise<boolean> {
    const given = await Promise.all(
      parts.map(async ({ loan, left, before }) => {
        const spends = withLent([spend], [loan.amount]);
        const back = { decisionId: loan.id, key, jtiDigest, spends, left: [left], before };
        const isGiven = (await this.#settling.giveBack(back).catch(() => false)) === true;
        if (!isGiven) share.abandon(loan.id);
        return isGiven;
      }),
    );
    return given.every(Boolean);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.after(ms, resolve));
  }
}

/** What the shares of limits have left, in their order. */
const leftOfLimits = (taken: readonly { readonly counter: HeldCounter }[]): readonly number[] =>
  taken.filter(({ counter }) => counter.spend.kind === 'limit').map(({ counter }) => counter.share.left);
