import { constants } from 'node:crypto';
import type { VerifyKeyObjectInput } from 'node:crypto';

/** A signature algorithm of the profile, by its fully specified JOSE name. */
export type SignatureAlgorithm = 'ES256' | 'Ed25519' | 'RS256';

/** The requirements of one algorithm on its keys. A key is for exactly one algorithm. */
export interface AlgorithmSpec {
  readonly name: SignatureAlgorithm;
  readonly keyType: 'EC' | 'OKP' | 'RSA';
  /** The JWK `crv`; `null` for RSA. */
  readonly curve: 'P-256' | 'Ed25519' | null;
  /** JWK members that make up the public key, each canonical base64url. */
  readonly members: readonly string[];
  /** The digest, as `node:crypto` names it; `null` if the algorithm implies its digest. */
  readonly digest: 'sha256' | null;
  /** Signature encoding and padding, as `node:crypto` names them. */
  readonly form: Pick<VerifyKeyObjectInput, 'dsaEncoding' | 'padding'>;
}

const specs: readonly AlgorithmSpec[] = [
  {
    name: 'ES256',
    keyType: 'EC',
    curve: 'P-256',
    members: ['x', 'y'],
    digest: 'sha256',
    form: { dsaEncoding: 'ieee-p1363' },
  },
  { name: 'Ed25519', keyType: 'OKP', curve: 'Ed25519', members: ['x'], digest: null, form: {} },
  {
    name: 'RS256',
    keyType: 'RSA',
    curve: null,
    members: ['n', 'e'],
    digest: 'sha256',
    form: { padding: constants.RSA_PKCS1_PADDING },
  },
];

/**
 * The algorithms a task token may be signed with; each issuer has its own list of accepted algorithms. `EdDSA` is not among them
 * because it does not name its curve.
 *
 * @see RFC 7518 section 3.1, RFC 9864 section 2.2, RFC 8725 section 3.1
 */
export const algorithms: ReadonlyMap<string, AlgorithmSpec> = new Map(specs.map((spec) => [spec.name, spec]));

/** The algorithm of a key without `alg`, by key type and curve; `undefined` if the profile has none. */
export const algorithmOfKey = (keyType: unknown, curve: unknown): AlgorithmSpec | undefined =>
  specs.find((spec) => spec.keyType === keyType && (spec.curve === null || spec.curve === curve));
