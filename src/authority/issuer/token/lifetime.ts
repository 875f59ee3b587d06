/** How long a token and its task live. */
import { MAX_STEP_MS } from '../../../core/state/clock-floor.ts';
import type { Clocks } from '../../../core/runtime/ports.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import { lifeSecondsOf } from '../../../core/task/task.ts';
import type { Intent } from './intent.ts';
import { type OAuthError, oauthError } from '../oauth-error.ts';
import type { Origin } from './origin.ts';
import type { IssuerServices } from '../services.ts';

/** How long a token and its task live. */
export interface GrantedLifetime {
  /** Seconds since the Unix epoch, as `iat` and `exp` of the token. */
  readonly issuedAtSeconds: number;
  readonly expiresAtSeconds: number;
  /** Deadline of the task on the store's clock, in milliseconds since the Unix epoch. */
  readonly deadlineMs: number;
  /** Life of the task, from its declaration to its deadline. */
  readonly taskSeconds: number;
  /** Expiry of the token on the store's clock. */
  readonly tokenEndMs: number;
}

/** What the lifetimes are taken from. */
export interface LifetimeServices {
  readonly authority: { readonly clocks: () => Pick<Clocks, 'wallMs' | 'floorMs'> };
  readonly settings: Pick<IssuerServices['settings'], 'tokenSeconds' | 'taskSeconds' | 'maxTaskSeconds'>;
}

/**
 * A task lives until the end of its intent, else for the default time, and never longer than the maximum or its origin. A token
 * never outlives its configured lifetime, the task, the subject token or the client's certificate.
 *
 * Tasks use the store's clock, which no step of the wall clock moves at once; token claims use the wall clock, like all other
 * parties. If the wall clock is so far ahead that a token would be expired, none is issued until both clocks agree.
 */
export function lifetimeOf(
  leaf: Pick<LeafCertificate, 'notAfterMs'>,
  { intent, origin }: { readonly intent: Intent; readonly origin: Origin },
  { authority, settings }: LifetimeServices,
): GrantedLifetime | OAuthError {
  const { tokenSeconds, taskSeconds, maxTaskSeconds } = settings;
  const { wallMs, floorMs: startMs } = authority.clocks();
  const ownEndMs = origin.place.kind === 'same-task' ? Infinity : startMs + taskSeconds * 1_000;
  const endMs = Math.min(intent.notAfterMs ?? ownEndMs, origin.deadlineMs);
  const deadlineMs =
    origin.place.kind === 'same-task'
      ? origin.place.task.deadlineMs
      : Math.min(endMs, startMs + maxTaskSeconds * 1_000);
  const issuedAtSeconds = Math.floor(wallMs / 1_000);
  const expiresAtSeconds = Math.min(
    issuedAtSeconds + tokenSeconds,
    Math.floor(Math.min(endMs, deadlineMs) / 1_000),
    Math.floor(leaf.notAfterMs / 1_000),
    origin.expiresAtSeconds,
  );
  if (deadlineMs > startMs && expiresAtSeconds > issuedAtSeconds) {
    const tokenEndMs = startMs + expiresAtSeconds * 1_000 - wallMs;
    const createdAtMs = origin.place.kind === 'same-task' ? origin.place.task.createdAtMs : startMs;
    const taskSeconds = lifeSecondsOf({ createdAtMs, deadlineMs });
    return { issuedAtSeconds, expiresAtSeconds, deadlineMs, taskSeconds, tokenEndMs };
  }
  if (wallMs - startMs > MAX_STEP_MS && deadlineMs > startMs) {
    return oauthError('temporarily_unavailable', 'the clock of the issuer is being confirmed');
  }
  return intent.notAfterMs !== null && intent.notAfterMs <= startMs
    ? oauthError('invalid_authorization_details', 'not_after has passed')
    : oauthError('invalid_request', 'the token would live for less than a second');
}
