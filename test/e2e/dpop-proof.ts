import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';

/** A new key of an agent. */
export const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** The claims of a proof. */
export interface ProofOptions {
  readonly key: ReturnType<typeof newKey>;
  readonly method: string;
  readonly url: string;
  readonly token?: string;
  /** Default: now. */
  readonly issuedAtSeconds?: number;
}

/** A DPoP proof with a unique id. */
export const dpopProof = ({ key, method, url, token, issuedAtSeconds }: ProofOptions): Promise<string> =>
  new SignJWT({
    jti: randomUUID(),
    htm: method,
    htu: url,
    iat: issuedAtSeconds ?? Math.floor(Date.now() / 1000),
    ...(token === undefined ? {} : { ath: createHash('sha256').update(token).digest('base64url') }),
  })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.publicKey.export({ format: 'jwk' }) })
    .sign(key.privateKey);
