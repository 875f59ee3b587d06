import { deny, type Deny } from '../decision/decision.ts';
import type { Caller } from '../identity/caller.ts';
import type { AuthorizationScheme } from './authorization-header.ts';
import type { TaskToken } from './claims.ts';
import type { Confirmation } from './confirmation.ts';
import type { ExternalToken } from './external-token.ts';
import type { Proof } from './proof.ts';

/**
 * How a token is held to its caller. `certificate`: the same SPIFFE ID and the same certificate (RFC 8705).
 * `spiffe-id`: the same SPIFFE ID alone, so that a token outlives the rotation of its agent's certificate, and any
 * workload with that ID can use it. `dpop`: the key of a DPoP proof alone (RFC 9449), for agents behind a hop that ends
 * TLS. The caller is then that hop, so `client_id` need not be the caller, and the agent is `client_id`; a token bound to
 * a certificate is of no use there.
 *
 * In every mode a token bound to a DPoP key needs a proof by that key.
 */
export type BindingMode = 'certificate' | 'spiffe-id' | 'dpop';

/** How a token reached this place. */
export interface Presentation {
  readonly caller: Caller;
  /** The verified proof of the call; `null` where none was asked for or sent. */
  readonly proof: Proof | null;
  readonly scheme: AuthorizationScheme;
}

/**
 * Why the caller may not use the token, or `null` where it is the one the token was issued to: `token.binding` for another
 * caller, `identity.missing` where a certificate is to be compared and the proxy sent none, `token.proof` for a token bound to a DPoP key that came without a proof or as `Bearer`, and for any other that
 * came as `DPoP`. Checked on every use, since the token may be the same and the caller another.
 *
 * A task token made out for a delegate is for its exchange alone, whoever sends it. An external token names a client of its
 * own issuer, so its caller is not compared; it is held to its certificate or key in every mode where it has a `cnf`.
 *
 * @see RFC 8705 section 3, RFC 9449 section 7.1
 */
export function bindingProblem(
  token: TaskToken | ExternalToken,
  presented: Presentation,
  mode: BindingMode,
): Deny | null {
  if (token.kind === 'task-token') {
    if (token.delegate !== null) {
      return deny('token.binding', 'claim `may_act`: the token is for an exchange by its delegate, not for calls');
    }
    if (mode !== 'dpop' && token.clientId !== presented.caller.id) {
      return deny('token.binding', 'claim `client_id` is not the caller');
    }
    if (token.confirmation === null) return deny('token.binding', 'claim `cnf` is required');
  }
  if (token.confirmation?.kind === 'jkt') return proofProblem(token.confirmation, presented);
  if (presented.scheme === 'DPoP') {
    return deny('token.proof', 'a token that is not bound to a DPoP key must be sent as `Bearer`');
  }
  return token.confirmation === null ? null : certificateProblem(token.confirmation, token.kind, presented, mode);
}

function proofProblem({ thumbprint }: Confirmation, { proof, scheme }: Presentation): Deny | null {
  if (scheme !== 'DPoP') return deny('token.proof', 'a token bound to a DPoP key must be sent as `DPoP`');
  if (proof === null) return deny('token.proof', 'a token bound to a DPoP key needs a proof');
  return thumbprint === proof.thumbprint ? null : deny('token.binding', 'claim `cnf` is not the key of the proof');
}

/** What is missing, and where it is switched on. */
const WITHOUT_CERTIFICATE: Readonly<Record<Caller['source'], string>> = {
  peer: 'Envoy sends no peer certificate, so a token that is bound to one cannot be used: set `include_peer_certificate: true` in its ext_authz filter',
  xfcc: 'xfcc has no `Hash`, so a token that is bound to a certificate cannot be used: let the proxy that writes the header forward it',
};

function certificateProblem(
  { thumbprint }: Confirmation,
  kind: 'task-token' | 'external-token',
  { caller }: Presentation,
  mode: BindingMode,
): Deny | null {
  if (mode === 'dpop') return deny('token.binding', 'claim `cnf` must be a DPoP key where a hop ends TLS');
  if (mode === 'spiffe-id' && kind === 'task-token') return null;
  // No theft: whose certificate it is cannot be told, so no token is revoked by it.
  if (caller.certificateSha256 === null) return deny('identity.missing', WITHOUT_CERTIFICATE[caller.source]);
  return thumbprint === caller.certificateSha256
    ? null
    : deny('token.binding', 'claim `cnf` is not the certificate of the caller');
}
