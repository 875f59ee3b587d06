import { createHash, createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { algorithmOfKey, algorithms, type AlgorithmSpec, type SignatureAlgorithm } from './algorithms.ts';
import { bytesFromBase64url } from './base64url.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { bool, listOf, members, optional, type Reader, text } from '../../runtime/fields.ts';
import { rsaWeakness } from './rsa-strength.ts';

/** A public key for verifying signatures of exactly one algorithm. */
export interface VerificationKey {
  /** `null` if the key has no `kid`. */
  readonly keyId: string | null;
  readonly algorithm: SignatureAlgorithm;
  readonly key: KeyObject;
  /** base64url SHA-256 of the members that make up the key. @see RFC 7638 section 3 */
  readonly thumbprint: string;
}

/** A valid JSON Web Key, whether usable here or not. */
export interface Jwk {
  readonly keyId: string | null;
  /** `null` if the key is not for verifying with an algorithm of the profile. */
  readonly usable: VerificationKey | null;
}

/** Secret members: of a symmetric key, or the private half of a pair. @see RFC 7518 section 6, RFC 9964 */
const SECRET_MEMBERS = ['k', 'd', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'priv'];

const label = optional(text({ min: 0, max: 256 }));

const jwkMembers = members(
  {
    kty: text({ max: 64 }),
    kid: label,
    use: label,
    alg: label,
    crv: label,
    key_ops: optional(listOf(text({ max: 64 }), { min: 0, max: 16 })),
    ext: optional(bool),
  },
  { others: 'ignored' },
);

/**
 * Parses one public JSON Web Key. Refuses a key that is symmetric or private, contradicts itself (`alg` of another key type,
 * `use` and `key_ops` that differ, verifying mixed with another operation), is not on its curve, or is a weak RSA key.
 * Certificates and URLs in it are ignored.
 *
 * @see RFC 7517 section 4, RFC 8725 section 3.1
 */
export const jwkFrom: Reader<Jwk> = (value) => {
  const read = jwkMembers(value);
  if (isProblem(read)) return read;
  const own = new Map<string, unknown>(Object.entries(Object(value)));
  const secret = SECRET_MEMBERS.find((name) => own.has(name));
  if (read.kty === 'oct') return { problem: 'is symmetric' };
  if (secret !== undefined) return { problem: `has the secret member \`${secret}\`` };
  const purpose = purposeOf(read.use, read.key_ops);
  if (isProblem(purpose)) return purpose;
  const spec = read.alg === null ? algorithmOfKey(read.kty, read.crv) : algorithms.get(read.alg);
  if (purpose === 'other' || spec === undefined) return { keyId: read.kid, usable: null };
  if (spec.keyType !== read.kty || spec.curve !== (spec.curve === null ? null : read.crv)) {
    return { problem: `has an \`alg\` of another key type` };
  }
  const made = publicKeyFrom(own, spec);
  return isProblem(made) ? made : { keyId: read.kid, usable: { keyId: read.kid, algorithm: spec.name, ...made } };
};

/** The purpose of a key by `use` and `key_ops`, which must agree; `verify` if both are absent. */
function purposeOf(use: string | null, operations: readonly string[] | null): 'verify' | 'other' | Problem {
  const isForVerifying = operations?.includes('verify') ?? (use === null || use === 'sig');
  if (operations === null) return isForVerifying ? 'verify' : 'other';
  if (use !== null && (use === 'sig') !== isForVerifying)
    return { problem: 'has a `use` that differs from its `key_ops`' };
  if (new Set(operations).size < operations.length) return { problem: 'has a value twice in `key_ops`' };
  // A public key cannot sign: Web Crypto, and with it `jose`, refuses a public key that claims to.
  if (isForVerifying && operations.some((operation) => operation !== 'verify')) {
    return { problem: 'has `key_ops` that mix verifying with another use' };
  }
  return isForVerifying ? 'verify' : 'other';
}

function publicKeyFrom(
  members: ReadonlyMap<string, unknown>,
  spec: AlgorithmSpec,
): Pick<VerificationKey, 'key' | 'thumbprint'> | Problem {
  const jwk: Record<string, string> = { kty: spec.keyType, ...(spec.curve === null ? {} : { crv: spec.curve }) };
  for (const name of spec.members) {
    const value = members.get(name);
    if (typeof value !== 'string' || value === '' || bytesFromBase64url(value) === null) {
      return { problem: `member \`${name}\` must be base64url` };
    }
    jwk[name] = value;
  }
  if (spec.keyType === 'RSA') {
    const weakness = rsaWeakness(integerFrom(jwk['n']), integerFrom(jwk['e']));
    if (weakness !== null) return { problem: weakness };
  }
  try {
    return { key: createPublicKey({ key: jwk, format: 'jwk' }), thumbprint: thumbprintOf(jwk) };
  } catch {
    // node:crypto throws for invalid points and the like. Its message adds nothing.
    return { problem: 'is not a valid public key' };
  }
}

/** RFC 7638 thumbprint. Every member is plain base64url or a name of ours, so its JSON has one spelling. */
const thumbprintOf = (jwk: Readonly<Record<string, string>>): string => {
  const members = Object.entries(jwk).sort(([left], [right]) => (left < right ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify(Object.fromEntries(members)))
    .digest('base64url');
};

const integerFrom = (base64url = ''): bigint => BigInt(`0x0${Buffer.from(base64url, 'base64url').toString('hex')}`);
