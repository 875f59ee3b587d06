import { taskTokenOf } from '../decide.ts';
import { isDeny } from '../decision/decision.ts';
import { reuseOf } from '../judgement.ts';
import type { Judgement } from '../judgement.ts';
import type { SpanReference } from '../token/claims.ts';
import { jtiDigestOf, recordText } from './record.ts';
import type { UseRecord } from './record.ts';

/** The record of one check, with the same fields on allow and on deny. */
export function useRecord({ decision, decisionId, facts, policySet }: Judgement, span: SpanReference): UseRecord {
  const { call, caller, credential, action } = facts;
  const token = taskTokenOf(facts);
  return {
    kind: 'use',
    at: facts.nowMs,
    decisionId,
    task: token === null ? null : token.taskId,
    agent: isDeny(caller) ? null : caller.id,
    credential: isDeny(credential) ? null : credential.kind,
    action: isDeny(action) ? null : action.id,
    decision: decision.kind,
    reason: isDeny(decision) ? decision.reason : null,
    policyIds: decision.policyIds,
    policySet,
    tokenUse: facts.use === 0 ? null : facts.use,
    reuse: reuseOf({ decision, facts }),
    jtiDigest: token === null ? null : jtiDigestOf(token.tokenId),
    host: isDeny(call) ? '' : recordText(call.host),
    method: isDeny(call) ? '' : recordText(call.method),
    path: isDeny(call) ? '' : recordText(call.path),
    traceId: span.traceId,
    spanId: span.spanId,
  };
}
