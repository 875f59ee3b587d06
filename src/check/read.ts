import type { HttpCall } from '../action/call.ts';
import type { Action } from '../action/http.ts';
import { actionFrom } from '../action/action.ts';
import { passingHeaders } from '../action/excepted-secret.ts';
import { staticSecretsIn } from '../action/static-secret.ts';
import type { AskingAgent, CheckCall, CheckFacts, CheckServices } from './services.ts';
import type { Facts, Presented } from '../decide/facts.ts';
import { isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { callerFrom } from '../identity/caller.ts';
import type { Caller } from '../identity/caller.ts';
import { refusedCallerFrom } from '../identity/refused-caller.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import type { Clocks } from '../runtime/ports.ts';
import { credentialFrom } from '../token/authorization-header.ts';
import type { PresentedToken } from '../token/authorization-header.ts';
import type { TaskToken } from '../token/claims.ts';
import { tokenCredentialFrom, workloadIdentity } from '../token/credential.ts';
import type { Credential } from '../token/credential.ts';
import type { ExternalToken } from '../token/external-token.ts';
import { possessionFrom } from '../token/possession.ts';
import type { Proof } from '../token/proof.ts';
import { targetUriOf } from '../token/target-uri.ts';
import type { Circumstances } from '../token/reuse.ts';
import { isExpired } from '../token/verify.ts';

/** A check as it is asked. A request that could not be read is the `Deny` that says why: it is recorded and traced like any other. */
export interface AskedCheck {
  readonly facts: CheckFacts | Deny;
  readonly call: CheckCall;
}

/** What a call says itself: the facts of a check that no other check changes. */
export interface Reading extends Pick<
  Facts,
  'call' | 'caller' | 'refusedCaller' | 'secrets' | 'passing' | 'credential' | 'presented' | 'action'
> {
  readonly circumstances: Circumstances;
}

/** A check that was read: what its call says itself, under the policies and clocks that it is judged by from here on. */
export interface ReadCheck {
  readonly asked: AskedCheck;
  readonly reading: Reading;
  readonly policies: PolicySet | Deny;
  /** Read once, when the check began: nothing that follows decides by another reading. */
  readonly clocks: Clocks;
  /** How long reading took, in milliseconds. */
  readonly readMs: number;
}

const MAX_TOKEN_BYTES = 8192;
/** A call without a proof of possession. */
const plain: Presented = { scheme: 'Bearer', proof: null };

/** Reads a check: identity, action, credential with its proof. */
export function readCheck(services: CheckServices, asked: AskedCheck): ReadCheck {
  const clocks = services.states.clocks();
  const policies = services.policies();
  const { facts } = asked;
  const reading = isDeny(facts) ? unreadable(facts) : readingOf(services, facts, { policies, clocks });
  return { asked, reading, policies, clocks, readMs: services.ports.monotonicMs() - clocks.monotonicMs };
}

function readingOf(
  services: CheckServices,
  facts: CheckFacts,
  by: { readonly policies: PolicySet | Deny; readonly clocks: Clocks },
): Reading {
  const nowMs = by.clocks.wallMs;
  const { call, peer } = facts;
  const caller = callerFrom(peer, services.identity, nowMs);
  const refusedCaller = isDeny(caller) ? refusedCallerFrom(peer, services.identity, facts.sourceAddress) : null;
  const action = isDeny(by.policies) ? by.policies : actionFrom(call, by.policies.catalog);
  const secrets = staticSecretsIn(call, { nowMs, digestOf: services.digestOf });
  const passing = passingHeaders(call, secrets, { exceptions: isDeny(action) ? [] : action.staticSecrets, nowMs });
  // INVARIANT: a header that reaches the upstream was never taken for the credential of the call.
  const isUpstreams = passing.includes('authorization');
  const found = isDeny(caller) ? caller : credentialOf(services, call, { ...by, isUpstreams });
  const { credential, presented } = isDeny(found) ? { credential: found, presented: plain } : found;
  const circumstances = circumstancesOf(facts, caller, action);
  const reading = { call, caller, secrets, passing, credential, presented, action, circumstances };
  return refusedCaller === null ? reading : { ...reading, refusedCaller };
}

const unreadable = (why: Deny): Reading => ({
  call: why,
  caller: why,
  secrets: [],
  passing: [],
  credential: why,
  presented: plain,
  action: why,
  circumstances: { traceId: null, connection: null, address: null, certificate: null, server: null, risk: null },
});

/** Where a token is used and for what. Behind a hop the other end of the connection is the hop's, and says nothing of the caller. */
function circumstancesOf(
  { trace, sourceAddress, sourcePort }: CheckFacts,
  caller: Caller | Deny,
  action: Action | Deny,
): Circumstances {
  const isDirect = !isDeny(caller) && caller.source === 'peer';
  return {
    // Of `00-<trace>-<span>-01`, which both are or they are null.
    traceId: (trace.parent ?? trace.application)?.slice(3, 35) ?? null,
    connection: isDirect && sourceAddress !== null && sourcePort !== null ? `${sourceAddress}:${sourcePort}` : null,
    address: isDirect ? sourceAddress : null,
    certificate: isDeny(caller) ? null : caller.certificateSha256,
    server: isDeny(action) ? null : action.server.id,
    risk: isDeny(action) ? null : action.risk,
  };
}

interface Found {
  readonly credential: Credential | Deny;
  readonly presented: Presented;
}

/**
 * The credential of a call, verified, with the proof that came with it. The identity alone where there is no `authorization`
 * header, or what is in it is the upstream's.
 */
function credentialOf(
  services: CheckServices,
  call: HttpCall,
  {
    policies,
    clocks,
    isUpstreams,
  }: { readonly policies: PolicySet | Deny; readonly clocks: Clocks; readonly isUpstreams: boolean },
): Found | Deny {
  const values = call.headers.get('authorization') ?? [];
  if (values.length === 0 || isUpstreams) return { credential: workloadIdentity, presented: plain };
  const sent = credentialFrom(values);
  if (isDeny(sent)) return sent;
  if (isDeny(policies)) return policies;
  const { audiences } = policies.catalog;
  const task = {
    audiences,
    maxLifetimeSeconds: services.maxTokenSeconds,
    clockSkewSeconds: services.clockSkewSeconds,
    maxBytes: MAX_TOKEN_BYTES,
  };
  const external = { ...services.externalTokens, audiences };
  const credential = tokenCredentialFrom(
    sent.token,
    { task, external },
    { keys: services.keys, verified: services.verified, nowMs: clocks.wallMs, digest: sent.digest },
  );
  const token = isDeny(credential) ? (isExpired(credential) ? credential.expired : null) : credential;
  if (token === null) return { credential, presented: plain };
  const proof = proofOf(services, call, { sent, credential: token, policies, clocks });
  return { credential, presented: { scheme: sent.scheme, proof } };
}

/** The proof that a call came with: for its target as callers know it, and used up by this. */
function proofOf(
  { proofs }: CheckServices,
  call: HttpCall,
  of: {
    readonly sent: PresentedToken;
    readonly credential: TaskToken | ExternalToken;
    readonly policies: PolicySet;
    readonly clocks: Clocks;
  },
): Proof | null | Deny {
  const at = of.policies.catalog.serverAt(call.host, call.segments);
  const base = proofs.externalUrl ?? (at.kind === 'server' ? at.server.externalUrl : '');
  return possessionFrom(
    call.headers.get('dpop') ?? [],
    { ...of.sent, confirmation: of.credential.confirmation },
    {
      method: call.method,
      url: targetUriOf(base, call.path),
      clocks: of.clocks,
      agent: agentOfToken(of.credential),
      rules: proofs.rules,
      memory: proofs.memory,
    },
  );
}

/** The agent that asks: of its token where a valid proof by the token's key came with it, else the connection alone. */
export function askingAgentOf({ caller, credential, presented }: Reading): AskingAgent {
  const hop = isDeny(caller) ? '' : caller.id;
  return { proven: isProven(credential, presented) ? agentOfToken(credential) : null, hop };
}

const isProven = (credential: Credential | Deny, { proof }: Presented): credential is TaskToken | ExternalToken =>
  !isDeny(credential) &&
  credential.kind !== 'workload-identity' &&
  proof !== null &&
  !isDeny(proof) &&
  credential.confirmation?.kind === 'jkt' &&
  credential.confirmation.thumbprint === proof.thumbprint;

/** Whose share of the replay memory the proofs of a token take. */
const agentOfToken = (token: TaskToken | ExternalToken): string =>
  token.kind === 'task-token' ? token.clientId : `${token.issuer} ${token.clientId ?? token.subject}`;
