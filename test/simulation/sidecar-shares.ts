import { Share } from '../../src/core/state/share.ts';
import type { Party } from './party.ts';
import type { TaskUse } from './rows.ts';
import { ISSUER } from './rows.ts';
import type { Settled } from './authority.ts';
import type { World } from './world.ts';

/** Loans are asked for together, a moment later. */
const ASK_MS = 5;
/** A share that was not used for so long is given back. */
const IDLE_MS = 150;
/** How often a loan whose result is unknown is asked for again. */
const TRIES = 3;

/** What the shares of a sidecar are asked of and given back to. */
interface Lender {
  readonly settle: (use: TaskUse, then: (settled: Settled) => void) => void;
  readonly giveBack: (use: TaskUse, left: number) => void;
}

interface Held {
  share: Share;
  readonly taskId: string;
  jtiDigest: string;
  usedMs: number;
}

/** The shares of budgets of one life of a sidecar: the shell round `Share`. */
export class SidecarShares {
  readonly #world: World;
  readonly #name: string;
  readonly #party: Party;
  readonly #lender: Lender;
  readonly #held = new Map<string, Held>();
  #loans = 0;

  constructor(
    world: World,
    { name, party, lender }: { readonly name: string; readonly party: Party; readonly lender: Lender },
  ) {
    this.#world = world;
    this.#name = name;
    this.#party = party;
    this.#lender = lender;
    if (world.hasShares) party.every(IDLE_MS, () => this.#sweep());
  }

  /** Whether a call of a task is within a share, which it then takes from. */
  spend(taskId: string, jtiDigest: string): boolean {
    const nowMs = this.#party.monotonicMs();
    const held = this.#of(taskId, jtiDigest);
    held.usedMs = nowMs;
    held.share.used(1, nowMs);
    const isCovered = held.share.left > 0;
    if (isCovered) held.share.spend(1);
    if (held.share.wanted(nowMs) > 0) {
      held.share.isAsked = true;
      this.#party.after(ASK_MS, () => this.#borrow(held));
    }
    return isCovered;
  }

  /** The database is another one, or an earlier state of it. */
  forget(): void {
    this.#held.clear();
  }

  #of(taskId: string, jtiDigest: string): Held {
    const known = this.#held.get(taskId);
    if (known !== undefined) {
      known.jtiDigest = jtiDigest;
      return known;
    }
    const held: Held = { share: new Share(), taskId, jtiDigest, usedMs: 0 };
    const lentLast = this.#world.lentLast.get(`${this.#party.place} ${taskId}`);
    if (this.#world.mistake === 'share-refilled' && lentLast !== undefined)
      held.share.lent({ id: 'earlier', amount: lentLast, atMs: 0 }, lentLast);
    this.#held.set(taskId, held);
    return held;
  }

  #loan({ taskId, jtiDigest }: Held, id: string, ahead: number): TaskUse {
    const key = { issuer: ISSUER, id: taskId };
    return {
      decisionId: id,
      key,
      jtiDigest,
      spends: [{ kind: 'calls', limit: this.#world.promise.maxCalls, count: 0 }],
      ahead: [ahead],
    };
  }

  #borrow(held: Held): void {
    held.share.isAsked = false;
    const wanted = held.share.wanted(this.#party.monotonicMs());
    if (wanted === 0) return;
    held.share.isAsked = true;
    this.#loans += 1;
    const id = `${this.#name}/loan-${this.#loans}`;
    const use = this.#loan(held, id, wanted);
    const atMs = this.#party.monotonicMs();
    const ask = (tries: number): void =>
      this.#lender.settle(use, ({ problem, lent = 0 }) => {
        if (problem === 'unavailable' && tries > 1) return ask(tries - 1);
        if (problem !== null) return held.share.refused(this.#party.monotonicMs());
        held.share.lent({ id, amount: lent, atMs }, wanted);
        if (lent > 0) this.#world.lentLast.set(`${this.#party.place} ${held.taskId}`, lent);
        // It was given back, or forgotten, meanwhile.
        if (this.#held.get(held.taskId) !== held) this.#return(held);
      });
    ask(TRIES);
  }

  #sweep(): void {
    const nowMs = this.#party.monotonicMs();
    for (const held of this.#held.values()) {
      if (nowMs - held.usedMs < IDLE_MS) continue;
      this.#held.delete(held.taskId);
      this.#return(held);
    }
  }

  #return(held: Held): void {
    for (const { loan, left } of held.share.returned(this.#party.monotonicMs()))
      this.#lender.giveBack(this.#loan(held, loan.id, 0), left);
  }
}
