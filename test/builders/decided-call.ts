/** A call that every stage lets through, as `decide` gets it. */
import type { CredentialKind } from '../../src/core/action/catalog/catalog.ts';
import type { Action } from '../../src/core/action/http/http.ts';
import type { Rules } from '../../src/core/decide/decide.ts';
import type { CallFacts } from '../../src/core/decide/facts.ts';
import type { Caller } from '../../src/core/identity/caller.ts';
import { Orders } from '../../src/core/order/orders.ts';
import type { EngineAnswer } from '../../src/core/policy/engine.ts';
import type { PolicySet } from '../../src/core/policy/loading/load.ts';
import { noHistory } from '../../src/core/task/history.ts';
import { unconstrained } from '../../src/core/token/authorization-details.ts';
import type { TaskToken } from '../../src/core/token/claims.ts';
import type { ExternalToken } from '../../src/core/token/external-token.ts';
import { actionOf, serverOf } from './action.ts';
import { httpCall } from './http-call.ts';
import { mustSpiffeId, mustTrustDomain } from './spiffe-id.ts';
import { taskNumber } from './task.ts';

export const nowMs = Date.UTC(2026, 10, 24, 12);
export const agent = mustSpiffeId('spiffe://acme.test/ns/agents/sa/planner');
export const server = serverOf();
const call = httpCall();
export const caller: Caller = {
  id: agent,
  trustDomain: mustTrustDomain('acme.test'),
  source: 'peer',
  certificateSha256: 'c'.repeat(43),
  certificateNotAfterMs: nowMs + 1,
};
export const action = actionOf({ id: 'payments.list', risk: 'low', endpoint: 'GET /v1/payments' });
export const token: TaskToken = {
  kind: 'task-token',
  issuer: 'https://issuer.acme.test',
  keyId: 'k',
  audience: server.audience,
  subject: agent,
  clientId: agent,
  actors: [],
  issuedAtSeconds: nowMs / 1000 - 10,
  expiresAtSeconds: nowMs / 1000 + 290,
  tokenId: 'j'.repeat(16),
  taskId: '0198f7a2-4b7e-7000-8000-3f6b8e0d1c2a',
  scope: [],
  details: [
    {
      type: 'urn:remit:task',
      locations: [server.audience],
      actions: ['payments.list'],
      constraints: unconstrained,
      purpose: 'look',
    },
  ],
  confirmation: { kind: 'x5t#S256', thumbprint: 'c'.repeat(43) },
  delegate: null,
  intentHash: 'sha-256:x',
  issuance: { traceId: '1'.repeat(32), spanId: '2'.repeat(16) },
  useKey: 'd',
};
export const task = taskNumber(1, {
  id: token.taskId,
  issuer: token.issuer,
  agent,
  subject: agent,
  purpose: 'look',
  intentHash: token.intentHash,
  createdAtMs: nowMs - 10_000,
  deadlineMs: nowMs + 10_000,
  issuance: token.issuance,
  lastUsedMs: nowMs - 10_000,
});

export const issued = {
  jtiDigest: 'd',
  audience: server.audience,
  issuedAtMs: nowMs,
  expiresAtMs: nowMs + 1,
  generation: 1,
  revokedAtMs: null,
  boundTo: 'c'.repeat(43),
};
const presented = { scheme: 'Bearer', proof: null } as const;
export const external: ExternalToken = {
  kind: 'external-token',
  issuer: 'https://idp.acme.test',
  audience: server.audience,
  subject: 'alice',
  clientId: null,
  scope: ['payments'],
  issuedAtSeconds: 0,
  expiresAtSeconds: nowMs,
  tokenId: null,
  useKey: 'x',
  confirmation: null,
};
export const accepting = (...kinds: readonly CredentialKind[]): Action => ({ ...action, accepts: new Set(kinds) });

export const facts: CallFacts = {
  call,
  caller,
  secrets: [],
  passing: [],
  credential: token,
  presented,
  task,
  issued,
  history: noHistory,
  action,
  orders: Orders.none,
  use: 1,
  reuse: ['first'],
  nowMs,
  floorMs: nowMs,
};

export const answering = (answer: EngineAnswer, ready = true): PolicySet =>
  ({
    ready,
    ask: () => answer,
    adviceOf: () => 'ask a person',
    isAlways: () => false,
    alwaysForbids: null,
  }) as unknown as PolicySet;

export const rules: Rules = { binding: 'certificate', policies: answering({ kind: 'permitted', policyIds: ['p'] }) };

export const change = (changed: Partial<CallFacts>): CallFacts => ({ ...facts, ...changed });
