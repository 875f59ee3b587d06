import type { SpiffeId } from '../identity/spiffe-id.ts';
import { type Cause, causeOf } from './cause.ts';
import type { IssuedTokenState } from './issued-token.ts';

/** What to do about a bound token presented by another workload; `revoke-token` by default. */
export type BindingEffect = 'revoke-token' | 'revoke-task' | 'ignore';

/** A verified token, presented by an authenticated workload to which it was not issued. */
export interface BindingViolation {
  readonly issuer: string;
  readonly taskId: string;
  /** The stored state of the token; `undefined` if it was not issued here, and then nothing is done. */
  readonly issued: Pick<IssuedTokenState, 'jtiDigest' | 'revokedAtMs'> | undefined;
  readonly presentedBy: SpiffeId;
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/**
 * Revokes a token: this process refuses it from now on, and the revocation is written as soon as possible. Never throws. If too
 * many revocations already wait, this one is dropped and counted, and holds in this process only.
 */
export interface TokenKiller {
  revoke(revocation: {
    readonly key: { readonly issuer: string; readonly id: string };
    readonly jtiDigest: string;
    readonly isOfTask: boolean;
    readonly cause: Cause;
    readonly presentedBy: string;
  }): void;
}

/**
 * Handles a binding violation. By default the token is revoked for its own agent too, because it has leaked. Idempotent: a
 * token that is already revoked costs no write, so repeating a stolen token causes no flood.
 *
 * INVARIANT: only for tokens whose signature was verified; otherwise anybody could name a `jti`.
 *
 * @returns the ledger's `event` record, `null` if it is nothing new. The record says that revocation is `pending`; the
 * record `token-revoked` says that it was done, and is written together with it.
 */
export function settleBindingViolation(
  killer: TokenKiller,
  { issuer, taskId, issued, presentedBy, nowMs }: BindingViolation,
  effect: BindingEffect,
) {
  if (issued === undefined || issued.revokedAtMs !== null) return null;
  const { jtiDigest } = issued;
  const cause = causeOf('binding.violation', `the token was presented by ${presentedBy}`);
  const isIgnored = effect === 'ignore';
  if (!isIgnored) {
    const key = { issuer, id: taskId };
    killer.revoke({ key, jtiDigest, isOfTask: effect === 'revoke-task', cause, presentedBy });
  }
  return {
    kind: 'event',
    at: nowMs,
    task: taskId,
    event: 'binding-violation',
    cause: cause.code,
    note: cause.note,
    by: presentedBy,
    details: { jti_digest: jtiDigest, revocation: isIgnored ? 'none' : 'pending' },
  } as const;
}
