import { httpStatusOf } from '../../../core/action/denial-form.ts';
import { reasons } from '../../../core/decision/reasons.ts';
import type { CallFacts } from '../../../core/decide/facts.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import type { UseRecord } from '../../../core/ledger/record.ts';
import { causeAt, stateAt } from '../../../core/task/task.ts';
import { taskTokenOf } from '../../../core/decide/facts.ts';
import { detail, instantText, listText } from './detail.ts';
import type { Detail } from './detail.ts';
import type { CheckToTrace } from './check-to-trace.ts';

/** The caller, by which source; or why there is none. */
export function identityDetails({ caller }: CallFacts, { refusedCaller }: UseRecord): readonly Detail[] {
  if (isDeny(caller)) {
    return [...detail('problem', caller.detail), ...detail('presented, not verified', refusedCaller?.id)];
  }
  return [
    ...detail('caller', caller.id),
    ...detail('source', caller.source === 'peer' ? 'the peer of the connection' : 'x-forwarded-client-cert'),
    ...detail('certificate', caller.certificateSha256),
    ...detail('valid until', instantText(caller.certificateNotAfterMs)),
  ];
}

/** The verified credential with its binding; or why there is none. */
export function tokenDetails(facts: CallFacts, { jtiDigest, reuse, tokenUse }: UseRecord): readonly Detail[] {
  const { credential, presented, secrets } = facts;
  const found = secrets.map(({ kind, where, name }) => `${kind} in ${where} ${name}`);
  const secret = detail('long-lived secrets', found.length === 0 ? null : listText(found));
  if (isDeny(credential)) return [...detail('problem', credential.detail), ...secret];
  if (credential.kind === 'workload-identity') return [...detail('credential', 'none but the identity'), ...secret];
  const { confirmation, issuer, audience, subject, expiresAtSeconds } = credential;
  const { proof, scheme } = presented;
  const proven = proof === null || isDeny(proof) ? null : `a ${proof.algorithm} proof of ${proof.thumbprint}`;
  const bound = confirmation === null ? 'nothing' : `${confirmation.kind} ${confirmation.thumbprint}`;
  return [
    ...detail('credential', `${credential.kind}, as ${scheme}`),
    ...detail('issuer', issuer),
    ...detail('audience', audience),
    ...detail('subject', subject),
    ...detail('client', credential.clientId),
    ...detail('expires', instantText(expiresAtSeconds * 1_000)),
    ...detail('bound to', bound),
    ...detail('proof', isDeny(proof) ? proof.detail : proven),
    ...detail('jti digest', jtiDigest),
    ...detail('use of the token', tokenUse),
    ...detail('differs from earlier uses', reuse.length === 0 ? null : listText(reuse)),
    ...secret,
  ];
}

/** The state of the task when the check was decided. */
export function taskDetails(facts: CallFacts): readonly Detail[] {
  const { task, issued, history, nowMs, floorMs } = facts;
  const token = taskTokenOf(facts);
  if (token === null) return detail('task', 'none: the call has no verified task token');
  const id = detail('task', token.taskId);
  if (isDeny(task)) return [...id, ...detail('problem', task.detail)];
  if (task === undefined) return [...id, ...detail('problem', 'not known here')];
  const at = Math.max(nowMs, floorMs);
  const cause = causeAt(task, at);
  return [
    ...id,
    ...detail('state', stateAt(task, at)),
    ...detail('cause', cause === null ? null : cause.code),
    ...detail('agent', task.agent),
    ...detail('until', instantText(task.deadlineMs)),
    ...detail('risk', task.risk),
    ...detail('generation', `${task.generation}${issued === undefined ? '' : `, of the token ${issued.generation}`}`),
    ...detail('token revoked', instantText(issued?.revokedAtMs ?? null)),
    ...detail('allowed before', listText(history.actions)),
  ];
}

/** The action of the catalog with the names of its arguments. */
export function actionDetails({ action }: CallFacts, { args }: UseRecord): readonly Detail[] {
  if (isDeny(action)) return detail('problem', action.detail);
  return [
    ...detail('action', `${action.id}, of ${action.risk} risk`),
    ...detail('server', `${action.server.id} (${action.server.audience})`),
    ...detail('entry', `${action.kind} ${action.endpoint}`),
    ...detail('mcp tool', action.mcp?.tool),
    ...detail('arguments', listText([...action.args.keys()])),
    ...detail('carried', action.carried === undefined ? null : listText(action.carried.names)),
    ...detail('other headers', action.otherHeaders === undefined ? null : listText(action.otherHeaders.names)),
    ...detail('recorded arguments', args === undefined ? null : listText(Object.keys(args))),
  ];
}

/** The policies that were evaluated, and their results. */
export function policyDetails({ check, byPolicy }: CheckToTrace): readonly Detail[] {
  const { policySet, policyGeneration, cache } = check;
  return [
    ...detail('set', policySet === null ? 'none is loaded' : policySet),
    ...detail('generation', policyGeneration),
    ...detail('cache', cache === 'bypass' ? 'no question was asked' : cache),
    ...detail('decided by', byPolicy.policyIds.length === 0 ? null : listText(byPolicy.policyIds)),
    ...detail('said', isDeny(byPolicy) ? byPolicy.advice : null),
  ];
}

const formTexts = {
  grpc: 'a gRPC status',
  'a2a-http': 'an error of A2A over HTTP and JSON',
  'json-rpc-error': 'a JSON-RPC error',
  'tool-result': 'the result of a tool',
  accepted: 'no answer, to a notification',
} as const;

/** What was answered, and what came between the policies and the answer. */
export function answerDetails({ check, traceId, isTokenHanded, form }: CheckToTrace): readonly Detail[] {
  const { decision, withdraws, decisionId } = check;
  const ids = [...detail('decision', decisionId), ...detail('trace', traceId)];
  if (!isDeny(decision)) {
    const handed = isTokenHanded ? 'handed to the upstream' : null;
    return [...ids, ...detail('answered', 'allow'), ...detail('transaction token', handed)];
  }
  const reason = reasons[decision.reason];
  return [
    ...ids,
    ...detail('answered', `${httpStatusOf(form ?? null, reason)} ${decision.reason}: ${reason.text}`),
    ...detail('in the form of', form === undefined ? null : formTexts[form.kind]),
    ...detail('cause', decision.detail),
    ...detail('withdraws the allow', withdraws),
  ];
}
