import { listOf, members, optional, text } from '../../runtime/fields.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { MAX_JWKS_KEYS, verificationKeysFrom, type VerificationKey } from '../../token/jose/jwks.ts';

/** The algorithms that sign bundles. */
const ALGORITHMS = new Set(['ES256', 'Ed25519', 'RS256'] as const);

/** Most names or name prefixes that a key may be limited to. */
const MAX_NAMES = 64;

/** A key that may sign bundles. */
export interface BundleSigningKey extends VerificationKey {
  /** Names of bundles that it may sign, exact or with a final `*`; `null`: any name. */
  readonly names: readonly string[] | null;
}

/** Whether a key may sign bundles of a name. */
export const maySign = ({ names }: Pick<BundleSigningKey, 'names'>, name: string): boolean =>
  names === null || names.some((own) => (own.endsWith('*') ? name.startsWith(own.slice(0, -1)) : name === own));

const scopes = members(
  {
    keys: listOf(
      members(
        {
          kid: optional(text({ min: 0, max: 256 })),
          bundles: optional(listOf(text({ max: 129 }), { max: MAX_NAMES })),
        },
        { others: 'ignored' },
      ),
      { max: MAX_JWKS_KEYS },
    ),
  },
  { others: 'ignored' },
);

/**
 * The keys of a JSON Web Key Set that may sign bundles. The member `bundles` of a key, a list of names or of beginnings with a final `*`,
 * limits it to bundles of these names. Refuses what `verificationKeysFrom` refuses, and a limited key without a `kid`.
 */
export function signingKeysFrom(value: unknown): readonly BundleSigningKey[] | Problem {
  const keys = verificationKeysFrom(value, ALGORITHMS);
  if (isProblem(keys)) return keys;
  const read = scopes(value);
  if (isProblem(read)) return read;
  if (read.keys.some(({ kid, bundles }) => kid === null && bundles !== null))
    return { problem: 'has a key with `bundles` and without a `kid`' };
  const namesOf = new Map(read.keys.map(({ kid, bundles }) => [kid, bundles]));
  return keys.map(({ keyId, algorithm, key, thumbprint }) => {
    const names = namesOf.get(keyId) ?? null;
    return { keyId, algorithm, key, thumbprint, names };
  });
}
