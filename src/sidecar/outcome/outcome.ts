import type { OutcomeClass } from '../../core/ledger/outcome-class.ts';
import type { FindingRecord, OutcomeRecord } from '../../core/ledger/outcome-record.ts';
import { VIA_UPSTREAM } from '../../core/ledger/use-fates.ts';
import type { AwaitedUse } from './pending-uses.ts';
import type { ServedCall } from './served-call.ts';

/** The records that follow from a call in the access log. */
export interface Outcome {
  /** `null` if the call is counted only by its finding. */
  readonly class: OutcomeClass | null;
  readonly record: OutcomeRecord | null;
  readonly finding: FindingRecord | null;
}

/**
 * The outcome of an ended call. A call with a decision is recorded, even if another process decided it. A call without a decision is a
 * `bypass`, or `failure-mode-allowed`, if the proxy tried to send it upstream; if the proxy answered by itself, it is only counted.
 *
 * @param use the decision, if made by this process
 */
export function outcomeOf(call: ServedCall, use: AwaitedUse | null, nowMs: number): Outcome {
  if (call.decision === null) return outcomeWithoutDecision(call, nowMs);
  const record = recordOf(call, use, nowMs);
  const isServed = record.decision === 'deny' && isForwarded(call);
  return {
    class: classOf(call, record),
    record,
    finding: isServed ? findingOf('denied-but-served', call, nowMs, record) : null,
  };
}

function outcomeWithoutDecision(call: ServedCall, nowMs: number): Outcome {
  if (!isForwarded(call)) return { class: 'unasked', record: null, finding: null };
  const kind = call.isFailureModeAllowed ? 'failure-mode-allowed' : 'bypass';
  const ids = { decisionId: null, task: null, agent: call.peer, action: null };
  return { class: null, record: null, finding: findingOf(kind, call, nowMs, ids) };
}

/** Whether the proxy tried to send the call upstream. */
const isForwarded = (call: ServedCall): boolean => call.attempts > 0;

/** INVARIANT: a decision of this process is read from its memory. The proxy's claim is used only for decisions of others. */
function recordOf(call: ServedCall, use: AwaitedUse | null, nowMs: number): OutcomeRecord {
  const logged = call.decision;
  // In canonical order, so that the JSON need not be sorted.
  return {
    action: use === null ? (logged?.action ?? null) : use.action,
    agent: use === null ? (logged?.agent ?? null) : use.agent,
    at: nowMs,
    attempts: call.attempts,
    decision: use === null ? (logged?.kind ?? null) : use.decision.kind,
    decisionId: logged?.id ?? '',
    details: call.details,
    durationMs: call.durationMs,
    flags: call.flags,
    kind: 'outcome',
    known: use !== null,
    ...(use?.mode === undefined ? {} : { mode: use.mode }),
    requestBytes: call.requestBytes,
    responseBytes: call.responseBytes,
    status: call.status,
    task: use === null ? (logged?.task ?? null) : use.taskId,
    upstreamCluster: call.upstreamCluster,
    upstreamMs: call.upstreamMs,
  };
}

function classOf({ status, details }: ServedCall, { decision }: OutcomeRecord): OutcomeClass {
  if (decision === 'deny') return 'denied';
  if (details !== VIA_UPSTREAM || status === null) return 'unanswered';
  if (status >= 500) return 'server-error';
  return status >= 400 ? 'client-error' : 'success';
}

const findingOf = (
  finding: FindingRecord['finding'],
  call: ServedCall,
  nowMs: number,
  { decisionId, task, agent, action }: Pick<FindingRecord, 'decisionId' | 'task' | 'agent' | 'action'>,
): FindingRecord => ({
  kind: 'finding',
  at: nowMs,
  finding,
  count: 1,
  decisionId,
  task,
  agent,
  action,
  details: {
    method: call.method,
    host: call.host,
    path: call.path,
    status: call.status,
    response: call.details,
    upstreamCluster: call.upstreamCluster,
    requestId: call.requestId,
    peer: call.peer,
  },
});

/** The finding for a use without an outcome. */
export const missingOutcome = (use: AwaitedUse, nowMs: number): FindingRecord => ({
  kind: 'finding',
  at: nowMs,
  finding: 'outcome-missing',
  count: 1,
  decisionId: use.decisionId,
  task: use.taskId,
  agent: use.agent,
  action: use.action,
  details: { decision: use.decision.kind },
});

/** A finding that concerns no single use; `count` is the number of occurrences. */
export const generalFinding = (
  finding: FindingRecord['finding'],
  nowMs: number,
  { count, details }: Pick<FindingRecord, 'count' | 'details'>,
): FindingRecord => ({
  kind: 'finding',
  at: nowMs,
  finding,
  count,
  decisionId: null,
  task: null,
  agent: null,
  action: null,
  details,
});
