import { recordText } from '../../core/ledger/record.ts';
import type { LedgerRecord } from '../../core/ledger/record.ts';
import type { FindingRecord } from '../../core/ledger/outcome-record.ts';
import { fateOf } from '../../core/ledger/use-fates.ts';
import type { Fate } from '../../core/ledger/use-fates.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { After } from '../../core/runtime/timers.ts';
import { FindingBudget } from './finding-budget.ts';
import type { FindingKind } from './finding-budget.ts';
import { findingLine } from './finding-line.ts';
import { generalFinding, missingOutcome, outcomeOf } from './outcome.ts';
import type { OutcomeClass } from '../../core/ledger/outcome-class.ts';
import { PendingUses } from './pending-uses.ts';
import type { AwaitedUse, PendingLimits } from './pending-uses.ts';
import type { LoggedDecision, ServedCall } from './served-call.ts';
import { UnsentCalls } from './unsent-calls.ts';
import type { AnsweredCall } from './unsent-calls.ts';
import { withdrawalOf } from './withdrawal.ts';

/** Observes each outcome and finding, including summarised findings. */
export interface OutcomeObserver {
  onOutcome(outcome: OutcomeClass): void;
  /** What became of a call that this process allowed. */
  onFate(fate: Fate): void;
  onFinding(kind: FindingKind): void;
}

/** The dependencies of `Outcomes`. */
export interface OutcomeServices {
  readonly ledger: { append(record: LedgerRecord): boolean; readonly queued: number };
  readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs'>;
  readonly after: After;
  readonly newDecisionId: () => string;
  /** Logs a line for operators. */
  readonly log: (line: string, event: 'finding' | 'outcomes') => void;
  readonly observer?: OutcomeObserver;
  /** Returns the text that may be shown: each credential in a client's text is replaced by its digest. */
  readonly shown: (text: string) => string;
}

/** When an outcome counts as missing. */
export interface OutcomeRules {
  readonly expected: 'auto' | 'always';
  readonly timeoutSeconds: number;
  readonly pending?: Partial<PendingLimits>;
}

const SWEEP_MS = 1_000;
/** Half of the ledger's queue; the rest is for uses, which are denied if it is full. */
const MAX_QUEUED = 2_048;
const PAUSE_MS = 20;
/** About half a minute. Then the outcome is dropped, counted and logged. */
const MAX_TRIES = 1_500;

/**
 * Joins Envoy's access log with the answered uses, and records outcomes and mismatches.
 *
 * Lifecycle: `answered` for each use, `opened` for each access log, `served` for each of its entries; `close` once, which
 * records the summaries.
 */
export class Outcomes {
  readonly #services: OutcomeServices;
  readonly #rules: OutcomeRules;
  readonly #pending: PendingUses;
  readonly #budget: FindingBudget;
  readonly #unsent = new UnsentCalls();
  /** `lost`: all logs have disconnected, and that was logged. On the monotonic clock. */
  #log:
    | { readonly state: 'never'; readonly isTold: boolean }
    | { readonly state: 'open'; readonly firstMs: number; readonly count: number }
    | { readonly state: 'gone' | 'lost'; readonly firstMs: number; readonly sinceMs: number } = {
    state: 'never',
    isTold: false,
  };
  #unrecorded = 0;
  #isClosed = false;
  #cancel: () => void;

  constructor(services: OutcomeServices, rules: OutcomeRules) {
    this.#services = services;
    this.#rules = rules;
    this.#pending = new PendingUses(rules.pending);
    this.#budget = new FindingBudget(services.ports.monotonicMs);
    this.#cancel = services.after(SWEEP_MS, this.#sweep);
  }

  /** Records that a use was answered: its outcome is due from now on. */
  answered(use: AwaitedUse): void {
    this.#pending.add(use, this.#services.ports.monotonicMs());
  }

  /**
   * Notes what a check took, such as a budget: it is undone once the proxy's log says that the call was not sent upstream. Without that log
   * entry it is forgotten; beyond 10,000 checks the oldest is dropped.
   */
  decided(call: AnsweredCall): void {
    this.#unsent.answered(call);
  }

  /** Records that an access log connected; call the returned function when it disconnects. */
  opened(name: string): () => void {
    const { log, ports } = this.#services;
    const before = this.#log;
    if (before.state === 'never' || before.state === 'lost') log(`the access log of ${name} has connected`, 'outcomes');
    const firstMs = before.state === 'never' ? ports.monotonicMs() : before.firstMs;
    this.#log = { state: 'open', firstMs, count: before.state === 'open' ? before.count + 1 : 1 };
    return () => {
      if (this.#log.state !== 'open') return;
      const count = this.#log.count - 1;
      this.#log =
        count > 0 ? { ...this.#log, count } : { state: 'gone', firstMs, sinceMs: this.#services.ports.monotonicMs() };
    };
  }

  /**
   * Processes an entry of an access log. `null` if it is recorded; otherwise a promise that resolves once it is, so that the
   * log is read no faster: outcomes take at most half of the ledger's queue.
   */
  served(call: ServedCall): Promise<void> | null {
    const { ports, observer } = this.#services;
    if (call.state === 'alive') {
      if (call.decision !== null) this.#pending.touch(call.decision.id, ports.monotonicMs());
      return null;
    }
    const refused = this.#unsent.refused(call);
    this.#unsent.ended(call);
    const decisionId = call.decision?.id ?? refused?.decisionId ?? null;
    const use = decisionId === null ? null : this.#pending.take(decisionId);
    const shown = this.#shownCall(call);
    const isWithdrawn = refused !== null && use?.decision.kind === 'allow';
    const outcome = outcomeOf(use === null ? shown : { ...shown, decision: decisionOf(use, call) }, use, ports.nowMs());
    if (outcome.class !== null) observer?.onOutcome(outcome.class);
    if (use !== null && outcome.record?.decision === 'allow') observer?.onFate(fateOf(outcome.record));
    const withdrawal = isWithdrawn ? this.#withdrawal(use, shown, refused) : [];
    return this.#recorded(outcome.record === null ? [] : [...withdrawal, outcome.record], outcome.finding);
  }

  #withdrawal(use: AwaitedUse, call: ServedCall, { span }: AnsweredCall): readonly LedgerRecord[] {
    const { newDecisionId, ports } = this.#services;
    return [withdrawalOf(use, call, { decisionId: newDecisionId(), span, nowMs: ports.nowMs() })];
  }

  /** `null` if all are recorded now; otherwise it resolves once they are. */
  #recorded(records: readonly LedgerRecord[], finding: FindingRecord | null): Promise<void> | null {
    const unrecorded = records.findIndex((record) => !this.#isRecorded(record));
    if (unrecorded >= 0) return this.#recordLater(records.slice(unrecorded), finding);
    this.#tell(finding);
    return null;
  }

  /** Records the pending summaries. */
  close(): void {
    this.#isClosed = true;
    this.#cancel();
    this.#summarise({ isLast: true });
  }

  /** INVARIANT: credentials are replaced before a text is cut, which could leave a part of one, or a digest over one. */
  #shownCall(call: ServedCall): ServedCall {
    const shown = (text: string): string => recordText(this.#services.shown(text));
    const { host, path, requestId } = call;
    return { ...call, host: shown(host), path: shown(path), requestId: requestId === null ? null : shown(requestId) };
  }

  #tell(finding: FindingRecord | null): void {
    if (finding !== null) this.#found(finding.finding, () => finding);
  }

  /** Whether the ledger took a record. Records are offered only if there is room, or at the end. */
  #isRecorded(record: LedgerRecord): boolean {
    const { ledger } = this.#services;
    return (this.#isClosed || ledger.queued < MAX_QUEUED) && ledger.append(record);
  }

  async #recordLater(records: readonly LedgerRecord[], finding: FindingRecord | null): Promise<void> {
    for (const record of records) if (!(await this.#isRecordedLater(record))) this.#unrecorded += 1;
    this.#tell(finding);
  }

  async #isRecordedLater(record: LedgerRecord): Promise<boolean> {
    const { ledger, after } = this.#services;
    for (let tries = 0; tries < MAX_TRIES && !this.#isClosed; tries += 1) {
      await new Promise<void>((resolve) => {
        after(PAUSE_MS, resolve);
      });
      if (this.#isRecorded(record)) return true;
    }
    return ledger.append(record);
  }

  #found(kind: FindingKind, make: () => FindingRecord): void {
    this.#services.observer?.onFinding(kind);
    if (this.#budget.take(kind)) this.#write(make());
  }

  #write(finding: FindingRecord): void {
    this.#services.log(findingLine(finding), 'finding');
    if (!this.#services.ledger.append(finding)) this.#unrecorded += 1;
  }

  readonly #sweep = (): void => {
    this.#cancel = this.#services.after(SWEEP_MS, this.#sweep);
    const { ports } = this.#services;
    const timeoutMs = this.#rules.timeoutSeconds * 1_000;
    const nowMs = ports.monotonicMs();
    const overdue = this.#pending.overdue(nowMs - timeoutMs);
    if (overdue.length > 0) this.#noticeAbsence(nowMs - timeoutMs);
    const fromMs = this.#missedFromMs();
    for (const use of overdue) {
      if (use.sinceMs >= fromMs) this.#found('outcome-missing', () => missingOutcome(use, ports.nowMs()));
    }
    this.#summarise({ isLast: false });
  };

  /** The first use that can be missed: with `auto`, the first use answered after a log had connected. */
  #missedFromMs(): number {
    if (this.#rules.expected === 'always') return 0;
    return this.#log.state === 'never' ? Infinity : this.#log.firstMs;
  }

  /** Some uses are overdue: reports once that no log ever connected, or that all have been gone the whole time. */
  #noticeAbsence(beforeMs: number): void {
    const { log, ports } = this.#services;
    const known = this.#log;
    if (known.state === 'never' && !known.isTold) {
      this.#log = { state: 'never', isTold: true };
      log('no access log has connected: uses get no outcome, and calls without a check are not noticed', 'outcomes');
    }
    if (known.state === 'gone' && known.sinceMs <= beforeMs) {
      this.#log = { ...known, state: 'lost' };
      const details = { goneSeconds: Math.round((ports.monotonicMs() - known.sinceMs) / 1_000) };
      this.#found('access-log-lost', () => generalFinding('access-log-lost', ports.nowMs(), { count: 1, details }));
    }
  }

  #summarise({ isLast }: { readonly isLast: boolean }): void {
    const { ports, log } = this.#services;
    for (const { kind, count, withinMs } of this.#budget.summaries({ isLast })) {
      this.#write(generalFinding(kind, ports.nowMs(), { count, details: { withinMs: Math.round(withinMs) } }));
    }
    const givenUp = this.#pending.takeGivenUp();
    if (givenUp > 0) log(`uses dropped because too many wait for their outcome: ${givenUp}`, 'outcomes');
    if (this.#unrecorded > 0) log(`outcomes and findings that could not be recorded: ${this.#unrecorded}`, 'outcomes');
    this.#unrecorded = 0;
  }
}

/** The decision of a call, even if it did not reach the proxy in time. */
const decisionOf = ({ decisionId, ...use }: AwaitedUse, { decision }: ServedCall): LoggedDecision =>
  decision ?? {
    id: decisionId,
    kind: use.decision.kind,
    task: use.taskId,
    agent: use.agent,
    action: use.action,
    ledger: null,
  };
