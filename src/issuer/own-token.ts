import { type Deny, deny, isDeny } from '../decision/decision.ts';
import { jtiDigestOf } from '../ledger/record.ts';
import { isStoreFailure, stateUnavailable } from '../sqlite/store-failure.ts';
import type { IssuedTokenState } from '../task/issued-token.ts';
import { type Task, taskPermits } from '../task/task.ts';
import type { TaskToken } from '../token/claims.ts';
import { unverifiedJwtFrom } from '../token/jwt.ts';
import { verifiedTaskToken } from '../token/verify.ts';
import type { IssuerServices } from './services.ts';

/** A task token of this issuer whose signature and claims are good; whether its task is, `liveToken` says. */
export interface OwnToken {
  readonly token: TaskToken;
  /** The payload as it was signed. */
  readonly claims: Readonly<Record<string, unknown>>;
}

const MAX_TOKEN_BYTES = 8_192;

/** Whether a token says that it is one of this issuer; nothing in it is believed by that. */
export function isOwn(compact: string, { settings }: IssuerServices): boolean {
  const jwt = unverifiedJwtFrom(compact, MAX_TOKEN_BYTES);
  return !isDeny(jwt) && jwt.issuer === settings.url;
}

/** A task token that this issuer has signed and that has not expired, by its own clock without tolerance. */
export function ownTokenFrom(compact: string, services: IssuerServices): OwnToken | Deny {
  const { policies, ports, settings, signingKeys } = services;
  if (isDeny(policies)) return policies;
  const jwt = unverifiedJwtFrom(compact, MAX_TOKEN_BYTES);
  if (isDeny(jwt)) return jwt;
  const token = verifiedTaskToken(
    jwt,
    {
      // A token made out for a delegate is for the issuer.
      audiences: new Set([...policies.catalog.audiences, settings.url]),
      maxLifetimeSeconds: 900,
      clockSkewSeconds: 0,
      maxBytes: MAX_TOKEN_BYTES,
    },
    {
      keyFor: (issuer, keyId, algorithm) =>
        issuer === settings.url
          ? signingKeys.verificationKey(keyId, algorithm)
          : deny('token.issuer', 'claim `iss` is not this issuer'),
    },
    ports.nowMs(),
  );
  // `verifiedTaskToken` refuses a payload that is not an object.
  return isDeny(token) ? token : { token, claims: jwt.claims as Readonly<Record<string, unknown>> };
}

/** A token with its task, both alive now. */
export interface LiveToken extends OwnToken {
  readonly task: Task;
  readonly issued: IssuedTokenState;
}

/** A task that a part is taken of, with the token that says so. */
export type ParentTask = Pick<LiveToken, 'task' | 'issued'>;

/**
 * The token with its task, where both may act at this moment. What is decided by it later names both as its premises, since either
 * can have ended by then (`state/premises.ts`).
 */
export function liveToken(own: OwnToken, { authority, states }: IssuerServices): LiveToken | Deny {
  const { token } = own;
  const state = states.of({ issuer: token.issuer, id: token.taskId }, jtiDigestOf(token.tokenId));
  if (isStoreFailure(state)) return stateUnavailable(state);
  const task = taskPermits(state?.task, token, state?.issued, authority.clocks());
  if (isDeny(task)) return task;
  return state?.issued === undefined
    ? deny('task.unknown', 'the store holds no such token of the task')
    : { ...own, task, issued: state.issued };
}
