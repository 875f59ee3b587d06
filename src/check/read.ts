import type { HttpCall } from '../action/call.ts';
import type { Action } from '../action/http.ts';
import { actionFrom } from '../action/action.ts';
import { passingHeaders } from '../action/excepted-secret.ts';
import { staticSecretsIn } from '../action/static-secret.ts';
import type { AskingAgent, CheckFacts, CheckServices } from './services.ts';
import type { Facts, Presented } from '../decide/decide.ts';
import { deny, isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { callerFrom } from '../identity/caller.ts';
import type { Caller } from '../identity/caller.ts';
import { refusedCallerFrom } from '../identity/refused-caller.ts';
import { jtiDigestOf } from '../ledger/record.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import type { Clocks } from '../runtime/ports.ts';
import { isStoreFailure, stateUnavailable } from '../sqlite/store-failure.ts';
import { noHistory } from '../task/history.ts';
import { taskPermits } from '../task/task.ts';
import { credentialFrom } from '../token/authorization-header.ts';
import type { PresentedToken } from '../token/authorization-header.ts';
import type { TaskToken } from '../token/claims.ts';
import { bindingProblem } from '../token/binding.ts';
import { tokenCredentialFrom, workloadIdentity } from '../token/credential.ts';
import type { Credential } from '../token/credential.ts';
import type { ExternalToken } from '../token/external-token.ts';
import { possessionFrom } from '../token/possession.ts';
import type { Proof } from '../token/proof.ts';
import { targetUriOf } from '../token/target-uri.ts';
import type { Circumstances } from '../token/reuse.ts';
import { isExpired } from '../token/verify.ts';
import type { TokenUse } from '../token/uses.ts';

/** What a call says itself: the facts of a check that no other check changes. */
export interface Reading extends Pick<
  Facts,
  'call' | 'caller' | 'refusedCaller' | 'secrets' | 'passing' | 'credential' | 'presented' | 'action'
> {
  readonly circumstances: Circumstances;
}

/** The facts of a check, and what came before this use of its token; `null` without a token. */
export interface Gathered {
  readonly facts: Facts;
  readonly use: TokenUse | null;
}

const MAX_TOKEN_BYTES = 8192;
const plain: Presented = { scheme: 'Bearer', proof: null };

/** Reads what a call says itself: identity, action, credential with its proof. @param clocks of the whole check */
export function read(
  services: CheckServices,
  parsed: CheckFacts | Deny,
  { policies, clocks }: { readonly policies: PolicySet | Deny; readonly clocks: Clocks },
): Reading | Deny {
  if (isDeny(parsed)) return parsed;
  const nowMs = clocks.wallMs;
  const { call, peer } = parsed;
  const caller = callerFrom(peer, services.identity, nowMs);
  const refusedCaller = isDeny(caller) ? refusedCallerFrom(peer, services.identity, parsed.sourceAddress) : null;
  const action = isDeny(policies) ? policies : actionFrom(call, policies.catalog);
  const secrets = staticSecretsIn(call, { nowMs, digestOf: (secret) => services.store.digestOf(secret) });
  const passing = passingHeaders(call, secrets, { exceptions: isDeny(action) ? [] : action.staticSecrets, nowMs });
  // INVARIANT: a header that reaches the upstream was never taken for the credential of the call.
  const isUpstreams = passing.includes('authorization');
  const found = isDeny(caller) ? caller : credentialOf(services, call, { policies, clocks, isUpstreams });
  const { credential, presented } = isDeny(found) ? { credential: found, presented: plain } : found;
  const circumstances = circumstancesOf(parsed, caller, action);
  const reading = { call, caller, secrets, passing, credential, presented, action, circumstances };
  return refusedCaller === null ? reading : { ...reading, refusedCaller };
}

/**
 * Gathers what else a call is decided by, which other checks change: the uses of its token, and last the state of its task.
 *
 * @param clocks of the whole check
 */
export function gather(services: CheckServices, reading: Reading | Deny, clocks: Clocks): Gathered {
  if (isDeny(reading)) return { facts: unreadable(reading, clocks), use: null };
  const { call, caller, refusedCaller, secrets, passing, presented, action, circumstances } = reading;
  const credential = stoppedOr(services, reading, clocks);
  const useKey = isDeny(credential) || credential.kind === 'workload-identity' ? null : credential.useKey;
  const use = useKey === null ? null : services.uses.next(useKey, circumstances);
  const rest = {
    call,
    caller,
    secrets,
    passing,
    credential,
    presented,
    action,
    use: use?.use ?? 0,
    reuse: use?.reuse ?? [],
    nowMs: clocks.wallMs,
    floorMs: clocks.floorMs,
    ...(refusedCaller === undefined ? {} : { refusedCaller }),
  };
  // INVARIANT: nothing is awaited between this and `decide`, nor between that and what the use spends, so no end slips in between.
  const state = !isDeny(credential) && credential.kind === 'task-token' ? taskState(services, credential) : noTask;
  return { facts: { ...rest, ...state }, use };
}

/** States that somebody has put a task into to stop it; an end that was to be expected is none of them. */
const stopped: ReadonlySet<string> = new Set(['task.suspended', 'task.cancelled', 'task.revoked']);

/**
 * The credential of a reading; of an expired token whose task was stopped, that it was: a client answers `token.expired` with a
 * new declaration, which would get around whoever stopped it. The caller who is not the token's learns nothing.
 */
function stoppedOr(services: CheckServices, reading: Reading, clocks: Clocks): Credential | Deny {
  const { credential, caller, presented } = reading;
  if (!isDeny(credential) || !isExpired(credential)) return credential;
  const { expired, ...over } = credential;
  const { proof, scheme } = presented;
  if (isDeny(caller) || isDeny(proof)) return over;
  if (bindingProblem(expired, { caller, proof, scheme }, services.binding) !== null) return over;
  const { task, issued } = taskState(services, expired);
  const live = isDeny(task) ? task : taskPermits(task, expired, issued, clocks);
  return isDeny(live) && stopped.has(live.reason)
    ? deny(live.reason, `${live.detail}; the token of task \`${expired.taskId}\` has expired`)
    : over;
}

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

type TaskFacts = Pick<Facts, 'task' | 'issued' | 'history'>;

const noTask: TaskFacts = { task: undefined, issued: undefined, history: noHistory };

/** The task of a token with the token itself and the history, as the store has them at this moment. */
export function taskState({ store }: CheckServices, token: TaskToken): TaskFacts {
  const state = store.useStateOf(token.issuer, token.taskId, jtiDigestOf(token.tokenId));
  if (isStoreFailure(state)) return { ...noTask, task: stateUnavailable(state) };
  return state ?? noTask;
}

const unreadable = (parsed: Deny, { wallMs, floorMs }: Clocks): Facts => ({
  call: parsed,
  caller: parsed,
  secrets: [],
  passing: [],
  credential: parsed,
  presented: plain,
  ...noTask,
  action: parsed,
  use: 0,
  reuse: [],
  nowMs: wallMs,
  floorMs,
});

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

/** Who asks, as far as a valid proof shows it: without one, no token names anybody but the connection. */
export function askingAgentOf(reading: Reading | Deny): AskingAgent {
  if (isDeny(reading)) return { proven: null, hop: '' };
  const { caller, credential, presented } = reading;
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
