/** Why a call or an intent was decided so; `explain`, `policy explain`, `trace` and `task show` are views of it. */
import { cures } from '../../core/decision/cures.ts';
import { reasons } from '../../core/decision/reasons.ts';
import type { ReasonCode } from '../../core/decision/reasons.ts';
import { stageOf } from '../../sidecar/check/trace/stages.ts';
import type { StageName } from '../../sidecar/check/trace/stages.ts';

/** A decision, as a record, a trace or a rehearsal has it. */
export interface DecidedSo {
  readonly decision: 'allow' | 'deny';
  /** A code of the reasons, or the error of an OAuth answer. */
  readonly reason: string | null;
  /** The `error` of the OAuth answer to an intent, if it has no reason. */
  readonly error?: string | null;
  readonly detail?: string | null;
  readonly policyIds?: readonly string[];
}

/** Why it was decided so. */
export interface Why {
  readonly decision: 'allow' | 'deny';
  readonly reason: string | null;
  /** The stage that denied; `null` for an allow and for the error of an OAuth answer. */
  readonly stage: StageName | null;
  /** What the reason said to the client. */
  readonly meaning: string | null;
  readonly cause: string | null;
  readonly policies: readonly string[];
  /** What can be done about the reason. */
  readonly cure: string | null;
  /** The section of the guide about the reason. */
  readonly page: string | null;
}

/** Why a decision was made. */
export function whyOf({ decision, reason, error = null, detail = null, policyIds = [] }: DecidedSo): Why {
  const shown = reason ?? error;
  const of = decision === 'deny' && shown !== null && isReason(shown) ? shown : null;
  return {
    decision,
    reason: shown,
    stage: of === null ? null : stageOf(of),
    meaning: of === null ? null : reasons[of].text,
    cause: detail,
    policies: policyIds,
    cure: of === null ? null : cures[of],
    page: of === null ? null : `deploy/guide/fix/reasons.md#${of}`,
  };
}

const isReason = (code: string): code is ReasonCode => Object.hasOwn(reasons, code);

/** In one line: `deny action.unknown (the cause)`, `deny policy.forbidden by payments-limit`. */
export function whyLine({ decision, reason, cause, policies }: Why): string {
  const by = policies.length === 0 ? '' : ` by ${policies.join(', ')}`;
  // The cause of `policy.forbidden` only repeats the policies.
  const isShown = cause !== null && (by === '' || reason !== 'policy.forbidden');
  return `${decision}${reason === null ? '' : ` ${reason}`}${isShown ? ` (${cause})` : ''}${by}`;
}

/** What the reason of a denial means and what can be done about it; empty for an allow. */
export const cureLines = ({ reason, meaning, cure }: Why): readonly string[] =>
  meaning === null ? [] : [`${reason}: ${meaning}`, ...(cure === null ? [] : [`  ${cure}`])];
