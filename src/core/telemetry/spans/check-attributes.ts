import type { Action } from '../../action/http/http.ts';
import { taskTokenOf } from '../../decide/facts.ts';
import type { CallFacts } from '../../decide/facts.ts';
import { isDeny } from '../../decision/decision.ts';
import type { Decision } from '../../decision/decision.ts';
import { reasons } from '../../decision/reasons.ts';
import type { ReasonCode } from '../../decision/reasons.ts';
import type { RefusedCaller } from '../../identity/refused-caller.ts';
import { recordText } from '../../ledger/record.ts';
import { leftText, limitsAfter } from '../../limit/counted-limit.ts';
import type { CountedLimit } from '../../limit/counted-limit.ts';
import { reuseOf } from '../../decide/decided-check.ts';
import type { DecidedCheck } from '../../decide/decided-check.ts';
import type { Task } from '../../task/task.ts';
import type { SpanReference, TaskToken } from '../../token/claims.ts';
import { mainClass } from '../../token/reuse.ts';
import type { Tell } from './ended-span.ts';

/** Emits the attributes of a check's span: what was decided and why, never a token. A text of the caller is bounded as in the record. */
export function tellCheck(judgement: DecidedCheck, tell: Tell): void {
  tellDecision(judgement, tell);
  const { facts } = judgement;
  if (!isDeny(facts.caller)) tell('remit.agent', facts.caller.id);
  if (facts.refusedCaller !== undefined) tellRefused(facts.refusedCaller, tell);
  if (!isDeny(facts.action)) tellAction(facts.action, tell);
  tellCredential(facts, tell);
  const reuse = reuseOf(judgement);
  const main = mainClass(reuse);
  if (main !== null) {
    tell('remit.token.reuse', reuse);
    tell('remit.token.reuse.class', main);
  }
  tellCall(facts, tell);
}

/** Not `remit.agent`: the identity is unverified. */
function tellRefused({ id, address }: RefusedCaller, tell: Tell): void {
  tell('remit.refused_caller.id', id);
  if (address !== null) tell('remit.refused_caller.address', address);
}

/** The reason of a denial that is a fault of Remit. Other denials are no errors: they are valid answers. */
export const faultOf = ({ decision }: Pick<DecidedCheck, 'decision'>): ReasonCode | null =>
  isDeny(decision) && reasons[decision.reason].httpStatus === 503 ? decision.reason : null;

function tellDecision(judgement: DecidedCheck, tell: Tell): void {
  const { cache, decision, decisionId, withdraws, policySet, policyGeneration } = judgement;
  tell('remit.decision', decision.kind);
  tell('remit.decision.id', decisionId);
  if (withdraws !== undefined) tell('remit.decision.withdraws', withdraws);
  tell('remit.policy.ids', decision.policyIds);
  tell('remit.cache', cache);
  if (policySet !== null) tell('remit.policy.set', policySet);
  if (policyGeneration !== null) tell('remit.policy.generation', policyGeneration);
  if (judgement.limits !== undefined) tellLimits(limitsAfter(judgement.limits, decision), tell);
  if (judgement.mode !== undefined) tellObserved(judgement.mode.id, decision, tell);
  if (!isDeny(decision)) return;
  tell('remit.reason', decision.reason);
  tell('remit.detail', recordText(decision.detail));
  const fault = faultOf(judgement);
  if (fault !== null) tell('error.type', fault);
}

/** The limits that count the call, each once, and what is left of them as far as that is known. */
function tellLimits(limits: readonly CountedLimit[], tell: Tell): void {
  tell('remit.limits', [...new Set(limits.map(({ id }) => id))]);
  const left = limits.flatMap((limit) => {
    const text = leftText(limit);
    return text === null ? [] : [`${limit.id}, ${limit.counts}: ${text}`];
  });
  if (left.length > 0) tell('remit.limits.left', left);
}

/** What enforcing would have answered to a call that is only observed. */
function tellObserved(entry: string, decision: Decision, tell: Tell): void {
  const would = isDeny(decision) ? decision : (decision.observed ?? decision);
  tell('remit.mode', 'observe');
  tell('remit.mode.entry', entry);
  tell('remit.would.decision', would.kind);
  if (!isDeny(would)) return;
  tell('remit.would.reason', would.reason);
  tell('remit.would.detail', recordText(would.detail));
}

function tellAction({ id, kind, isDecidedOnHeaders, template, mcp }: Action, tell: Tell): void {
  tell('remit.action', id);
  tell('remit.action.kind', kind);
  tell('remit.decided_on', isDecidedOnHeaders ? 'headers' : 'request');
  tell('http.route', template);
  if (mcp !== undefined) tellMcp(mcp, tell);
}

/** @see OpenTelemetry semantic conventions for MCP, in development */
function tellMcp({ method, tool }: NonNullable<Action['mcp']>, tell: Tell): void {
  tell('mcp.method.name', recordText(method));
  if (tool === null) return;
  tell('gen_ai.operation.name', 'execute_tool');
  tell('gen_ai.tool.name', recordText(tool));
}

function tellCredential(facts: CallFacts, tell: Tell): void {
  if (!isDeny(facts.credential)) tell('remit.credential', facts.credential.kind);
  if (facts.use !== 0) tell('remit.token.use', facts.use);
  const token = taskTokenOf(facts);
  if (token === null) return;
  tell('remit.task.id', token.taskId);
  tell('remit.intent.hash', token.intentHash);
  tell('remit.intent.trace_id', token.issuance.traceId);
  tell('remit.issued_by.span_id', token.issuance.spanId);
  const { task } = facts;
  if (task !== undefined && !isDeny(task)) tellTask(task, token, tell);
}

/** The purpose, which the agent claims, and who delegated a part of a task: the agent before this one in the chain of actors. */
function tellTask({ parentId, purpose }: Task, { actors, subject }: TaskToken, tell: Tell): void {
  tell('remit.intent.purpose', recordText(purpose));
  if (parentId === null) return;
  tell('remit.task.parent_id', parentId);
  tell('remit.task.delegated_by', actors[1] ?? subject);
}

/** The previous use, also as attributes: for a link into another trace Jaeger shows only the span id. */
export function tellPreviousUse(previous: SpanReference | null, tell: Tell): void {
  if (previous === null) return;
  tell('remit.previous_use.trace_id', previous.traceId);
  tell('remit.previous_use.span_id', previous.spanId);
}

function tellCall({ call }: CallFacts, tell: Tell): void {
  if (isDeny(call)) return;
  tell('http.request.method', recordText(call.method));
  tell('url.scheme', call.scheme);
  tell('url.path', recordText(call.path));
  tell('server.address', recordText(call.host));
  if (call.port !== null) tell('server.port', call.port);
}
