const MIN_MODULUS_BITS = 2048;
/** Verification time grows with the square of the length; a longer key would let a key server slow down every check. */
const MAX_MODULUS_BITS = 8192;
const MIN_EXPONENT = 65537n;
const MAX_EXPONENT = 2n ** 32n;

/**
 * Why an RSA public key is too weak to trust, as a clause, or `null`: a modulus outside 2048 to 8192 bits, an exponent that is
 * even or outside 65537 to 2^32, or a modulus of the ROCA generator, whose private key can be computed.
 *
 * @see RFC 7518 section 3.3, FIPS 186-5 section A.1.1, CVE-2017-15361
 */
export function rsaWeakness(modulus: bigint, exponent: bigint): string | null {
  const bits = modulus.toString(2).length;
  if (bits < MIN_MODULUS_BITS || bits > MAX_MODULUS_BITS) {
    return `must have a modulus of ${MIN_MODULUS_BITS} to ${MAX_MODULUS_BITS} bits`;
  }
  if (exponent < MIN_EXPONENT || exponent > MAX_EXPONENT || exponent % 2n === 0n) {
    return 'must have an odd public exponent of 65537 to 2^32';
  }
  return isRoca(modulus) ? 'has a modulus of the broken ROCA generator' : null;
}

const ODD_PRIMES_TO_167 = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/** The residues a ROCA modulus can have, for each small prime: the powers of 65537. */
const rocaRemainders: readonly (readonly [prime: bigint, remainders: ReadonlySet<number>])[] = ODD_PRIMES_TO_167.map(
  (prime) => [BigInt(prime), powersOf65537(prime)] as const,
);

function powersOf65537(prime: number): ReadonlySet<number> {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * 65537) % prime) powers.add(power);
  return powers;
}

/** A sound modulus matches all residues by chance once in 2^27. */
const isRoca = (modulus: bigint): boolean =>
  rocaRemainders.every(([prime, remainders]) => remainders.has(Number(modulus % prime)));
