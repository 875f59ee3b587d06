import { reasons } from '../../../core/decision/reasons.ts';
import type { ReasonCode } from '../../../core/decision/reasons.ts';
import { useRecord } from '../../../core/ledger/use.ts';
import { printableJson } from '../../../core/ledger/printable-json.ts';
import { matchesFilter } from './trace-filter.ts';
import type { FilteredRecord, TraceFilter } from './trace-filter.ts';
import type { Detail, Shown } from './detail.ts';
import type { CheckToTrace } from './check-to-trace.ts';
import { tracedCheckFrom } from './traced-check.ts';
import type { TracedCheck } from './traced-check.ts';

/** A subscription to checks. */
export interface TraceWait {
  readonly filter: TraceFilter;
  /** Receives each matching check as one line of JSON, a `TracedCheck`. */
  readonly onLine: (line: string) => void;
}

/** A check that was refused without a decision. */
export interface RefusedCheck {
  readonly decisionId: string;
  readonly reason: ReasonCode;
  /** Why, in a word of `remit_server_refusals_total`. */
  readonly cause: string;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** Nothing of a refused check was read. */
const UNREAD = { agent: null, refusedCaller: null, task: null, action: null, host: '', path: '' } as const;

/** Most subscriptions at once. */
export const MAX_WAITS = 4;

/** The subscriptions to traced checks. Without any, a check costs a single comparison. */
export class TraceWaits {
  readonly #shown: Shown;
  readonly #onFault: (error: unknown) => void;
  readonly #waits = new Set<TraceWait>();
  #isAwaited = false;

  /** `onFault` receives exceptions thrown while a check is reported; no answer depends on it. */
  constructor(shown: Shown, onFault: (error: unknown) => void) {
    this.#shown = shown;
    this.#onFault = onFault;
  }

  /** Whether there is any subscription. */
  get isAwaited(): boolean {
    return this.#isAwaited;
  }

  /** Subscribes; returns a function that unsubscribes, or `full` if there are already four subscriptions. */
  begin(wait: TraceWait): (() => void) | 'full' {
    if (this.#waits.size >= MAX_WAITS) return 'full';
    this.#waits.add(wait);
    this.#isAwaited = true;
    return () => {
      this.#waits.delete(wait);
      this.#isAwaited = this.#waits.size > 0;
    };
  }

  /** Sends a finished check to each subscription whose filter it matches. Never throws. */
  checked(traced: CheckToTrace): void {
    try {
      this.#tell(traced);
    } catch (error) {
      this.#onFault(error);
    }
  }

  /**
   * Sends a check that was refused without a decision to each subscription whose filter it matches. Throws what `onLine` throws.
   */
  refused({ decisionId, reason, cause, atMs }: RefusedCheck): void {
    const wanted = this.#wanted({ ...UNREAD, decision: 'deny', reason }, []);
    if (wanted.length === 0) return;
    const { httpStatus, text } = reasons[reason];
    const details: readonly Detail[] = [
      ['decision', decisionId],
      ['answered', `${httpStatus} ${reason}: ${text}`],
      ['cause', `refused before it was read or decided: ${cause}`],
    ];
    const stages = [{ name: 'answer', result: 'denied', ms: null, details }] as const;
    const refused: TracedCheck = { decisionId, traceId: null, atMs, decision: 'deny', reason, totalMs: 0, stages };
    for (const one of wanted) one.onLine(JSON.stringify(refused));
  }

  #wanted(record: FilteredRecord, traceIds: readonly (string | null)[]): readonly TraceWait[] {
    return [...this.#waits].filter(({ filter }) => matchesFilter(filter, record, traceIds));
  }

  #tell(traced: CheckToTrace): void {
    const { check, traceId, asked } = traced;
    const record = useRecord(check, { traceId: traceId ?? '', spanId: '' });
    const application = 'trace' in asked.facts ? asked.facts.trace.application : null;
    const traceIds = [traceId, application?.slice(3, 35) ?? null];
    const wanted = this.#wanted(record, traceIds);
    if (wanted.length === 0) return;
    const line = printableJson(tracedCheckFrom(traced, record, this.#shown));
    for (const { onLine } of wanted) onLine(line);
  }
}
