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
import { agreedReply, settleProblemOf } from './settle-reply.ts';
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
    const message = { ...messageOf(use), left: use.left ?? [] };
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
    const { answerTime, onSettled } = this.#options;
    const queued = this.#queued;
    this.#queued = [];
    const inTime = (request: SettleRequest): Promise<SettleReply | CallProblem> =>
      answerTime.measured((boundMs) => this.#hedged(request, boundMs));
    for (const batch of batchesOf(queued)) void this.#ask(batch, inTime, (result) => onSettled(result, 1));
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
        const ask = async (request: SettleRequest): Promise<SettleReply | CallProblem> =>
          this.#options.links()[0]?.call('Settle', request, LOAN_MS) ?? { problem: 'no authority can be reached' };
        for (const batch of batchesOf(loans)) void this.#ask(batch, ask);
      });
    });
  }

  async #ask(
    waiting: readonly PendingSettlement[],
    ask: (request: SettleRequest) => Promise<SettleReply | CallProblem>,
    onResult?: (result: 'settled' | 'refused' | 'unknown') => void,
  ): Promise<void> {
    const { instance, feed } = this.#options;
    const reply = await ask({ instance, uses: waiting.map(({ use }) => use) });
    if (onResult !== undefined) this.#waiting -= waiting.length;
    waiting.forEach(({ use, resolve }, at) => {
      const settled = 'problem' in reply ? undefined : reply.settled[at];
      if (settled?.problem === '') {
        onResult?.('settled');
        return resolve(use.ahead === undefined ? leftOf(use, settled.left) : { lent: settled.lent ?? [] });
      }
      if (settled?.card && settled.position !== null) feed.settled(settled.card, settled.position);
      const problem = settled === undefined ? undefined : settleProblemOf(settled);
      onResult?.(problem === undefined ? 'unknown' : 'refused');
      const detail = 'problem' in reply ? reply.problem : settled?.detail;
      resolve(problem ?? storeFailure('busy', `whether the use counts is unknown: ${detail ?? 'no answer'}`));
    });
  }

  /** Asks an authority, and a second if the first has failed or has not answered soon (a hedged call). */
  async #hedged(request: SettleRequest, boundMs: number): Promise<SettleReply | CallProblem> {
    const [first, second] = this.#options.links();
    if (first === undefined) return { problem: 'no authority can be reached' };
    const one = first.call('Settle', request, boundMs);
    if (second === undefined) return one;
    const early = await Promise.race([one, this.#pause(boundMs * HEDGED)]);
    if (early !== null && !('problem' in early)) return early;
    const two = second.call('Settle', request, boundMs * (1 - HEDGED));
    return early === null ? agreedReply(one, two) : two;
  }

  #pause(ms: number): Promise<null> {
    return new Promise((resolve) => void this.#options.after(ms, () => resolve(null)));
  }
}

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
