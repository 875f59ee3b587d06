import { deny, isDeny, type Deny } from '../decision/decision.ts';
import type { TaskToken } from './claims.ts';
import { externalTokenOf, type ExternalToken, type ExternalTokenRules } from './external-token.ts';
import { type IssuerKind, unverifiedJwtFrom, type VerificationKeys } from './jwt.ts';
import { taskTokenOf, type TokenRules } from './verify.ts';

/** No token at all: the caller's SPIFFE ID is its only credential. */
export interface WorkloadIdentity {
  readonly kind: 'workload-identity';
}

/** The credential of a caller that carries no token. */
export const workloadIdentity: WorkloadIdentity = Object.freeze({ kind: 'workload-identity' });

/** What a call is made with; Cedar reads its kind as `credential.kind`. */
export type Credential = TaskToken | ExternalToken | WorkloadIdentity;

/** What a token of each kind must keep to here. */
export interface CredentialRules {
  readonly task: TokenRules;
  readonly external: ExternalTokenRules;
}

/** The keys of trusted issuers, with what each is trusted with. */
export interface CredentialKeys extends VerificationKeys {
  /** `undefined` for an issuer that is not trusted. */
  kindOf(issuer: string): IssuerKind | undefined;
}

/**
 * The task token or external token in a compact JWS. Which rules apply follows from what its issuer is trusted with, and
 * from nothing else in the token; keys of one kind never verify the other, so a token cannot be taken for what it is not.
 * Denies as `verifyTaskToken` and `externalTokenFrom` do, `token.issuer` for an issuer that is not trusted; the smaller of
 * the two `maxBytes` holds.
 *
 * @param nowMs milliseconds since the Unix epoch
 */
export async function tokenCredentialFrom(
  compact: string,
  rules: CredentialRules,
  keys: CredentialKeys,
  nowMs: number,
): Promise<TaskToken | ExternalToken | Deny> {
  const jwt = unverifiedJwtFrom(compact, Math.min(rules.task.maxBytes, rules.external.maxBytes));
  if (isDeny(jwt)) return jwt;
  const kind = keys.kindOf(jwt.issuer);
  if (kind === 'remit') return taskTokenOf(jwt, rules.task, keys, nowMs);
  if (kind === 'external') return externalTokenOf(jwt, rules.external, keys, nowMs);
  return deny('token.issuer', 'claim `iss` is not a trusted issuer');
}
