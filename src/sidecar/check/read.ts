import type { HttpCall } from '../../core/action/http/call.ts';
import type { Action } from '../../core/action/http/http.ts';
import { attemptFrom, routedAction } from '../../core/action/action.ts';
import { followUpActionFrom, isFollowUp } from '../../core/action/mcp/mcp-follow-up.ts';
import type { FollowUp } from '../../core/action/mcp/mcp-follow-up.ts';
import { passingHeaders } from '../../core/action/secrets/excepted-secret.ts';
import { noPriorCalls } from '../../core/action/mcp/prior-calls.ts';
import { staticSecretsIn } from '../../core/action/secrets/static-secret.ts';
import type { AskedCheck, CheckFacts, RefusedRequest } from './asked-check.ts';
import type { AskingAgent, CheckServices } from './services.ts';
import type { CallFacts, Presented } from '../../core/decide/facts.ts';
import { modeOf } from '../../core/decide/mode.ts';
import { Orders } from '../../core/order/orders.ts';
import { isDeny, ofRemit } from '../../core/decision/decision.ts';
import type { Deny } from '../../core/decision/decision.ts';
import { callerFrom } from '../../core/identity/caller.ts';
import type { Caller } from '../../core/identity/caller.ts';
import { refusedCallerFrom } from '../../core/identity/refused-caller.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import type { Clocks } from '../../core/runtime/ports.ts';
import { credentialFrom } from '../../core/token/authorization-header.ts';
import type { PresentedToken } from '../../core/token/authorization-header.ts';
import type { TaskToken } from '../../core/token/claims.ts';
import { tokenCredentialFrom, workloadIdentity } from '../../core/token/credential.ts';
import type { Credential } from '../../core/token/credential.ts';
import { claimedIssuer } from '../../core/token/jose/claimed-issuer.ts';
import type { ExternalToken } from '../../core/token/external-token.ts';
import { possessionFrom } from '../../core/token/proof/possession.ts';
import type { Proof } from '../../core/token/proof/proof.ts';
import { targetUriOf } from '../../core/token/proof/target-uri.ts';
import type { Circumstances } from '../../core/token/reuse.ts';
import { isExpired } from '../../core/token/verify.ts';

/** What the call itself contains: the facts that no other check changes. */
export interface CallReading extends Pick<
  CallFacts,
  'call' | 'caller' | 'refusedCaller' | 'seen' | 'secrets' | 'passing' | 'credential' | 'presented' | 'action'
> {
  readonly circumstances: Circumstances;
}

/** A check that was read: the content of its call, with the policies and clocks by which it is judged. */
export interface ReadCheck {
  readonly asked: AskedCheck;
  readonly reading: CallReading;
  readonly policies: PolicySet | Deny;
  /**
   * The set by which it was read, and by which its call is observed: the set in force, or the last set if that has expired or is
   * stale.
   */
  readonly knownBy: PolicySet | Deny;
  /** Read once, when the check began. Every later stage uses this reading. */
  readonly clocks: Clocks;
  /** Time spent on reading, in milliseconds. */
  readonly readMs: number;
  /** Set if the agent is above its rate, and the call only observed. */
  readonly isTooOften?: true;
}

const MAX_TOKEN_BYTES = 8192;
/** How a token without a proof of possession is presented. */
const plain: Presented = { scheme: 'Bearer', proof: null };

/** The services that reading a call uses. */
type ReadingServices = Pick<
  CheckServices,
  'ports' | 'states' | 'policies' | 'lastPolicies' | 'identity' | 'digestOf' | 'asking' | 'keys' | 'verified' | 'proofs'
> &
  Pick<CheckServices, 'maxTokenSeconds' | 'clockSkewSeconds' | 'externalTokens'>;

/** Reads a check: identity, action, and credential with its proof. */
export function readCheck(services: ReadingServices, asked: AskedCheck): ReadCheck {
  const clocks = services.states.clocks();
  const policies = services.policies();
  const knownBy = knownPolicies(services);
  const { facts } = asked;
  const by = { policies: knownBy, clocks };
  const reading = isDeny(facts) ? readingOfRefusedRequest(services, facts, by) : readingOf(services, facts, by);
  return { asked, reading, policies, knownBy, clocks, readMs: services.ports.monotonicMs() - clocks.monotonicMs };
}

/**
 * The set in force; if there is none, the last set, by which calls are only observed and nothing is permitted. A denial if there
 * never was a set.
 */
export function knownPolicies({
  policies,
  lastPolicies,
}: Pick<CheckServices, 'policies' | 'lastPolicies'>): PolicySet | Deny {
  const inForce = policies();
  return isDeny(inForce) ? (lastPolicies?.() ?? inForce) : inForce;
}

function readingOf(
  services: ReadingServices,
  facts: CheckFacts,
  by: { readonly policies: PolicySet | Deny; readonly clocks: Clocks },
): CallReading {
  const nowMs = by.clocks.wallMs;
  const { call, peer } = facts;
  const caller = callerFrom(peer, services.identity, nowMs);
  if (isDeny(caller)) return readingOfRefused(services, facts, { caller, ...by });
  const attempt = isDeny(by.policies) ? by.policies : attemptFrom(call, by.policies.catalog);
  const secrets = staticSecretsIn(call, { nowMs, digestOf: services.digestOf });
  const passing = passingHeaders(call, secrets, { exceptions: exceptionsOf(attempt), nowMs });
  // INVARIANT: a header that is forwarded to the upstream is never read as the credential of the call.
  const isUpstreams = passing.includes('authorization');
  const found = credentialOf(services, call, { ...by, isUpstreams });
  const { credential, presented } = isDeny(found) ? { credential: found, presented: plain } : found;
  const action = isFollowUp(attempt) ? continuedAction(services, attempt, { caller, credential, nowMs }) : attempt;
  const circumstances = circumstancesOf(facts, caller, action);
  return { call, caller, secrets, passing, credential, presented, action, circumstances };
}

/**
 * The reading of a call whose caller is refused: what its record needs. No body, header or argument of it is looked at, and
 * nothing that follows can, since the call is without its body from here on. A call that is only observed is read, so that
 * operators learn what it does.
 */
function readingOfRefused(
  services: ReadingServices,
  facts: CheckFacts,
  { caller, policies, clocks }: { readonly caller: Deny; readonly policies: PolicySet | Deny; readonly clocks: Clocks },
): CallReading {
  const { identity } = services;
  const { sourceAddress, peer } = facts;
  const routed = isDeny(policies) ? policies : routedAction(facts.call, policies.catalog);
  const { wallMs: nowMs, floorMs } = clocks;
  // An emergency covers verified callers alone.
  const seen = { call: facts.call, caller, action: routed, orders: Orders.none, nowMs, floorMs };
  const isObserved = modeOf(seen, policies) !== null;
  const call = isObserved ? facts.call : { ...facts.call, body: null };
  const action = isObserved && !isDeny(policies) ? observedAction(call, policies, caller) : routed;
  const refusedCaller = refusedCallerFrom(peer, identity, sourceAddress);
  const circumstances = circumstancesOf(facts, caller, action);
  const values = call.headers.get('authorization') ?? [];
  const credential = isObserved ? tokenOfRemit(services, values, { policies, clocks }) : null;
  const reading = { ...unreadable(caller), call, action, circumstances, credential: credential ?? caller };
  return refusedCaller === null ? reading : { ...reading, refusedCaller };
}

/** The token of Remit that an observed call carries, or why it is refused; `null` if it carries none. Its proof is not read. */
function tokenOfRemit(
  services: ReadingServices,
  values: readonly string[],
  { policies, clocks }: { readonly policies: PolicySet | Deny; readonly clocks: Clocks },
): TaskToken | Deny | null {
  const sent = sentToken(services, values);
  const credential = isDeny(sent) || isDeny(policies) ? sent : verifiedCredential(services, sent, { policies, clocks });
  if (isDeny(credential)) return credential.isOfRemit === true ? credential : null;
  return 'kind' in credential && credential.kind === 'task-token' ? credential : null;
}

/** The action of an observed call without a verified caller: it continues nobody's call. */
function observedAction(call: HttpCall, { catalog }: PolicySet, caller: Deny): Action | Deny {
  const attempt = attemptFrom(call, catalog);
  return isFollowUp(attempt) ? caller : attempt;
}

/** The long-lived credentials that may pass: those of the action, or of the session that the call continues. */
function exceptionsOf(attempt: Action | Deny | FollowUp): Action['staticSecrets'] {
  if (isDeny(attempt)) return [];
  return isFollowUp(attempt) ? attempt.mcp.session.staticSecrets : attempt.staticSecrets;
}

/** The action of a call that continues an earlier call of the same caller and task. */
function continuedAction(
  { asking }: Pick<ReadingServices, 'asking'>,
  followUp: FollowUp,
  of: { readonly caller: Caller | Deny; readonly credential: Credential | Deny; readonly nowMs: number },
): Action | Deny {
  const { caller, credential, nowMs } = of;
  if (isDeny(caller)) return caller;
  if (isDeny(credential)) return credential;
  const { mcp, session } = followUp;
  const prior = asking?.of({ caller, credential, server: mcp.session.server.id, session }, nowMs);
  return followUpActionFrom(followUp, prior ?? noPriorCalls);
}

const unreadable = (why: Deny): CallReading => ({
  call: why,
  caller: why,
  secrets: [],
  passing: [],
  credential: why,
  presented: plain,
  action: why,
  circumstances: { traceId: null, connection: null, address: null, certificate: null, server: null, risk: null },
});

/** Judges only whether the call is observed and, if so, a token of Remit that it carries. */
function readingOfRefusedRequest(
  services: ReadingServices,
  { seen: shown, ...why }: RefusedRequest,
  by: { readonly policies: PolicySet | Deny; readonly clocks: Clocks },
): CallReading {
  if (shown === undefined) return unreadable(why);
  const { wallMs: nowMs, floorMs } = by.clocks;
  const seen = { caller: callerFrom(shown.peer, services.identity, nowMs), host: shown.host };
  const reading = { ...unreadable(why), seen };
  const orders = services.states.orders();
  if (modeOf({ ...reading, orders, nowMs, floorMs }, by.policies) === null) return reading;
  return { ...reading, credential: tokenOfRemit(services, shown.authorization, by) ?? why };
}

/** Where and for what a token is used. Behind a hop, the remote address is that of the hop and does not identify the caller. */
function circumstancesOf(
  { trace, sourceAddress, sourcePort }: CheckFacts,
  caller: Caller | Deny,
  action: Action | Deny,
): Circumstances {
  const isDirect = !isDeny(caller) && caller.source === 'peer';
  return {
    // The trace ID of `00-<trace>-<span>-01`. Each `traceparent` is in this form or `null`.
    traceId: (trace.parent ?? trace.application)?.slice(3, 35) ?? null,
    connection: isDirect && sourceAddress !== null && sourcePort !== null ? `${sourceAddress}:${sourcePort}` : null,
    address: isDirect ? sourceAddress : null,
    certificate: isDeny(caller) ? null : caller.certificateSha256,
    server: isDeny(action) ? null : action.server.id,
    risk: isDeny(action) ? null : action.risk,
  };
}

/** A credential, with the proof that came with it. */
interface PresentedCredential {
  readonly credential: Credential | Deny;
  readonly presented: Presented;
}

/**
 * The verified credential of a call, with the proof that came with it. The identity alone counts if there is no `authorization` header, or if
 * that header is for the upstream.
 */
function credentialOf(
  services: ReadingServices,
  call: HttpCall,
  {
    policies,
    clocks,
    isUpstreams,
  }: { readonly policies: PolicySet | Deny; readonly clocks: Clocks; readonly isUpstreams: boolean },
): PresentedCredential | Deny {
  const values = call.headers.get('authorization') ?? [];
  if (values.length === 0 || isUpstreams) return { credential: workloadIdentity, presented: plain };
  const sent = sentToken(services, values);
  if (isDeny(sent)) return sent;
  if (isDeny(policies)) return policies;
  const credential = verifiedCredential(services, sent, { policies, clocks });
  const token = isDeny(credential) ? (isExpired(credential) ? credential.expired : null) : credential;
  if (token === null) return { credential, presented: plain };
  const proof = proofOf(services, call, { sent, credential: token, policies, clocks });
  return { credential, presented: { scheme: sent.scheme, proof } };
}

/** The token in the values of an `authorization` header. A denial says if any of them names an issuer of Remit. */
function sentToken({ keys }: Pick<ReadingServices, 'keys'>, values: readonly string[]): PresentedToken | Deny {
  const sent = credentialFrom(values);
  if (!isDeny(sent)) return sent;
  const tokens = values.flatMap((value) => value.split(',')).map((part) => part.trim().split(' ').at(-1) ?? '');
  const isRemits = tokens.some((token) => keys.kindOf(claimedIssuer(token, MAX_TOKEN_BYTES) ?? '') === 'remit');
  return isRemits ? ofRemit(sent) : sent;
}

/** The credential of a token that was sent, without its proof. */
function verifiedCredential(
  services: ReadingServices,
  sent: PresentedToken,
  { policies: { catalog }, clocks }: { readonly policies: PolicySet; readonly clocks: Clocks },
): TaskToken | ExternalToken | Deny {
  const { audiences } = catalog;
  const task = {
    audiences,
    maxLifetimeSeconds: services.maxTokenSeconds,
    clockSkewSeconds: services.clockSkewSeconds,
    maxBytes: MAX_TOKEN_BYTES,
  };
  const external = { ...services.externalTokens, audiences };
  return tokenCredentialFrom(
    sent.token,
    { task, external },
    { keys: services.keys, verified: services.verified, nowMs: clocks.wallMs, digest: sent.digest },
  );
}

/** The proof of possession of a call, checked against its target URI as callers know it. This uses the proof up. */
function proofOf(
  { proofs }: Pick<ReadingServices, 'proofs'>,
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
      nonces: proofs.nonces,
    },
  );
}

/** The agent to rate-limit: the client of the token if a valid proof by the token's key came with it, else the connection. */
export function askingAgentOf({ caller, credential, presented }: CallReading): AskingAgent {
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

/** The name under which proofs of a token take room in the replay memory. */
const agentOfToken = (token: TaskToken | ExternalToken): string =>
  token.kind === 'task-token' ? token.clientId : `${token.issuer} ${token.clientId ?? token.subject}`;
