import { Share } from '../../src/core/state/share.ts';
import { ShareUsers } from '../../src/core/state/share-users.ts';
import type { HasEnded } from '../../src/core/state/share-users.ts';
import type { TaskSpend } from '../../src/core/state/spend.ts';
import { SidecarClock } from '../../src/sidecar/state/sidecar-clock.ts';
import type { Party } from './party.ts';
import type { GivenPart, TaskUse } from './rows.ts';
import { ISSUER } from './rows.ts';
import type { Settled } from './authority.ts';
import { WINDOW_CALLS, windowAt } from './terms.ts';
import type { World } from './world.ts';

/** Loans are asked for together, a moment later. */
const ASK_MS = 5;
/** A share that was not used for so long is given back. */
const IDLE_MS = 150;
/** For so long after a share was given back, what was not sent is given back too. */
const RETIRED_MS = 1_000;
/** How often a loan whose result is unknown is asked for again. */
const TRIES = 3;

/** What the shares of a sidecar are asked of and given back to. */
interface Lender {
  readonly settle: (use: TaskUse, then: (settled: Settled) => void) => void;
  readonly giveBack: (use: TaskUse, part: GivenPart) => void;
  readonly hasEnded: HasEnded;
}

export interface Held {
  readonly name: string;
  share: Share;
  users: ShareUsers;
  /** Its task; of a limit the task of the last use. */
  taskId: string;
  jtiDigest: string;
  usedMs: number;
}

/** The shares of budgets of one life of a sidecar: the shell round `Share`. */
export class SidecarShares {
  readonly #world: World;
  readonly #name: string;
  readonly #party: Party;
  readonly #lender: Lender;
  readonly #clock: SidecarClock;
  readonly #held = new Map<string, Held>();
  /** Those whose share was given back a moment ago. */
  readonly #retired = new Map<string, Held>();
  #loans = 0;

  constructor(
    world: World,
    { name, party, lender }: { readonly name: string; readonly party: Party; readonly lender: Lender },
  ) {
    this.#world = world;
    this.#name = name;
    this.#party = party;
    this.#lender = lender;
    this.#clock = new SidecarClock({ nowMs: () => party.wallMs(), monotonicMs: () => party.monotonicMs() });
    if (world.hasShares) party.every(IDLE_MS, () => this.#sweep());
  }

  /** The share that a call of a task is within, and that it then takes from; `null` if it is within none. */
  spend(taskId: string, jtiDigest: string): Held | null {
    const nowMs = this.#party.monotonicMs();
    const name = this.#nameOf(taskId);
    if (name === null) return null;
    const held = this.#of(name, { taskId, jtiDigest });
    held.users.used({ issuer: ISSUER, id: taskId }, jtiDigest);
    held.usedMs = nowMs;
    held.share.used(1, nowMs);
    const isCovered = held.share.left > 0;
    if (isCovered) held.share.spend(1);
    if (held.share.wanted(nowMs) > 0) {
      held.share.isAsked = true;
      this.#party.after(ASK_MS, () => this.#borrow(held));
    }
    return isCovered ? held : null;
  }

  /** Puts back what a call took from a share, since it was not sent. Whether it did. */
  putBack(held: Held): boolean {
    const { name } = held;
    const isHeld = this.#held.get(name) === held;
    if ((!isHeld && this.#retired.get(name) !== held) || this.#nameOf(held.taskId) !== name) return false;
    held.share.putBack(1);
    if (!isHeld) this.#return(held);
    return true;
  }

  /** A task may have ended. */
  ended(): void {
    for (const held of this.#held.values())
      if (held.share.left > 0 && held.users.haveEnded(this.#lender.hasEnded)) this.#retire(held);
  }

  /** The clock of an authority, a moment ago. */
  heard(nowMs: number): void {
    this.#clock.heard(nowMs);
  }

  /** The database is another one, or an earlier state of it. */
  forget(): void {
    this.#held.clear();
    this.#retired.clear();
  }

  /** What is held for a task, or for a limit in the window in which both clocks are; `null` if they are not in one. */
  #nameOf(taskId: string): string | null {
    const { hasWindows, mistake } = this.#world;
    if (!hasWindows) return taskId;
    if (mistake === 'share-of-other-window') return 'limit';
    const { wallMs, floorMs } = this.#clock.read();
    return windowAt(wallMs) === windowAt(floorMs) ? `limit-${windowAt(wallMs)}` : null;
  }

  #of(name: string, { taskId, jtiDigest }: Pick<Held, 'taskId' | 'jtiDigest'>): Held {
    const known = this.#held.get(name);
    if (known !== undefined) {
      known.taskId = taskId;
      known.jtiDigest = jtiDigest;
      return known;
    }
    const retired = this.#retired.get(name);
    if (retired !== undefined) {
      this.#retired.delete(name);
      this.#held.set(name, Object.assign(retired, { taskId, jtiDigest, users: new ShareUsers() }));
      return retired;
    }
    const held: Held = { name, share: new Share(), users: new ShareUsers(), taskId, jtiDigest, usedMs: 0 };
    const lentLast = this.#world.lentLast.get(`${this.#party.place} ${name}`);
    if (this.#world.mistake === 'share-refilled' && lentLast !== undefined)
      held.share.lent({ id: 'earlier', amount: lentLast, atMs: 0 }, lentLast);
    this.#held.set(name, held);
    return held;
  }

  #loan({ taskId, jtiDigest }: Held, id: string, ahead: number): TaskUse {
    const key = { issuer: ISSUER, id: taskId };
    return {
      decisionId: id,
      key,
      jtiDigest,
      spends: [{ ...callOf(this.#world), count: 0 }],
      isOfLimit: this.#world.hasWindows,
      ahead: [ahead],
    };
  }

  #borrow(held: Held): void {
    held.share.isAsked = false;
    const wanted = held.share.wanted(this.#party.monotonicMs());
    if (wanted === 0 || this.#nameOf(held.taskId) !== held.name) return;
    held.share.isAsked = true;
    this.#loans += 1;
    const id = `${this.#name}/loan-${this.#loans}`;
    const use = { ...this.#loan(held, id, wanted), askedMs: this.#clock.read().wallMs };
    const atMs = this.#party.monotonicMs();
    const ask = (tries: number): void =>
      this.#lender.settle(use, ({ problem, lent = 0 }) => {
        if (problem === 'unavailable' && tries > 1) return ask(tries - 1);
        if (problem !== null) return held.share.refused(this.#party.monotonicMs());
        if (lent === 0 && this.#world.hasWindows) held.share.refused(this.#party.monotonicMs());
        else held.share.lent({ id, amount: lent, atMs }, wanted);
        if (lent > 0) this.#world.lentLast.set(`${this.#party.place} ${held.name}`, lent);
        // It was given back, or forgotten, meanwhile.
        if (this.#held.get(held.name) !== held) this.#return(held);
      });
    ask(TRIES);
  }

  #sweep(): void {
    const nowMs = this.#party.monotonicMs();
    for (const held of this.#held.values()) {
      if (nowMs - held.usedMs >= IDLE_MS) this.#retire(held);
    }
    for (const { name, usedMs } of this.#retired.values()) if (nowMs - usedMs >= RETIRED_MS) this.#retired.delete(name);
  }

  #retire(held: Held): void {
    this.#held.delete(held.name);
    this.#retired.set(held.name, held);
    this.#return(held);
  }

  #return(held: Held): void {
    for (const { loan, left, before } of held.share.returned(this.#party.monotonicMs()))
      this.#lender.giveBack(this.#loan(held, loan.id, 0), { left, before });
  }
}

/** What a call takes: from the budget of its task, or from the limit over all tasks. */
export const callOf = ({ hasWindows, promise }: World): Extract<TaskSpend, { readonly kind: 'calls' }> => ({
  kind: 'calls',
  limit: hasWindows ? WINDOW_CALLS : promise.maxCalls,
});
