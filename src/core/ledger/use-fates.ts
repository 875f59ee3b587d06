import type { OutcomeRecord } from './outcome-record.ts';

/**
 * What Envoy did with a call that was allowed: `executed`, an upstream answered it; `unanswered`, it was sent and no answer came, so that it
 * may have been executed; `not-sent`, no upstream got it.
 */
export const FATES = ['executed', 'unanswered', 'not-sent'] as const;
/** One of `FATES`. */
export type Fate = (typeof FATES)[number];

/** The detail by which Envoy marks an answer of the upstream. Any other answer is Envoy's own. */
export const VIA_UPSTREAM = 'via_upstream';

/** Envoy's detail for a call whose check was not answered. */
const CHECK_FAILED = 'ext_authz_error';

/** What happened to an allowed call, by its outcome. */
export function fateOf({ details, attempts }: Pick<OutcomeRecord, 'details' | 'attempts'>): Fate {
  if (details === VIA_UPSTREAM) return 'executed';
  return attempts > 0 ? 'unanswered' : 'not-sent';
}

/** Allowed uses by fate. */
export interface UsesByFate {
  readonly allowed: number;
  readonly executed: number;
  readonly unanswered: number;
  readonly notSent: number;
  /** Allowed and withdrawn before the answer was given. */
  readonly withdrawn: number;
  /** No record tells their outcome. */
  readonly unknown: number;
}

/** Most uses, and outcomes that come before their use, that are remembered. Further uses count as unknown. */
const MAX_WAITING = 100_000;

/** The members of a record of any version. */
type Members = Readonly<Record<string, unknown>>;

/**
 * Joins allowed uses with their outcomes by decision id, in any order and from any number of logs, in bounded memory. A record
 * that withdraws an allow counts only after it.
 */
export class UseFates {
  readonly #waiting = new Set<string>();
  readonly #early = new Map<string, Fate | 'withdrawn'>();
  readonly #counts = { allowed: 0, executed: 0, unanswered: 0, 'not-sent': 0, withdrawn: 0 };

  /** Takes a record; any but that of a use or an outcome is skipped. */
  see(record: Members): void {
    const { kind, decision, decisionId, mode, withdraws } = record;
    if (typeof decisionId !== 'string') return;
    if (kind === 'use' && decision === 'allow' && mode !== 'observe') this.#allowed(decisionId);
    else if (kind === 'use' && typeof withdraws === 'string') this.#withdrawn(withdraws);
    else if (kind === 'outcome' && decision !== 'deny') this.#ended(decisionId, record);
  }

  found(): UsesByFate {
    const { allowed, executed, unanswered, 'not-sent': notSent, withdrawn } = this.#counts;
    const unknown = allowed - executed - unanswered - notSent - withdrawn;
    return { allowed, executed, unanswered, notSent, withdrawn, unknown };
  }

  #allowed(decisionId: string): void {
    this.#counts.allowed += 1;
    const fate = this.#early.get(decisionId);
    if (fate === undefined) {
      if (this.#waiting.size < MAX_WAITING) this.#waiting.add(decisionId);
    } else {
      this.#early.delete(decisionId);
      this.#counts[fate] += 1;
    }
  }

  #withdrawn(decisionId: string): void {
    if (this.#waiting.delete(decisionId)) this.#counts.withdrawn += 1;
  }

  #ended(decisionId: string, { details, attempts }: Members): void {
    const ended = {
      details: typeof details === 'string' ? details : '',
      attempts: typeof attempts === 'number' ? attempts : 0,
    };
    // Envoy refused the call itself, so the allow did not reach it. The record that withdraws the allow may come later.
    const fate = ended.details === CHECK_FAILED && ended.attempts === 0 ? 'withdrawn' : fateOf(ended);
    if (this.#waiting.delete(decisionId)) this.#counts[fate] += 1;
    else if (this.#early.size < MAX_WAITING) this.#early.set(decisionId, fate);
  }
}

/** Uses by fate in words: `7 allowed: 1 executed, 6 without a recorded outcome`. */
export function fatesText({ allowed, executed, unanswered, notSent, withdrawn, unknown }: UsesByFate): string {
  const parts = [
    `${executed} executed`,
    ...(unanswered === 0 ? [] : [`${unanswered} sent without an answer`]),
    ...(notSent === 0 ? [] : [`${notSent} not sent to an upstream`]),
    ...(withdrawn === 0 ? [] : [`${withdrawn} withdrawn`]),
    ...(unknown === 0 ? [] : [`${unknown} without a recorded outcome`]),
  ];
  return `${allowed} allowed: ${parts.join(', ')}`;
}
