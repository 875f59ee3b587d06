import type { SpiffeId } from '../identity/spiffe-id.ts';
import { type Cause, causeOf } from './cause.ts';
import type { IssuedTokenState } from './issued-token.ts';

/** What is done about a bound token in the hands of another workload; `revoke-token` by default. */
export type BindingEffect = 'revoke-token' | 'revoke-task' | 'ignore';

/** A verified token, presented by a workload with a verified identity that is not the one it was issued to. */
export interface BindingViolation {
  readonly issuer: string;
  readonly taskId: string;
  /** What is known of the token; `undefined` where it was never issued here, and then nothing is done. */
  readonly issued: Pick<IssuedTokenState, 'jtiDigest' | 'revokedAtMs'> | undefined;
  readonly presentedBy: SpiffeId;
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/** Kills a token: refused in this process from the call on, and written as revoked as soon as it can be. It cannot fail. */
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
 * Answers a binding violation: by default the token is dead from now on for its own agent too, since it is not in its hands
 * alone. Done once: a token that is revoked already costs no write, so repeating a stolen token floods nothing.
 *
 * INVARIANT: only for a token whose signature was verified; anybody could name a `jti` otherwise.
 *
 * @returns the ledger's `event` record of it, `null` where it is nothing new. It says that the revocation is `pending`: that it was done
 *   is said by the record `token-revoked`, which is written with it and never without.
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
