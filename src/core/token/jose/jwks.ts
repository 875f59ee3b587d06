/** Parses a JSON Web Key Set into keys that verify. */
import type { SignatureAlgorithm } from './algorithms.ts';
import { jwkFrom, type VerificationKey } from './jwk.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { listOf, members } from '../../runtime/fields.ts';

export type { VerificationKey };

/** Longest JSON Web Key Set read, in bytes. */
export const MAX_JWKS_BYTES = 256 * 1024;

/** Most keys in one set, including keys that Remit cannot use. */
export const MAX_JWKS_KEYS = 100;

/**
 * The verification keys of a JSON Web Key Set, at least one. Refuses the whole set if `jwkFrom` refuses any of its keys or two share a
 * `kid`: a sound issuer does not publish such a set. Keys for other purposes (encryption, an algorithm outside the
 * profile or outside `allowed`) are left out. The problem names the key by its index from 0.
 *
 * @param allowed algorithms the issuer may use
 * @see RFC 7517 sections 4 and 5, RFC 8725 section 3.1
 */
export function verificationKeysFrom(
  value: unknown,
  allowed: ReadonlySet<SignatureAlgorithm>,
): readonly VerificationKey[] | Problem {
  const set = keySet(value);
  if (isProblem(set)) return set;
  const ids = set.keys.map(({ keyId }) => keyId).filter((keyId) => keyId !== null);
  if (new Set(ids).size < ids.length) return { problem: 'has two keys with the same `kid`' };
  const keys = set.keys.map(({ usable }) => usable).filter((key) => key !== null);
  const accepted = keys.filter((key) => allowed.has(key.algorithm));
  return accepted.length > 0 ? accepted : { problem: `has no key for ${[...allowed].join(', ')}` };
}

const keySet = members({ keys: listOf(jwkFrom, { max: MAX_JWKS_KEYS }) }, { others: 'ignored' });
