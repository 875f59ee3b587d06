import type { FindingRecord, OutcomeRecord } from '../ledger/record.ts';
import type { AwaitedUse } from './pending-uses.ts';
import type { ServedCall } from './served-call.ts';

/** What can become of a call. */
export const OUTCOME_CLASSES = ['success', 'client-error', 'server-error', 'denied', 'unanswered', 'unasked'] as const;

/**
 * How a call ended, for counting: `success`, `client-error` and `server-error` by the upstream's status; `denied` by us;
 * `unanswered` where no upstream answered though it was allowed; `unasked` where no decision was made and none was needed.
 */
export type OutcomeClass = (typeof OUTCOME_CLASSES)[number];

/** What comes of one call in the access log. */
export interface Outcome {
  /** `null` where the call is counted by its finding alone. */
  readonly class: OutcomeClass | null;
  readonly record: OutcomeRecord | null;
  readonly finding: FindingRecord | null;
}

/**
 * The outcome of a call that has ended. One with a decision is recorded, known here or not. One without is a `bypass`, or
 * `failure-mode-allowed`, where the proxy sent it to an upstream or tried to; where it answered by itself, nobody was served
 * anything and it is counted alone.
 *
 * @param use of the decision, where this process made it
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

/** Whether an upstream saw the call, or would have, had it been there. */
const isForwarded = (call: ServedCall): boolean => call.attempts > 0;

/** INVARIANT: what this process decided is its own word; the proxy's is taken only where it has none. */
function recordOf(call: ServedCall, use: AwaitedUse | null, nowMs: number): OutcomeRecord {
  const logged = call.decision;
  // In the order of canonical JSON, which is then made in one go.
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
    requestBytes: call.requestBytes,
    responseBytes: call.responseBytes,
    status: call.status,
    task: use === null ? (logged?.task ?? null) : use.taskId,
    upstreamCluster: call.upstreamCluster,
    upstreamMs: call.upstreamMs,
  };
}

/** The proxy's word for an answer that an upstream gave; all else it said itself. */
const VIA_UPSTREAM = 'via_upstream';

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

/** The finding of a use whose outcome did not come. */
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

/** The finding of what concerns no one use; `count` for as many as it stands for. */
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
