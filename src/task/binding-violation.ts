import type { SpiffeId } from '../identity/spiffe-id.ts';
import { type Cause, causeOf } from './cause.ts';
import type { IssuedTokenState } from './issued-token.ts';
import type { TaskEvent } from './task.ts';

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

/** What a violation is settled with; a store failure is whatever the store answers besides. */
export interface RevokingStore<F> {
  revokeToken(jtiDigest: string, cause: Cause, by: string): boolean | F;
  applyTaskEvent(
    key: { readonly issuer: string; readonly id: string },
    event: TaskEvent,
    by: string,
  ): object | undefined | F;
}

/** What was done. `record` is the ledger's `event` record of it, `null` where it is nothing new. */
export interface BindingOutcome<F> {
  readonly done: 'token-revoked' | 'task-revoked' | 'nothing' | { readonly failure: F };
  readonly record: ReturnType<typeof recordOf> | null;
}

/**
 * Answers a binding violation: by default the token is dead from now on for its own agent too, since it is not in its hands
 * alone. Done once: a token that is revoked already costs no write, so repeating a stolen token floods nothing.
 *
 * INVARIANT: only for a token whose signature was verified; anybody could name a `jti` otherwise.
 *
 * @param isFailure tells a failure of the store from its other answers
 */
export function settleBindingViolation<F>(
  store: RevokingStore<F>,
  violation: BindingViolation,
  { effect, isFailure }: { readonly effect: BindingEffect; readonly isFailure: (value: unknown) => value is F },
): BindingOutcome<F> {
  const { issued, presentedBy } = violation;
  if (issued === undefined || issued.revokedAtMs !== null) return { done: 'nothing', record: null };
  const cause = causeOf('binding.violation', `the token was presented by ${presentedBy}`);
  const record = recordOf(violation, issued.jtiDigest, cause);
  if (effect === 'ignore') return { done: 'nothing', record };
  // The token always, so that the next presentation finds it revoked and is nothing new.
  const revoked = store.revokeToken(issued.jtiDigest, cause, 'remit');
  if (isFailure(revoked)) return { done: { failure: revoked }, record };
  if (effect === 'revoke-token') return { done: 'token-revoked', record };
  const key = { issuer: violation.issuer, id: violation.taskId };
  const ended = store.applyTaskEvent(key, { kind: 'revoke', cause }, 'remit');
  return { done: isFailure(ended) ? { failure: ended } : 'task-revoked', record };
}

const recordOf = ({ nowMs, presentedBy, taskId }: BindingViolation, jtiDigest: string, cause: Cause) =>
  ({
    kind: 'event',
    at: nowMs,
    task: taskId,
    event: 'binding-violation',
    cause: cause.code,
    note: cause.note,
    by: presentedBy,
    details: { jti_digest: jtiDigest },
  }) as const;
