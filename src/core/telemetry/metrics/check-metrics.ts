import { isDeny } from '../../decision/decision.ts';
import type { Decision } from '../../decision/decision.ts';
import { reasons } from '../../decision/reasons.ts';
import type { ReasonCode } from '../../decision/reasons.ts';
import { reuseOf } from '../../decide/decided-check.ts';
import { mainClass } from '../../token/reuse.ts';
import { totalMs } from '../finished-check.ts';
import type { CheckObserver, FinishedCheck } from '../finished-check.ts';
import { KnownShapes } from './known-shapes.ts';
import type { MetricFamilies } from './metrics.ts';

type Counted = Pick<
  MetricFamilies,
  | 'decisions'
  | 'checkDuration'
  | 'stageDuration'
  | 'cacheRequests'
  | 'tokenUses'
  | 'staticSecrets'
  | 'observedDecisions'
  | 'observedShapes'
  | 'observedFaults'
>;

/** Counts checks. Series that never change are looked up once, since this runs for every check. */
export function checkMetrics(metrics: Counted): CheckObserver {
  const duration = metrics.checkDuration.of({});
  const gather = metrics.stageDuration.of({ stage: 'gather' });
  const decide = metrics.stageDuration.of({ stage: 'decide' });
  const settle = metrics.stageDuration.of({ stage: 'settle' });
  const cached = {
    hit: metrics.cacheRequests.of({ cache: 'decision', result: 'hit' }),
    miss: metrics.cacheRequests.of({ cache: 'decision', result: 'miss' }),
    bypass: metrics.cacheRequests.of({ cache: 'decision', result: 'bypass' }),
  };
  const shapes = new KnownShapes();
  const newShapes = metrics.observedShapes.of({});
  return (check) => {
    const { decision, facts, traceId, took } = check;
    const { action, call, nowMs, secrets } = facts;
    const { kind } = decision;
    const reason = isDeny(decision) ? decision.reason : 'none';
    metrics.decisions.of({ decision: kind, reason, action: isDeny(action) ? 'none' : action.id }).inc();
    if (check.mode !== undefined) countObserved(metrics, check);
    if (check.shape !== undefined && !isDeny(call) && shapes.add(call, check.shape)) newShapes.inc();
    duration.observe(totalMs(took) / 1000, traceId === null ? undefined : { traceId, atMs: nowMs });
    gather.observe(took.gatherMs / 1000);
    decide.observe(took.decideMs / 1000);
    settle.observe(took.settleMs / 1000);
    const reuse = mainClass(reuseOf(check));
    cached[check.cache].inc();
    if (reuse !== null) metrics.tokenUses.of({ class: reuse }).inc();
    for (const secret of secrets) metrics.staticSecrets.of({ kind: secret.kind, decision: kind }).inc();
  };
}

function countObserved(
  { observedDecisions, observedFaults }: Counted,
  { decision, isUnrecorded }: FinishedCheck,
): void {
  const would = isDeny(decision) ? decision : (decision.observed ?? decision);
  observedDecisions.of({ would: would.kind, reason: isDeny(would) ? would.reason : 'none' }).inc();
  const fault = isUnrecorded === true ? 'ledger.unavailable' : faultIn(decision);
  if (fault !== null) observedFaults.of({ reason: fault }).inc();
}

/** The fault of Remit for which enforcing would have denied a call that passes; `null` without a fault. */
function faultIn(decision: Decision): ReasonCode | null {
  if (isDeny(decision) || decision.observed === null) return null;
  const { reason } = decision.observed;
  return reasons[reason].httpStatus === 503 ? reason : null;
}
