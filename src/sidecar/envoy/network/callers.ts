import { isDeny } from '../../../core/decision/decision.ts';
import { leafFromDer } from '../../../core/identity/leaf-certificate.ts';
import { trustDomainOf } from '../../../core/identity/spiffe-id.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import type { Svid } from '../../../core/identity/svid.ts';

/** Who a connection is, by its certificate. */
export interface PeerIdentity {
  readonly id: SpiffeId;
  /** Last instant its certificate is valid, milliseconds since the Unix epoch. */
  readonly notAfterMs: number;
}

/** Why a connection may not ask, for the log. */
export interface RefusedPeer {
  readonly problem: string;
}

/**
 * The identity in a certificate that TLS has verified with the bundle of our own trust domain. Denies an identity of another trust domain,
 * even if the bundle contains its CA.
 */
export function peerIdentityFrom(der: Uint8Array | undefined, own: Pick<Svid, 'id'>): PeerIdentity | RefusedPeer {
  if (der === undefined) return { problem: 'the connection has no certificate' };
  const leaf = leafFromDer(der);
  if (isDeny(leaf)) return { problem: leaf.detail };
  return trustDomainOf(leaf.id) === trustDomainOf(own.id)
    ? { id: leaf.id, notAfterMs: leaf.notAfterMs }
    : { problem: `\`${leaf.id}\` is not of the trust domain of this process` };
}

/** Why an identity may not ask now; `null` if it may. */
export function callerProblem(
  { id, notAfterMs }: PeerIdentity,
  { callers, nowMs }: { readonly callers: readonly SpiffeId[]; readonly nowMs: number },
): string | null {
  if (!callers.includes(id)) return `\`${id}\` is not in \`extAuthz.callers\``;
  return notAfterMs < nowMs ? `the certificate of \`${id}\` has expired` : null;
}
