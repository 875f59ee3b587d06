import type { DenialForm } from '../../../core/action/denial-form.ts';
import type { DecidedCheck } from '../../../core/decide/decided-check.ts';
import type { Decision } from '../../../core/decision/decision.ts';
import type { AskedCheck } from '../asked-check.ts';

/** A finished check with what its stages took, in milliseconds. */
export interface CheckToTrace {
  readonly asked: AskedCheck;
  /** As answered, without credentials. */
  readonly check: DecidedCheck;
  /** The decision of facts and policies, before budgets and the record. */
  readonly byPolicy: Decision;
  /** Trace ID of its span; `null` if it has none. */
  readonly traceId: string | null;
  /** How a denial was written; absent for an ordinary HTTP answer. */
  readonly form?: DenialForm;
  /** Whether the upstream gets a transaction token. */
  readonly isTokenHanded: boolean;
  readonly readMs: number;
  readonly taskMs: number;
  readonly decideMs: number;
  readonly settleMs: number;
  readonly totalMs: number;
}
