import type { PeerCertificate } from 'node:tls';
import { isDeny } from '../decision/decision.ts';
import { leafFromDer } from './leaf-certificate.ts';
import type { SpiffeId } from './spiffe-id.ts';

/** Why a server's certificate does not have the SPIFFE ID of `id`; `undefined` if it has. TLS has verified the chain before. */
export function notServerId(peer: PeerCertificate, { id, what }: ExpectedServer): Error | undefined {
  const leaf = leafFromDer(peer.raw);
  if (isDeny(leaf)) return new Error(`the certificate is not an X509-SVID: ${leaf.detail}`);
  return leaf.id === id ? undefined : new Error(`the ${what} is \`${leaf.id}\`, expected \`${id}\``);
}

/** The server that a connection is meant for. */
export interface ExpectedServer {
  readonly id: SpiffeId;
  /** Its role, for messages: `issuer`. */
  readonly what: string;
}
