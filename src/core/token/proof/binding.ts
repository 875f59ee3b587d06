import { deny, type Deny } from '../../decision/decision.ts';
import type { Caller } from '../../identity/caller.ts';
import type { AuthorizationScheme } from '../authorization-header.ts';
import type { TaskToken } from '../claims.ts';
import type { Confirmation } from './confirmation.ts';
import type { ExternalToken } from '../external-token.ts';
import type { Proof } from './proof.ts';

/**
 * How a token is bound to its caller.
 *
 * - `certificate`: same SPIFFE ID and same certificate (RFC 8705)
 * - `spiffe-id`: same SPIFFE ID only, so that a token survives the rotation of its agent's certificate; any workload with that
 *   ID can use it
 * - `dpop`: the key of a DPoP proof only (RFC 9449), for agents behind a hop that terminates TLS. The caller is then the hop
 *   and need not be `client_id`, which names the agent. Certificate-bound tokens are refused.
 *
 * In every mode a token bound to a DPoP key needs a proof by that key.
 */
export type BindingMode = 'certificate' | 'spiffe-id' | 'dpop';

/** How a token was presented. */
export interface Presentation {
  readonly caller: Caller;
  /** The verified proof of the call; `null` if none was sent or required. */
  readonly proof: Proof | null;
  readonly scheme: AuthorizationScheme;
}

/**
 * Why the caller may not use the token; `null` if it may. `token.binding`: issued to another caller. `identity.missing`: a
 * certificate must be compared and the proxy sent none. `token.proof`: a DPoP-bound token without a proof or sent as `Bearer`,
 * or any other token sent as `DPoP`. Checked on every use, because the same token may come from another caller.
 *
 * A task token with `may_act` is only for its exchange, by any sender. An external token names a client of its own issuer,
 * so its caller is not compared; if it has a `cnf`, its certificate or key is checked in every mode.
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

/** What is missing, and which setting turns it on. */
const WITHOUT_CERTIFICATE: Readonly<Record<Caller['source'], string>> = {
  peer: 'Envoy sends no peer certificate, so a token that is bound to a certificate cannot be used: set `include_peer_certificate: true` in its ext_authz filter',
  xfcc: 'xfcc has no `Hash`, so a token that is bound to a certificate cannot be used: let the proxy that writes the header forward it',
};

/** The caller has the SPIFFE ID of a task token's agent; an external token's client is not compared with it. */
const OTHER_CERTIFICATE = {
  'task-token':
    'claim `cnf` is another certificate than the caller shows, whose SPIFFE ID is right: its agent exchanges the token after a renewal of its SVID; a proxy that keeps connections of the former certificate needs `extAuthz.binding: spiffe-id`',
  'external-token': 'claim `cnf` is not the certificate of the caller',
} as const;

function certificateProblem(
  { thumbprint }: Confirmation,
  kind: 'task-token' | 'external-token',
  { caller }: Presentation,
  mode: BindingMode,
): Deny | null {
  if (mode === 'dpop') return deny('token.binding', 'claim `cnf` must be a DPoP key if a hop terminates TLS');
  if (mode === 'spiffe-id' && kind === 'task-token') return null;
  // Not evidence of theft: without a certificate the caller's cannot be compared, so no token is revoked.
  if (caller.certificateSha256 === null) return deny('identity.missing', WITHOUT_CERTIFICATE[caller.source]);
  if (thumbprint === caller.certificateSha256) return null;
  const other = deny('token.binding', OTHER_CERTIFICATE[kind]);
  return kind === 'task-token' ? { ...other, isOtherCertificate: true } : other;
}
