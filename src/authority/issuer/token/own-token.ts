import { type Deny, deny, isDeny } from '../../../core/decision/decision.ts';
import { jtiDigestOf } from '../../../core/token/jti-digest.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { stateUnavailable } from '../../../core/decision/unavailable.ts';
import type { IssuedTokenState } from '../../../core/task/issued-token.ts';
import { type Task, taskPermits } from '../../../core/task/task.ts';
import type { TaskClaims, TaskToken } from '../../../core/token/claims.ts';
import { unverifiedJwtFrom } from '../../../core/token/jose/jwt.ts';
import { liveTaskToken, signedTaskClaims } from '../../../core/token/verify.ts';
import type { IssuerServices } from '../services.ts';

/** A task token of this issuer with verified signature and claims. `liveToken` checks its task. */
export interface OwnToken {
  readonly token: TaskToken;
  /** The signed payload. */
  readonly claims: Readonly<Record<string, unknown>>;
}

const MAX_TOKEN_BYTES = 8_192;

/** Whether the unverified `iss` of a token is this issuer. Selects the verification only. */
export function isOwn(compact: string, { settings }: IssuerServices): boolean {
  const jwt = unverifiedJwtFrom(compact, MAX_TOKEN_BYTES);
  return !isDeny(jwt) && jwt.issuer === settings.url;
}

/** Verifies a task token of this issuer; its expiry without tolerance for clock skew. */
export function ownTokenFrom(compact: string, services: IssuerServices): OwnToken | Deny {
  const { policies, ports, settings } = services;
  if (isDeny(policies)) return policies;
  const signed = signedClaimsFrom(compact, services);
  if (isDeny(signed)) return signed;
  const rules = {
    // The audience of a token for a delegate is the issuer.
    audiences: new Set([...policies.catalog.audiences, settings.url]),
    maxLifetimeSeconds: 900,
    clockSkewSeconds: 0,
    maxBytes: MAX_TOKEN_BYTES,
  };
  const token = liveTaskToken(signed.taskClaims, rules, ports.nowMs());
  return isDeny(token) ? token : { token, claims: signed.claims };
}

/**
 * A task token of this issuer by its signature alone, for requests that take rights away. INVARIANT: it reads no clock and no policies: a
 * token that has expired, or whose times this machine does not believe, still names its task.
 */
export function signedTokenFrom(compact: string, services: IssuerServices): TaskToken | Deny {
  const signed = signedClaimsFrom(compact, services);
  return isDeny(signed) ? signed : signed.taskClaims.token;
}

function signedClaimsFrom(
  compact: string,
  { settings, signingKeys }: IssuerServices,
): { readonly taskClaims: TaskClaims; readonly claims: OwnToken['claims'] } | Deny {
  const jwt = unverifiedJwtFrom(compact, MAX_TOKEN_BYTES);
  if (isDeny(jwt)) return jwt;
  const signed = signedTaskClaims(jwt, {
    keyFor: (issuer, keyId, algorithm) =>
      issuer === settings.url
        ? signingKeys.verificationKey(keyId, algorithm)
        : deny('token.issuer', 'claim `iss` is not this issuer'),
  });
  // Safe: `signedTaskClaims` refuses a payload that is not an object.
  return isDeny(signed) ? signed : { taskClaims: signed.claims, claims: jwt.claims as OwnToken['claims'] };
}

/** Reasons that are a fault here, independent of the token. */
export const UNAVAILABLE: ReadonlySet<string> = new Set([
  'token.keys-unavailable',
  'task.state-unavailable',
  'policy.unavailable',
]);

/** A live token with its live task. */
export interface LiveToken extends OwnToken {
  readonly task: Task;
  readonly issued: IssuedTokenState;
}

/** The parent of a sub-task, with the token that was presented for it. */
export type ParentTask = Pick<LiveToken, 'task' | 'issued'>;

/**
 * Checks that a token and its task may act now. A later write must name both as premises, because either can end in between
 * (`core/state/writes/premises.ts`).
 */
export async function liveToken(own: OwnToken, { authority }: IssuerServices): Promise<LiveToken | Deny> {
  const { token } = own;
  const state = await authority.useStateOf(token.issuer, token.taskId, jtiDigestOf(token.tokenId));
  if (isStoreFailure(state)) return stateUnavailable(state);
  const task = taskPermits(state?.task, token, state?.issued, authority.clocks());
  if (isDeny(task)) return task;
  return state?.issued === undefined
    ? deny('task.unknown', 'the store holds no such token of the task')
    : { ...own, task, issued: state.issued };
}
