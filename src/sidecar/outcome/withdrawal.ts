import type { UseRecord } from '../../core/ledger/record.ts';
import type { AwaitedUse } from './pending-uses.ts';
import type { ServedCall } from './served-call.ts';
import type { AnsweredCall } from './unsent-calls.ts';

/**
 * The record that withdraws an allow whose answer came too late for the proxy, which had refused the call by itself. It has what is still known of
 * the check: no credential, token or policy.
 *
 * @param decisionId an id of its own: the allow is on disk under its id
 */
export const withdrawalOf = (
  use: AwaitedUse,
  call: ServedCall,
  { decisionId, span, nowMs }: Pick<AnsweredCall, 'span'> & { readonly decisionId: string; readonly nowMs: number },
): UseRecord => ({
  action: use.action,
  agent: use.agent,
  at: nowMs,
  credential: null,
  decision: 'deny',
  decisionId,
  detail: 'the answer came too late for Envoy, which had refused the call by itself',
  host: call.host,
  jtiDigest: null,
  kind: 'use',
  method: call.method,
  path: call.path,
  policyGeneration: null,
  policyIds: [],
  policySet: null,
  reason: 'check.deadline',
  refusedCaller: null,
  reuse: [],
  spanId: span.spanId,
  task: use.taskId,
  tokenUse: null,
  traceId: span.traceId,
  withdraws: use.decisionId,
});
