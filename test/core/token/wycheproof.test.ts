import { expect, it } from '@jest/globals';
import { isDeny } from '../../../src/core/decision/decision.ts';
import type { SignatureAlgorithm } from '../../../src/core/token/jose/algorithms.ts';
import { compactJwsFrom, signatureProblem } from '../../../src/core/token/jose/compact-jws.ts';
import type { VerificationKey } from '../../../src/core/token/jose/jwk.ts';
import { verificationKeysFrom } from '../../../src/core/token/jose/jwks.ts';
import { KeyRing } from '../../../src/core/token/jose/keys.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { isSigned } from '../../../src/core/token/jose/signature.ts';
import { describeWithVectors, vectorBytes } from './vectors.ts';
import { stillPorts } from '../../builders/still-ports.ts';

interface Vectors {
  readonly testGroups: unknown[];
}
interface JwsGroup {
  readonly comment: string;
  readonly public?: unknown;
  readonly private: unknown;
  readonly tests: readonly JwsTest[];
}
interface JwsTest {
  readonly tcId: number;
  readonly comment: string;
  readonly jws: string;
  readonly result: 'valid' | 'invalid';
}
interface SignatureGroup {
  readonly publicKey: { readonly uncompressed?: string; readonly pk?: string };
  readonly tests: readonly {
    readonly tcId: number;
    readonly comment: string;
    readonly msg: string;
    readonly sig: string;
    readonly result: 'valid' | 'invalid';
  }[];
}

// Safe: a wrong shape would fail the count of cases.
const groupsFrom = (file: string): unknown[] =>
  (JSON.parse(vectorBytes(`wycheproof/${file}`).toString()) as Vectors).testGroups;
const jwsGroupsOf = (file: string) => groupsFrom(file) as readonly JwsGroup[];
const signatureGroupsOf = (file: string) => groupsFrom(file) as readonly SignatureGroup[];

const allowed: ReadonlySet<SignatureAlgorithm> = new Set(['ES256', 'Ed25519', 'RS256']);
const issuer = 'https://wycheproof.test';

/** The result of one vector: the step that refused it, or `valid`. */
async function answerTo(jwk: unknown, jws: string): Promise<string> {
  const jwks = typeof jwk === 'object' && jwk !== null && 'keys' in jwk ? jwk : { keys: [jwk] };
  let refusedSet: string | null = null;
  const ring = new KeyRing([{ issuer, algorithms: [...allowed], source: { kind: 'static', jwks } }], {
    ports: stillPorts,
    after: () => () => undefined,
    onProblem: (_issuer, problem) => {
      refusedSet = problem;
    },
  });
  const read = compactJwsFrom(jws, 8192);
  if (isDeny(read)) return `${read.reason}: ${read.detail}`;
  const key = ring.keyFor(issuer, read.keyId ?? undefined, read.algorithm);
  if (isDeny(key)) return `${key.reason}: ${refusedSet ?? key.detail}`;
  const problem = signatureProblem(read, key);
  return problem === null ? 'valid' : `${problem.reason}: ${problem.detail}`;
}

/** Why vectors labelled valid are refused: they are outside the profile of task tokens. */
const outOfProfile: readonly { readonly why: string; readonly answer: RegExp }[] = [
  {
    why: 'an algorithm outside the profile (HS*, RS384, RS512, PS*, ES512)',
    answer: /^token\.algorithm: .*not an algorithm of the profile$/,
  },
  {
    why: 'a character outside base64url, which this vector wants ignored',
    answer: /^token\.malformed: the token is not three parts/,
  },
];

/** Compares every result with its label, and counts the refused valid vectors by reason. */
async function answersOf(groups: readonly JwsGroup[]) {
  const tally = { vectors: 0, accepted: 0, refused: 0, outOfProfile: new Map<string, number>(), wrong: [] as string[] };
  for (const { comment: group, private: secret, public: open, tests } of groups) {
    for (const { comment, jws, result, tcId } of tests) {
      const answer = await answerTo(open ?? secret, jws);
      const exception = outOfProfile.find((entry) => entry.answer.test(answer));
      tally.vectors += 1;
      if (answer === 'valid' && result === 'valid') tally.accepted += 1;
      else if (answer !== 'valid' && result === 'invalid') tally.refused += 1;
      else if (answer !== 'valid' && exception !== undefined) {
        tally.outOfProfile.set(exception.why, (tally.outOfProfile.get(exception.why) ?? 0) + 1);
      } else tally.wrong.push(`${tcId} ${group}/${comment}: labelled ${result}, answered ${answer}`);
    }
  }
  return tally;
}

describeWithVectors('the JOSE vectors of Wycheproof', 'wycheproof', () => {
  it('agrees with the label of 401 signed tokens, or refuses them as out of profile', async () => {
    const tally = await answersOf(jwsGroupsOf('json_web_signature_test.json'));
    expect(tally.wrong).toEqual([]);
    expect(tally).toMatchObject({ vectors: 401, accepted: 10, refused: 355 });
    expect(Object.fromEntries(tally.outOfProfile)).toEqual({
      'an algorithm outside the profile (HS*, RS384, RS512, PS*, ES512)': 34,
      'a character outside base64url, which this vector wants ignored': 2,
    });
  });

  it('agrees with the label of 26 key sets, or refuses them as out of profile', async () => {
    const tally = await answersOf(jwsGroupsOf('json_web_key_test.json'));
    expect(tally.wrong).toEqual([]);
    expect(tally).toMatchObject({ vectors: 26, accepted: 1, refused: 21 });
    expect(Object.fromEntries(tally.outOfProfile)).toEqual({
      'an algorithm outside the profile (HS*, RS384, RS512, PS*, ES512)': 4,
    });
  });

  it.each<[number, string, unknown]>([
    [1, 'token.algorithm', 'keys entry 0 is symmetric'],
    [4, 'token.algorithm', 'keys entry 0 is symmetric'],
    [6, 'token.keys-unavailable', 'no key'],
    [7, 'token.keys-unavailable', 'ROCA'],
    [8, 'token.keys-unavailable', '2048 to 8192 bits'],
    [9, 'token.keys-unavailable', 'public exponent'],
    [19, 'token.keys-unavailable', 'no key'],
    [21, 'token.keys-unavailable', 'no key'],
    [22, 'token.keys-unavailable', 'is not a valid public key'],
    [23, 'token.keys-unavailable', '`alg` of another key type'],
    [24, 'token.keys-unavailable', '`alg` of another key type'],
  ])('refuses key set %i with %s: %s', async (id, reason, words) => {
    const group = jwsGroupsOf('json_web_key_test.json').find(({ tests }) => tests.some(({ tcId }) => tcId === id));
    const test = group?.tests.find(({ tcId }) => tcId === id);
    const answer = await answerTo(group?.public ?? group?.private, test?.jws ?? '');
    expect(answer).toContain(reason);
    expect(answer).toContain(reason === 'token.algorithm' ? reason : words);
  });
});

/** The key of a raw signature vector, parsed by our key set parser. */
function keyOf(jwk: Readonly<Record<string, string>>): VerificationKey | null {
  const keys = verificationKeysFrom({ keys: [jwk] }, allowed);
  return isProblem(keys) ? null : (keys[0] ?? null);
}

/** Verifies with our signature primitive, because a JWS cannot carry these messages. */
const verifies = (key: VerificationKey | null, sig: string, msg: string): boolean =>
  key !== null && isSigned(Buffer.from(msg, 'hex'), Buffer.from(sig, 'hex'), key);

const base64url = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url');

describeWithVectors('the signature vectors of Wycheproof', 'wycheproof', () => {
  it.each<[string, string, number, (group: SignatureGroup) => VerificationKey | null]>([
    [
      'ES256',
      'ecdsa_secp256r1_sha256_p1363_test.json',
      262,
      ({ publicKey: { uncompressed = '' } }) =>
        keyOf({
          kty: 'EC',
          crv: 'P-256',
          x: base64url(uncompressed.slice(2, 66)),
          y: base64url(uncompressed.slice(66)),
        }),
    ],
    [
      'Ed25519',
      'ed25519_test.json',
      151,
      ({ publicKey: { pk = '' } }) => keyOf({ kty: 'OKP', crv: 'Ed25519', x: base64url(pk) }),
    ],
  ])('answers each %s signature of %s (%i) as labelled', async (algorithm, file, count, keyFrom) => {
    const wrong: string[] = [];
    let vectors = 0;
    for (const group of signatureGroupsOf(file)) {
      const key = keyFrom(group);
      expect(key?.algorithm).toBe(algorithm);
      for (const { comment, msg, result, sig, tcId } of group.tests) {
        vectors += 1;
        if (verifies(key, sig, msg) !== (result === 'valid')) wrong.push(`${tcId} ${comment}: ${result}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(vectors).toBe(count);
  });
});
