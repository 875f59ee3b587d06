import type { CheckServices } from './services.ts';
import { settle } from './settle.ts';
import { allReadings } from '../../core/action/http/http.ts';
import { coveringDetail } from '../../core/action/intent-scope.ts';
import type { DecidedCheck } from '../../core/decide/decided-check.ts';
import { enforce, holdsWhileObserved } from '../../core/decide/enforce.ts';
import { taskTokenOf } from '../../core/decide/facts.ts';
import type { CallFacts } from '../../core/decide/facts.ts';
import { isDeny } from '../../core/decision/decision.ts';
import type { Deny } from '../../core/decision/decision.ts';
import { jtiDigestOf } from '../../core/token/jti-digest.ts';
import type { TaskToken } from '../../core/token/claims.ts';
import type { Spend } from '../../core/state/spend.ts';

/**
 * Spends that ask whether the single use of a task was made, without making it: both are taken together or not at all, and the
 * second never has room.
 */
const ASKING: readonly Spend[] = [{ kind: 'single-use' }, { kind: 'calls', limit: 0 }];

/**
 * Denies an observed call that would pass although the single use of its task was already made: its token is replayed. A call
 * that policies deny never reaches the settlement that would find this. `null` if there is nothing to ask; a promise of `null` if
 * the call passes, also if the state does not answer.
 */
export function replayedWhileObserved(
  services: Pick<CheckServices, 'settling' | 'states' | 'keys'>,
  { decision, decisionId, mode, facts }: DecidedCheck,
): Promise<Deny | null> | null {
  const token = taskTokenOf(facts);
  if (mode === undefined || token === null || !isDeny(decision) || isDeny(enforce(decision, mode))) return null;
  if (isSettledOrLate(decision) || !isForSingleUse(token, facts)) return null;
  const key = { issuer: token.issuer, id: token.taskId };
  const use = { decisionId, key, jtiDigest: jtiDigestOf(token.tokenId), spends: ASKING };
  return settle(services, { token, use }, []).then((settled) =>
    settled !== null && isDeny(settled) && holdsWhileObserved(settled) ? settled : null,
  );
}

/** Whether the state was asked already, or there is no time to ask it. */
const isSettledOrLate = ({ reason }: Deny): boolean => reason.startsWith('task.') || reason === 'check.deadline';

/**
 * Whether a call, if it were allowed, would be the single use of its task. If the intent does not cover the call, or its action
 * is unknown, every entry of the token must be for a single use. Sessions and messages that continue a call are no uses.
 */
function isForSingleUse({ details }: TaskToken, { action, nowMs }: CallFacts): boolean {
  const readings = isDeny(action) ? [] : allReadings(action);
  const uses = readings.filter(({ isSession, continues }) => !isSession && continues === undefined);
  if (readings.length > 0 && uses.length === 0) return false;
  const covering = uses.flatMap((reading) => {
    const detail = coveringDetail(details, reading, nowMs);
    return isDeny(detail) ? [] : [detail];
  });
  return covering.length > 0
    ? covering.some(({ constraints }) => constraints.singleUse)
    : details.length > 0 && details.every(({ constraints }) => constraints.singleUse);
}
