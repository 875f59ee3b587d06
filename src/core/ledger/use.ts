import { taskTokenOf } from '../decide/facts.ts';
import { isDeny } from '../decision/decision.ts';
import type { Decision } from '../decision/decision.ts';
import { reuseOf } from '../decide/decided-check.ts';
import type { DecidedCheck } from '../decide/decided-check.ts';
import { limitsAfter } from '../limit/counted-limit.ts';
import type { SpanReference } from '../token/claims.ts';
import { jtiDigestOf } from '../token/jti-digest.ts';
import { recordText } from './record.ts';
import { recordedArgs } from './recorded-args.ts';
import { recordedCarried } from './recorded-carried.ts';
import type { UseRecord, WouldBe } from './record.ts';

/** What enforcing would have answered. */
function wouldBe(decision: Decision): WouldBe {
  const would = isDeny(decision) ? decision : (decision.observed ?? decision);
  return {
    decision: would.kind,
    detail: isDeny(would) ? recordText(would.detail) : null,
    policyIds: would.policyIds,
    reason: isDeny(would) ? would.reason : null,
  };
}

/** The record of one check, with the same fields on allow and deny. */
export function useRecord(judgement: DecidedCheck, span: SpanReference): UseRecord {
  const { decision, decisionId, facts, mode = null, policySet, policyGeneration } = judgement;
  const { call, caller, credential, action } = facts;
  const token = taskTokenOf(facts);
  const args = isDeny(action) ? null : recordedArgs(action);
  const carried = isDeny(action) ? null : recordedCarried(action);
  // In canonical order: `canonicalJson` need not sort it then.
  const record: UseRecord = {
    action: isDeny(action) ? null : action.id,
    agent: isDeny(caller) ? null : caller.id,
    at: facts.nowMs,
    credential: isDeny(credential) ? null : credential.kind,
    decision: decision.kind,
    decisionId,
    detail: isDeny(decision) ? recordText(decision.detail) : null,
    ...(mode === null ? {} : { entry: mode.id }),
    host: isDeny(call) ? '' : recordText(call.host),
    jtiDigest: token === null ? null : jtiDigestOf(token.tokenId),
    kind: 'use',
    ...(judgement.limits === undefined ? {} : { limits: limitsAfter(judgement.limits, decision) }),
    method: isDeny(call) ? '' : recordText(call.method),
    ...(mode === null ? {} : { mode: 'observe' }),
    path: isDeny(call) ? '' : recordText(call.path),
    policyGeneration,
    policyIds: decision.policyIds,
    policySet,
    reason: isDeny(decision) ? decision.reason : null,
    refusedCaller:
      facts.refusedCaller === undefined ? null : { address: facts.refusedCaller.address, id: facts.refusedCaller.id },
    reuse: reuseOf(judgement),
    ...(judgement.shape === undefined ? {} : { shape: judgement.shape }),
    spanId: span.spanId,
    task: token === null ? null : token.taskId,
    tokenUse: facts.use === 0 ? null : facts.use,
    traceId: span.traceId,
    ...(facts.usedElsewhere === undefined
      ? {}
      : { usedElsewhere: { spanId: facts.usedElsewhere.spanId, traceId: facts.usedElsewhere.traceId } }),
    ...(judgement.withdraws === undefined ? {} : { withdraws: judgement.withdraws }),
    ...(mode === null ? {} : { would: wouldBe(decision) }),
  };
  if (args === null && carried === null) return record;
  return { ...record, ...(args === null ? {} : { args }), ...(carried === null ? {} : { carried }) };
}
