import { limitSpendMessage } from '../../core/fleet/limit-message.ts';
import { refusedField } from '../../core/fleet/message-bounds.ts';
import type { SettleReply, SettleRequest, UseMessage } from '../../core/fleet/messages.ts';
import type { After } from '../../core/runtime/timers.ts';
import type { EncodedRecord } from '../../core/ledger/encoded-record.ts';
import { isStoreFailure, storeFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import { isSettlement } from '../../core/state/settling.ts';
import type { SettledUse, Settlement, Settling } from '../../core/state/settling.ts';
import type { UnsentUse } from '../../core/state/store.ts';
import type { LimitsLeft, Spend } from '../../core/state/spend.ts';
import type { AnswerTime } from './answer-time.ts';
import type { AuthorityLink, CallProblem } from './authority-link.ts';
import { batchesOf } from './settle-batches.ts';
import { agreed, firstOf, isCertain, replyTo, settleProblemOf } from './settle-reply.ts';
import type { Replies, SettledMessage } from './settle-reply.ts';
import type { SidecarFeed } from './sidecar-feed.ts';
import { UnsentUses } from './unsent-uses.ts';

/** After this part of the longest wait a second authority is asked too: 80 of 250 ms. A use is idempotent by its decision. */
const HEDGED = 0.32;
/** Most uses that wait. */
const MAX_WAITING = 16_384;
/** Longest wait for a loan, which is then asked for again. No check waits for it. */
const LOAN_MS = 2_000;

/** Options of settling. */
export interface RemoteSettlingOptions {
  readonly instance: string;
  readonly feed: SidecarFeed;
  /** Connections to authorities, the preferred first. */
  readonly links: () => readonly AuthorityLink[];
  readonly after: After;
  readonly answerTime: AnswerTime;
  readonly onSettled: (result: 'settled' | 'refused' | 'unknown', count: number) => void;
}

interface PendingSettlement {
  readonly use: UseMessage;
  readonly resolve: (settlement: Settlement) => void;
}

/**
 * Settles uses at an authority, and has records kept there: the uses of a turn in a single request. Without an answer in time the result is
 * unknown.
 */
export class RemoteSettling implements Settling {
  readonly #options: RemoteSettlingOptions;
  readonly #unsent: UnsentUses;
  #queued: PendingSettlement[] = [];
  #loans: PendingSettlement[] = [];
  #waiting = 0;

  constructor(options: RemoteSettlingOptions) {
    this.#options = options;
    this.#unsent = new UnsentUses(options);
  }

  settle(use: SettledUse): Promise<Settlement> {
    return use.ahead === undefined ? this.#enqueue(messageOf(use)) : this.#borrow(messageOf(use));
  }

  giveBack(use: UnsentUse): Promise<boolean | StoreFailure> {
    const message = { ...messageOf(use), left: use.left ?? [], before: use.before ?? 0 };
    const unfit = beyondBounds(message);
    return unfit === null ? this.#unsent.giveBack(message) : Promise.resolve(unfit);
  }

  /** Has the record of a use without a task committed. A failure leaves it unknown whether it is. */
  async keep(decisionId: string, { bytes }: EncodedRecord): Promise<null | StoreFailure> {
    const record = Buffer.from(bytes);
    const nothing = { key: null, jti_digest: '', generation: 0, spends: [], entry: null };
    const kept = await this.#enqueue({ ...nothing, decision_id: decisionId, record });
    if (isSettlement(kept)) return null;
    if (isStoreFailure(kept)) return kept;
    return storeFailure('busy', `the record is refused: ${typeof kept === 'string' ? kept : kept.problem}`);
  }

  #enqueue(use: UseMessage): Promise<Settlement> {
    const unfit = beyondBounds(use);
    if (unfit !== null) return Promise.resolve(unfit);
    if (this.#waiting >= MAX_WAITING)
      return Promise.resolve(storeFailure('busy', 'too many uses wait for an authority'));
    this.#waiting += 1;
    return new Promise((resolve) => {
      if (this.#queued.push({ use, resolve }) === 1) queueMicrotask(() => this.#flush());
    });
  }

  #flush(): void {
    const { onSettled } = this.#options;
    const queued = this.#queued;
    this.#queued = [];
    for (const batch of batchesOf(queued)) {
      const replies = this.#hedged(requestOf(this.#options, batch));
      void this.#answer(batch, replies, (result) => {
        this.#waiting -= 1;
        onSettled(result, 1);
      });
    }
  }

  /**
   * Asks for loans at one authority alone, since no check waits. They are no uses, so they are not counted.
   */
  #borrow(use: UseMessage): Promise<Settlement> {
    const unfit = beyondBounds(use);
    if (unfit !== null) return Promise.resolve(unfit);
    return new Promise((resolve) => {
      if (this.#loans.push({ use, resolve }) > 1) return;
      queueMicrotask(() => {
        const loans = this.#loans;
        this.#loans = [];
        for (const batch of batchesOf(loans)) void this.#answer(batch, this.#lent(requestOf(this.#options, batch)));
      });
    });
  }

  async #lent(request: SettleRequest): Promise<Replies> {
    const asked = this.#options.links()[0]?.call('Settle', request, LOAN_MS);
    return { first: await (asked ?? NO_AUTHORITY), other: null };
  }

  /** Answers uses: each that the first reply decides at once, and the others once the other authority has replied too. */
  async #answer(
    waiting: readonly PendingSettlement[],
    replies: Promise<Replies>,
    onResult?: (result: 'settled' | 'refused' | 'unknown') => void,
  ): Promise<void> {
    const { first, other } = await replies;
    const open: { readonly pending: PendingSettlement; readonly at: number; readonly reply: SettledMessage }[] = [];
    for (const [at, pending] of waiting.entries()) {
      const reply = replyTo(at, first);
      if (other === null || isCertain(reply)) this.#decide(pending, reply, onResult);
      else open.push({ pending, at, reply });
    }
    if (other === null || open.length === 0) return;
    const second = await other;
    for (const { pending, at, reply } of open) this.#decide(pending, agreed(reply, replyTo(at, second)), onResult);
  }

  #decide(
    { use, resolve }: PendingSettlement,
    reply: SettledMessage,
    onResult?: (result: 'settled' | 'refused' | 'unknown') => void,
  ): void {
    if (reply.problem === '') {
      onResult?.('settled');
      return resolve(use.ahead === undefined ? leftOf(use, reply.left) : { lent: reply.lent ?? [] });
    }
    if (reply.card && reply.position !== null) this.#options.feed.settled(reply.card, reply.position);
    const problem = settleProblemOf(reply);
    onResult?.(problem === undefined ? 'unknown' : 'refused');
    resolve(problem ?? storeFailure('busy', `whether the use counts is unknown: ${reply.detail}`));
  }

  /** Asks an authority, and a second if the first has failed or has not answered soon (a hedged call). */
  async #hedged(request: SettleRequest): Promise<Replies> {
    const [one, two] = this.#options.links();
    if (one === undefined) return { first: NO_AUTHORITY, other: null };
    let other: Promise<SettleReply | CallProblem> | null = null;
    const first = await this.#options.answerTime.measured(async (boundMs) => {
      // A request that was sent over a connection that breaks off may be carried out; one that was not sent cannot.
      const isSent = one.isConnected;
      const asked = one.call('Settle', request, boundMs);
      if (two === undefined) return asked;
      const early = await Promise.race([asked, this.#pause(boundMs * HEDGED)]);
      if (early !== null && !('problem' in early)) return early;
      const hedge = two.call('Settle', request, boundMs * (1 - HEDGED));
      if (early !== null) {
        if (isSent) other = Promise.resolve(early);
        return hedge;
      }
      const replies = await firstOf(asked, hedge);
      other = replies.other;
      return replies.first;
    });
    return { first, other };
  }

  #pause(ms: number): Promise<null> {
    return new Promise((resolve) => void this.#options.after(ms, () => resolve(null)));
  }
}

const NO_AUTHORITY: CallProblem = { problem: 'no authority can be reached' };

const requestOf = (
  { instance }: Pick<RemoteSettlingOptions, 'instance'>,
  batch: readonly PendingSettlement[],
): SettleRequest => ({ instance, uses: batch.map(({ use }) => use) });

/**
 * Why an authority would refuse a use; `null` if it would not for its size. INVARIANT: no such use is sent, since its whole request would be
 * refused, with the uses of other agents.
 */
function beyondBounds(use: UseMessage): StoreFailure | null {
  const field = refusedField('Use', use);
  return field === null ? null : storeFailure('refused', `no authority takes the use: ${field}`);
}

const messageOf = ({ agent, decisionId, key, jtiDigest, spends, entry, record, ahead }: SettledUse): UseMessage => ({
  decision_id: decisionId,
  key,
  jti_digest: jtiDigest,
  generation: 0,
  spends: spends.map(spendOf),
  entry: entry ?? null,
  record: Buffer.from(record?.bytes ?? []),
  ...(agent === undefined ? {} : { agent }),
  ...(ahead === undefined ? {} : { ahead }),
});

function spendOf(spend: Spend): UseMessage['spends'][number] {
  if (spend.kind === 'limit') return limitSpendMessage(spend);
  const { kind } = spend;
  const name = spend.name ?? '';
  switch (kind) {
    case 'calls':
      return { kind, name, amount: spend.count ?? 1, limit: spend.limit };
    case 'amount':
    case 'decimal':
      return { kind, name, amount: spend.amount, limit: spend.limit };
    case 'single-use':
      return { kind, name, amount: 1, limit: 1 };
    default:
      return kind satisfies never;
  }
}

/** What limits have left after a use; `null` if the authority does not say it of each spend. */
function leftOf({ spends }: Pick<UseMessage, 'spends'>, left: readonly number[] = []): LimitsLeft | null {
  const ofLimits = spends.filter(({ kind }) => kind === 'limit').length;
  const isKnown = left.every((number) => Number.isSafeInteger(number) && number >= 0);
  return ofLimits > 0 && left.length === ofLimits && isKnown ? { left } : null;
}
