import { taskTokenOf } from '../decide/facts.ts';
import { isDeny } from '../decision/decision.ts';
import { reuseOf } from '../decide/decided-check.ts';
import type { DecidedCheck } from '../decide/decided-check.ts';
import type { SpanReference } from '../token/claims.ts';
import { jtiDigestOf } from '../token/jti-digest.ts';
import { recordText } from './record.ts';
import { recordedArgs } from './recorded-args.ts';
import { recordedCarried } from './recorded-carried.ts';
import type { UseRecord } from './record.ts';

/** The record of one check, with the same fields on allow and deny. */
export function useRecord(judgement: DecidedCheck, span: SpanReference): UseRecord {
  const { decision, decisionId, facts, policySet, policyGeneration } = judgement;
  const { call, caller, credential, action } = facts;
  const token = taskTokenOf(facts);
  const args = isDeny(action) ? null : recordedArgs(action);
  const carried = isDeny(action) ? null : recordedCarried(action);
  // In canonical order, so that it can be concatenated.
  const record: UseRecord = {
    action: isDeny(action) ? null : action.id,
    agent: isDeny(caller) ? null : caller.id,
    at: facts.nowMs,
    credential: isDeny(credential) ? null : credential.kind,
    decision: decision.kind,
    decisionId,
    detail: isDeny(decision) ? recordText(decision.detail) : null,
    host: isDeny(call) ? '' : recordText(call.host),
    jtiDigest: token === null ? null : jtiDigestOf(token.tokenId),
    kind: 'use',
    method: isDeny(call) ? '' : recordText(call.method),
    path: isDeny(call) ? '' : recordText(call.path),
    policyGeneration,
    policyIds: decision.policyIds,
    policySet,
    reason: isDeny(decision) ? decision.reason : null,
    refusedCaller:
      facts.refusedCaller === undefined ? null : { address: facts.refusedCaller.address, id: facts.refusedCaller.id },
    reuse: reuseOf(judgement),
    spanId: span.spanId,
    task: token === null ? null : token.taskId,
    tokenUse: facts.use === 0 ? null : facts.use,
    traceId: span.traceId,
    ...(facts.usedElsewhere === undefined
      ? {}
      : { usedElsewhere: { spanId: facts.usedElsewhere.spanId, traceId: facts.usedElsewhere.traceId } }),
    ...(judgement.withdraws === undefined ? {} : { withdraws: judgement.withdraws }),
  };
  if (args === null && carried === null) return record;
  return { ...record, ...(args === null ? {} : { args }), ...(carried === null ? {} : { carried }) };
}
