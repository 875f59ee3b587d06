import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Ports } from '../../core/runtime/ports.ts';
import { digestOfToken } from '../../core/token/jose/jwt.ts';

/** The request that a proof is for. */
export interface ProvingRequest {
  readonly method: string;
  /** Its URL as the server is known to callers, with or without a query. */
  readonly url: string;
  /** The access token that it carries; `null` if it asks for a token. */
  readonly token: string | null;
}

const PROOF_ID_BYTES = 16;

/**
 * A key to which the tokens of one run are bound. It is made for the run, stays in this process and ends with it: a token that gets out of the run is of
 * no use without it.
 *
 * @see RFC 9449
 */
export class ProofKey {
  readonly #ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  readonly #key: KeyObject;
  /** The header of each proof, encoded. */
  readonly #header: string;

  constructor(ports: Pick<Ports, 'nowMs' | 'randomBytes'>) {
    this.#ports = ports;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    const { crv, kty, x, y } = publicKey.export({ format: 'jwk' });
    this.#header = encoded({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } });
  }

  /** A new proof, which is good for one request in the next minute. */
  proofFor({ method, token, url }: ProvingRequest): string {
    const { nowMs, randomBytes } = this.#ports;
    const [htu = ''] = url.split(/[?#]/, 1);
    const signed = `${this.#header}.${encoded({
      jti: Buffer.from(randomBytes(PROOF_ID_BYTES)).toString('base64url'),
      htm: method,
      htu,
      iat: Math.floor(nowMs() / 1_000),
      ...(token === null ? {} : { ath: digestOfToken(token) }),
    })}`;
    const signature = sign('sha256', Buffer.from(signed), { key: this.#key, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  }
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
