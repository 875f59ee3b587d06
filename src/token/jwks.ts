import { createPublicKey } from 'node:crypto';
import type { CryptoKey } from 'jose';
import { algorithmOfKey, algorithms, type AlgorithmSpec, type SignatureAlgorithm } from './algorithms.ts';
import { bytesFromBase64url } from './base64url.ts';
import { isProblem, listOf, membersFrom, optional, type Problem, type Reader, text } from './members.ts';
import { rsaWeakness } from './rsa-strength.ts';

/** Longest JSON Web Key Set read, in bytes. */
export const MAX_JWKS_BYTES = 256 * 1024;

/** Most keys in one set, those Remit cannot use among them. */
export const MAX_JWKS_KEYS = 100;

/** A public key for verifying signatures of exactly one algorithm. */
export interface VerificationKey {
  /** `null` where the set names none. */
  readonly keyId: string | null;
  readonly algorithm: SignatureAlgorithm;
  readonly key: CryptoKey;
}

/**
 * The verification keys of a JSON Web Key Set, at least one. The set is refused whole where one of its keys is symmetric
 * or private, shares its `kid` with another, contradicts itself (an `alg` of another key type, a `use` and `key_ops` that
 * differ, verifying mixed with another operation), is not on its curve, or is RSA and weak: such a set is not the work of
 * a sound issuer. A key made for something else (encryption, an algorithm outside the profile or outside `allowed`) is
 * left out. No certificate or URL in a key is looked at. The problem names the key by its place, counted from 0.
 *
 * @param allowed algorithms the issuer may use
 * @see RFC 7517 sections 4 and 5, RFC 8725 section 3.1
 */
export function verificationKeysFrom(
  value: unknown,
  allowed: ReadonlySet<SignatureAlgorithm>,
): readonly VerificationKey[] | Problem {
  const set = membersFrom(
    value,
    { keys: listOf(keyFrom, { max: MAX_JWKS_KEYS }) },
    { noun: 'member', others: 'ignored' },
  );
  if (isProblem(set)) return set;
  const ids = set.keys.map(({ keyId }) => keyId).filter((keyId) => keyId !== null);
  if (new Set(ids).size < ids.length) return { problem: 'has two keys with the same `kid`' };
  const keys = set.keys.map(({ usable }) => usable).filter((key) => key !== null);
  const accepted = keys.filter((key) => allowed.has(key.algorithm));
  return accepted.length > 0 ? accepted : { problem: `has no key for ${[...allowed].join(', ')}` };
}

/** Members of a secret: of a symmetric key, or the private half of a pair. @see RFC 7518 section 6, RFC 9964 */
const SECRET_MEMBERS = ['k', 'd', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'priv'];

const label = optional(text({ min: 0, max: 256 }));

const readers = {
  kty: text({ max: 64 }),
  kid: label,
  use: label,
  alg: label,
  crv: label,
  key_ops: optional(listOf(text({ max: 64 }), { min: 0, max: 16 })),
};

interface Jwk {
  readonly keyId: string | null;
  /** `null` where the key is for something else than verifying with an algorithm of the profile. */
  readonly usable: VerificationKey | null;
}

const keyFrom: Reader<Jwk> = (value) => {
  const read = membersFrom(value, readers, { noun: 'member', others: 'ignored' });
  if (isProblem(read)) return read;
  const members = new Map<string, unknown>(Object.entries(Object(value)));
  const secret = SECRET_MEMBERS.find((name) => members.has(name));
  if (read.kty === 'oct') return { problem: 'is symmetric' };
  if (secret !== undefined) return { problem: `has the secret member \`${secret}\`` };
  const purpose = purposeOf(read.use, read.key_ops);
  if (isProblem(purpose)) return purpose;
  const spec = read.alg === null ? algorithmOfKey(read.kty, read.crv) : algorithms.get(read.alg);
  if (purpose === 'other' || spec === undefined) return { keyId: read.kid, usable: null };
  if (spec.keyType !== read.kty || spec.curve !== (spec.curve === null ? null : read.crv)) {
    return { problem: `has an \`alg\` of another key type` };
  }
  const key = publicKeyFrom(members, spec);
  return isProblem(key) ? key : { keyId: read.kid, usable: { keyId: read.kid, algorithm: spec.name, key } };
};

/** What a key is for, by its `use` and `key_ops`, which must agree; a key that says neither is for verifying. */
function purposeOf(use: string | null, operations: readonly string[] | null): 'verify' | 'other' | Problem {
  const isForVerifying = operations?.includes('verify') ?? (use === null || use === 'sig');
  if (operations === null) return isForVerifying ? 'verify' : 'other';
  if (use !== null && (use === 'sig') !== isForVerifying)
    return { problem: 'has a `use` that differs from its `key_ops`' };
  if (isForVerifying && operations.some((operation) => operation !== 'verify' && operation !== 'sign')) {
    return { problem: 'has `key_ops` that mix verifying with another use' };
  }
  return isForVerifying ? 'verify' : 'other';
}

function publicKeyFrom(members: ReadonlyMap<string, unknown>, spec: AlgorithmSpec): CryptoKey | Problem {
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
    return createPublicKey({ key: jwk, format: 'jwk' }).toCryptoKey(spec.parameters, false, ['verify']);
  } catch {
    // node:crypto throws for a point that is not on the curve and the like; its message says no more.
    return { problem: 'is not a valid public key' };
  }
}

const integerFrom = (base64url = ''): bigint => BigInt(`0x0${Buffer.from(base64url, 'base64url').toString('hex')}`);
