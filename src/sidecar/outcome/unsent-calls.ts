import { LRUCache } from 'lru-cache';
import { upTo } from '../../core/runtime/collections/up-to.ts';
import type { ServedCall } from './served-call.ts';

/** What to undo of an answered check if the proxy does not send its call upstream. */
export interface AnsweredCall {
  readonly decisionId: string;
  /** `ServedCall.callName`. */
  readonly callName: string | null;
  /** Where its check is traced. */
  readonly span: { readonly traceId: string; readonly spanId: string };
  /** Undoes what it took; `null` if it took nothing. */
  readonly undo: (() => void) | null;
}

const TWO_CHECKS = 'two checks';
/** Beyond it the oldest is forgotten: what its call took stays taken. */
const MAX_CALLS = 10_000;
/**
 * Flags by which Envoy says that it refused a call before it was sent: by the check, or with no upstream to send it to. With any
 * other flag that is not certain, whatever the number of attempts: a filter other than the router may have sent the call.
 */
const UNSENT_FLAGS: ReadonlySet<string> = new Set(['UAEX', 'UH', 'NC']);

/** Whether it is certain that no upstream got the call. */
export const isUnsent = ({ attempts, flags }: Pick<ServedCall, 'attempts' | 'flags'>): boolean =>
  attempts === 0 && flags.some((flag) => UNSENT_FLAGS.has(flag));

/**
 * The answered checks, until the proxy says how their calls went: by their decision, or, if the proxy had refused a call by itself before our
 * answer came, by the name that it has at the proxy. What a call took is undone once, if it was not sent.
 */
export class UnsentCalls {
  readonly #byDecision = new LRUCache<string, AnsweredCall>(upTo(MAX_CALLS));
  /** `TWO_CHECKS`: two checks were made of the same call, so its name is ambiguous. */
  readonly #byName = new LRUCache<string, AnsweredCall | typeof TWO_CHECKS>(upTo(MAX_CALLS));
  /** Decisions and names of calls that ended unsent before it was known what they took. */
  readonly #ended = new LRUCache<string, true>(upTo(MAX_CALLS));

  answered(call: AnsweredCall): void {
    const { decisionId, callName, undo } = call;
    const isTwice = callName !== null && this.#byName.has(callName);
    if (callName !== null) this.#byName.set(callName, isTwice ? TWO_CHECKS : call);
    if (undo === null) return;
    const isOver = this.#ended.delete(decisionId) || (callName !== null && !isTwice && this.#ended.delete(callName));
    if (isOver) this.#forget(call);
    else this.#byDecision.set(decisionId, call);
    if (isOver) undo();
  }

  /** The check of a call that the proxy refused without our decision, which may have come too late for it; `null` if there is none. */
  refused(call: ServedCall): AnsweredCall | null {
    const { callName, decision } = call;
    if (callName === null || decision !== null || !isUnsent(call)) return null;
    return this.#named(callName);
  }

  /** A call has ended. */
  ended(call: ServedCall): void {
    const { decision } = call;
    const isOver = isUnsent(call);
    const known = decision === null ? this.refused(call) : this.#answeredAs(decision.id, call);
    if (known !== null) {
      this.#forget(known);
      if (isOver) known.undo?.();
      return;
    }
    const name = decision === null ? call.callName : decision.id;
    if (isOver && name !== null && decision?.kind !== 'allow') this.#ended.set(name, true);
  }

  #answeredAs(decisionId: string, { callName }: ServedCall): AnsweredCall | null {
    const known = this.#byDecision.get(decisionId) ?? (callName === null ? null : this.#named(callName));
    return known?.decisionId === decisionId ? known : null;
  }

  #named(callName: string): AnsweredCall | null {
    const known = this.#byName.get(callName);
    return known === undefined || known === TWO_CHECKS ? null : known;
  }

  #forget({ decisionId, callName }: AnsweredCall): void {
    this.#byDecision.delete(decisionId);
    if (callName !== null && this.#named(callName) !== null) this.#byName.delete(callName);
  }
}
