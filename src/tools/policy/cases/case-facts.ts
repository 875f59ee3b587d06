import { actionFrom } from '../../../core/action/action.ts';
import type { HttpCall } from '../../../core/action/http/call.ts';
import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import { passingHeaders } from '../../../core/action/secrets/excepted-secret.ts';
import type { Action } from '../../../core/action/http/http.ts';
import { sha256Of, staticSecretsIn } from '../../../core/action/secrets/static-secret.ts';
import type { Rules } from '../../../core/decide/decide.ts';
import type { CallFacts, Presented } from '../../../core/decide/facts.ts';
import { deny, isDeny } from '../../../core/decision/decision.ts';
import type { Deny } from '../../../core/decision/decision.ts';
import { DecodedHeader } from '../../../sidecar/envoy/check/decoded-header.ts';
import { checkFactsFrom } from '../../../sidecar/envoy/check/request.ts';
import type { Caller } from '../../../core/identity/caller.ts';
import { trustDomainOf } from '../../../core/identity/spiffe-id.ts';
import { Orders } from '../../../core/order/orders.ts';
import type { IssuedTokenState } from '../../../core/task/issued-token.ts';
import type { Task } from '../../../core/task/task.ts';
import { AUTHORIZATION_DETAILS_TYPE } from '../../../core/token/authorization-details.ts';
import type { AuthorizationDetail } from '../../../core/token/authorization-details.ts';
import type { TaskToken } from '../../../core/token/claims.ts';
import type { Confirmation } from '../../../core/token/proof/confirmation.ts';
import { workloadIdentity } from '../../../core/token/credential.ts';
import type { Credential } from '../../../core/token/credential.ts';
import type { Proof } from '../../../core/token/proof/proof.ts';
import { grantedActions } from './granted-actions.ts';
import type { CaseCredential, CaseCircumstances, WrittenCall } from './test-case.ts';

const DIGEST = 'A'.repeat(43);
const ISSUER = 'https://issuer.test';
const TASK_ID = '00000000-0000-7000-8000-000000000000';
const TOKEN_ID = 'test-token-0000000';
const SPAN = { traceId: '0'.repeat(31) + '1', spanId: '0'.repeat(15) + '1' };
const HOUR_MS = 3_600_000;

/**
 * The facts that a server would have about a call, for `decide`: the request parsed like a CheckRequest, its action from the
 * catalog, everything else from the circumstances. Token and proof count as verified, because a case has no keys.
 */
export function caseFacts(written: WrittenCall, circumstances: CaseCircumstances, catalog: Catalog): CallFacts {
  const { agent, nowMs, credential: sent, history } = circumstances;
  const call = callFrom(written, agent);
  const action = isDeny(call) ? call : actionFrom(call, catalog);
  const secrets = isDeny(call) ? [] : staticSecretsIn(call, { nowMs, digestOf: sha256Of });
  const exceptions = isDeny(action) ? [] : action.staticSecrets;
  const credential = credentialOf(circumstances, action, catalog);
  const token = credential.kind === 'task-token' ? credential : null;
  return {
    call,
    caller: callerOf(circumstances),
    secrets,
    passing: isDeny(call) ? [] : passingHeaders(call, secrets, { exceptions, nowMs }),
    credential,
    presented: presentedOf(sent),
    task: token === null ? undefined : taskOf(token, circumstances),
    issued: token === null ? undefined : issuedOf(token),
    history: { version: history.actions.length, ...history },
    action,
    orders: Orders.none,
    use: credential.kind === 'workload-identity' ? 0 : sent.uses,
    reuse:
      credential.kind === 'workload-identity' ? [] : (sent.reuse ?? (sent.uses === 1 ? ['first'] : ['same-trace'])),
    nowMs,
    floorMs: nowMs,
  };
}

/** The binding mode of a sidecar for a token that is bound like that of the case. */
export const caseBindingOf = ({ credential }: CaseCircumstances): Rules['binding'] =>
  credential.binding === 'spiffe-id' ? 'spiffe-id' : 'certificate';

function callFrom({ method, url, headers, body }: WrittenCall, agent: string): HttpCall | Deny {
  const [, scheme, host, target] = /^(https?):\/\/([^/?#]*)([^]*)/.exec(url) ?? [];
  if (scheme === undefined || host === undefined)
    return deny('request.malformed', 'the url is not `https://host/path`');
  const path = target?.startsWith('/') === true ? target : `/${target ?? ''}`;
  const names = new Set(headers.map(([name]) => name.toLowerCase()));
  const isMeasured = names.has('content-length') || names.has('transfer-encoding');
  const lines = [
    [':method', method],
    ...headers,
    ...(body === null ? [] : [['x-envoy-auth-partial-body', 'false'] as const]),
    ...(body === null || isMeasured ? [] : [['content-length', String(body.length)] as const]),
  ] as const;
  const http = {
    method,
    scheme,
    host,
    path,
    header_map: { headers: lines.map(([key, value]) => new DecodedHeader({ key, value })) },
    ...(body === null ? {} : { raw_body: Buffer.from(body) }),
  };
  const facts = checkFactsFrom({ attributes: { source: { principal: agent }, request: { http } } }, null);
  return isDeny(facts) ? facts : facts.call;
}

const callerOf = ({ agent, nowMs }: CaseCircumstances): Caller => ({
  id: agent,
  trustDomain: trustDomainOf(agent),
  source: 'peer',
  certificateSha256: DIGEST,
  certificateNotAfterMs: nowMs + HOUR_MS,
});

const confirmationOf = ({ binding }: CaseCredential): Confirmation | null =>
  binding === 'none' ? null : { kind: binding === 'dpop' ? 'jkt' : 'x5t#S256', thumbprint: DIGEST };

function presentedOf({ kind, binding }: CaseCredential): Presented {
  if (kind === 'workload-identity' || binding !== 'dpop') return { scheme: 'Bearer', proof: null };
  const proof: Proof = { thumbprint: DIGEST, algorithm: 'ES256', proofId: TOKEN_ID, issuedAtSeconds: 0 };
  return { scheme: 'DPoP', proof };
}

function credentialOf(circumstances: CaseCircumstances, action: Action | Deny, catalog: Catalog): Credential {
  const { agent, nowMs, task, credential } = circumstances;
  if (credential.kind === 'workload-identity') return workloadIdentity;
  const nowSeconds = Math.floor(nowMs / 1000);
  const audience = isDeny(action) ? '' : action.server.audience;
  const shared = {
    issuer: ISSUER,
    audience,
    subject: task.subject ?? agent,
    scope: credential.scope ?? [],
    issuedAtSeconds: nowSeconds,
    expiresAtSeconds: nowSeconds + credential.secondsLeft,
    tokenId: TOKEN_ID,
    useKey: DIGEST,
    confirmation: confirmationOf(credential),
  };
  if (credential.kind === 'external-token') return { kind: credential.kind, clientId: null, ...shared };
  const details = detailsOf(circumstances, action, catalog);
  return {
    ...shared,
    scope: credential.scope ?? [...new Set(details.flatMap(({ actions }) => actions))],
    kind: credential.kind,
    keyId: 'test',
    clientId: agent,
    actors: task.subject === null || task.subject === agent ? [] : [agent],
    delegate: null,
    taskId: TASK_ID,
    details,
    intentHash: `sha-256:${DIGEST}`,
    issuance: SPAN,
  };
}

function detailsOf(
  { task }: CaseCircumstances,
  action: Action | Deny,
  catalog: Catalog,
): readonly AuthorizationDetail[] {
  // The grant of a token as it is: the catalog that resolved it may have been another.
  if (task.details !== null) return task.details;
  const actions = grantedActions(task.actions ?? (isDeny(action) ? [] : [action.id]), catalog);
  const audiences = actions.map((id) => catalog.actions.get(id)?.server.audience);
  const locations = [...new Set(audiences.filter((audience) => audience !== undefined))];
  const { constraints, purpose } = task;
  return [{ type: AUTHORIZATION_DETAILS_TYPE, locations, actions, constraints, purpose }];
}

function taskOf(token: TaskToken, { agent, nowMs, task }: CaseCircumstances): Task {
  const isEnded = task.state !== 'active' && task.state !== 'suspended';
  return {
    id: TASK_ID,
    issuer: ISSUER,
    agent,
    subject: token.subject,
    parentId: null,
    purpose: task.purpose,
    intentHash: token.intentHash,
    state: task.state,
    createdAtMs: nowMs - task.ageSeconds * 1000,
    deadlineMs: nowMs + HOUR_MS,
    idleMs: null,
    lastUsedMs: nowMs,
    endedAtMs: isEnded ? nowMs : null,
    cause: null,
    issuance: SPAN,
    detailsJson: '[]',
    claimed: task.claimed,
    subjectAttributes: task.subjectAttributes,
    attested: task.attested.map((one) => ({ ...one, kind: 'writer' })),
    contextRules: {},
    risk: task.risk,
    generation: 1,
  };
}

const issuedOf = (token: TaskToken): IssuedTokenState => ({
  jtiDigest: DIGEST,
  audience: token.audience,
  issuedAtMs: token.issuedAtSeconds * 1000,
  expiresAtMs: token.expiresAtSeconds * 1000,
  generation: 1,
  revokedAtMs: null,
  boundTo: DIGEST,
});
