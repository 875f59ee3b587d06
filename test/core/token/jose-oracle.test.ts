import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { compactVerify, createLocalJWKSet, jwtVerify, type JWTVerifyOptions } from 'jose';
import { parseDocument } from 'yaml';
import { isDeny, type Deny } from '../../../src/core/decision/decision.ts';
import { leafFromPem } from '../../../src/core/identity/leaf-certificate.ts';
import type { SubjectIssuer } from '../../../src/authority/issuer/token/subject-issuer.ts';
import { subjectFrom } from '../../../src/authority/issuer/token/subject-token.ts';
import { compactJwsFrom, signatureProblem } from '../../../src/core/token/jose/compact-jws.ts';
import { externalTokenFrom } from '../../../src/core/token/external-token.ts';
import type { IssuerKind } from '../../../src/core/token/jose/jwt.ts';
import { KeyRing } from '../../../src/core/token/jose/keys.ts';
import { verifyTaskToken } from '../../../src/core/token/verify.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { createAuthority } from '../../../src/dev/authority.ts';
import { externalClaims, externalIssuer, externalRules } from './external-tokens.ts';
import { changes, type Change, draftOf, tokenOf } from './jose-samples.ts';
import { audience, issuer, nowMs, nowSeconds, rules, soundClaims } from '../../builders/tokens.ts';
import { describeWithVectors, vectorBytes, vectorFiles } from './vectors.ts';
import { must } from '../../builders/must.ts';
import { stillPorts } from '../../builders/still-ports.ts';

/** Issue 14: our verifier and `jose` accept and refuse the same tokens, with the same keys and claim rules. */

const algorithms = ['ES256', 'Ed25519', 'RS256'] as const;
const idp = 'https://idp.acme.test';
const remit = 'https://remit.acme.test';
const svid = await (await createAuthority('acme.test', systemPorts)).svid('/ns/agents/sa/planner');
const leaf = must(leafFromPem(svid.certPem));
const client = leaf;

/** A kind of token: a valid one, our rules, and those of `jose`. */
interface Way {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly type: string;
  readonly issuer: string;
  readonly kind: IssuerKind;
  /** Whether it is exchanged for a task token and never sent with calls. */
  readonly isSubject?: true;
  readonly ours: (token: string, ring: KeyRing) => object | Deny;
  readonly options: JWTVerifyOptions;
}

const user = {
  iss: idp,
  sub: 'alice@acme.test',
  aud: remit,
  jti: 'token-of-alice',
  client_id: client.id,
  scope: 'payments.read',
};
const times = { iat: nowSeconds - 10, exp: nowSeconds + 290 };
const attributes = new Map<string, string>();
const subjectIssuers = [
  { kind: 'access-token', issuer: idp, audience: remit, scope: 'limits', attributes },
  { kind: 'id-jag', issuer: idp, audience: remit, scope: 'limits', attributes },
  { kind: 'jwt-svid', issuer: 'spiffe://acme.test', audience: remit, scope: 'ignored', attributes },
] as const;
const asSubject =
  (kind: SubjectIssuer['kind']): Way['ours'] =>
  (token, ring) =>
    subjectFrom(token, {
      issuers: subjectIssuers.filter((one) => one.kind === kind),
      attributeTypes: new Map(),
      keys: ring,
      leaf: client,
      proofThumbprint: null,
      nowMs,
    });
const asked = { algorithms: [...algorithms], currentDate: new Date(nowMs) };

const ways: Readonly<Record<string, Way>> = {
  'a task token': {
    claims: soundClaims,
    type: 'at+jwt',
    issuer,
    kind: 'remit',
    ours: (token, ring) => verifyTaskToken(token, rules, ring, nowMs),
    options: {
      ...asked,
      typ: 'at+jwt',
      issuer,
      audience,
      clockTolerance: 5,
      maxTokenAge: 900,
      requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti', 'txn', 'cnf', 'remit_intent', 'authorization_details'],
    },
  },
  'an external token': {
    claims: externalClaims,
    type: 'at+jwt',
    issuer: externalIssuer,
    kind: 'external',
    ours: (token, ring) =>
      externalTokenFrom(
        token,
        { ...externalRules, types: new Map([[externalIssuer, new Set(['at+jwt'] as const)]]) },
        ring,
        nowMs,
      ),
    options: {
      ...asked,
      typ: 'at+jwt',
      issuer: externalIssuer,
      audience: [...externalRules.audiences],
      clockTolerance: 5,
      maxTokenAge: 3600,
      requiredClaims: ['sub', 'iat', 'exp'],
    },
  },
  'an access token of a user': {
    claims: { ...user, ...times },
    type: 'at+jwt',
    issuer: idp,
    kind: 'external',
    isSubject: true,
    ours: asSubject('access-token'),
    options: {
      ...asked,
      typ: 'at+jwt',
      issuer: idp,
      audience: remit,
      clockTolerance: 60,
      requiredClaims: ['sub', 'iat', 'exp', 'jti', 'client_id'],
    },
  },
  'an ID-JAG': {
    claims: { ...user, ...times },
    type: 'oauth-id-jag+jwt',
    issuer: idp,
    kind: 'external',
    isSubject: true,
    ours: asSubject('id-jag'),
    options: {
      ...asked,
      typ: 'oauth-id-jag+jwt',
      issuer: idp,
      audience: remit,
      clockTolerance: 60,
      requiredClaims: ['sub', 'iat', 'exp', 'jti', 'client_id'],
    },
  },
  'a JWT-SVID': {
    claims: { sub: client.id, aud: [remit], ...times },
    type: 'JWT',
    issuer: 'spiffe://acme.test',
    kind: 'external',
    isSubject: true,
    ours: asSubject('jwt-svid'),
    options: {
      ...asked,
      algorithms: ['ES256', 'RS256'],
      audience: remit,
      clockTolerance: 60,
      requiredClaims: ['sub', 'exp'],
    },
  },
};

/** A token with its rules, parsed as leniently as possible. */
interface Sample {
  readonly token: string;
  readonly parts: readonly Buffer[];
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly jwks: readonly Readonly<Record<string, unknown>>[];
  readonly way: Way;
}

const careless = (bytes: Buffer | undefined): Readonly<Record<string, unknown>> => {
  try {
    return Object(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return {};
  }
};

function sampleOf(token: string, jwks: Sample['jwks'], way: Way): Sample {
  const parts = token.split('.').map((part) => Buffer.from(part, 'base64url'));
  return { token, parts, header: careless(parts[0]), claims: careless(parts[1]), jwks, way };
}

const texts = (value: unknown): readonly string[] => {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null
    ? [...Object.keys(value), ...Object.values(value).flatMap(texts)]
    : [];
};
const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;
const json = ({ parts }: Sample): readonly Buffer[] => parts.slice(0, 2);
const isText = (value: unknown, max: number): boolean =>
  typeof value === 'string' && value.length > 0 && value.length <= max;
const isSeconds = (value: unknown): boolean =>
  Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) < 253_402_300_800;

/** Our reasons to refuse what `jose` accepts, each with a test for the tokens it applies to. */
const stricter: readonly { readonly name: string; readonly applies: (sample: Sample) => boolean }[] = [
  {
    name: 'a header that brings or locates a key, or says what must be understood',
    applies: ({ header }) => ['crit', 'b64', 'jku', 'jwk', 'x5u', 'x5c'].some((name) => Object.hasOwn(header, name)),
  },
  {
    name: 'no `kid` in a task token',
    applies: ({ header, way }) => way.kind === 'remit' && header['kid'] === undefined,
  },
  {
    name: 'a `kid` or `typ` that is no text of 1 to 256 characters',
    applies: ({ header }) => ['kid', 'typ'].some((name) => header[name] !== undefined && !isText(header[name], 256)),
  },
  {
    name: 'a `typ` in another spelling than ours',
    applies: ({ header, way }) => String(header['typ']) !== way.type && way.kind !== 'external',
  },
  {
    name: 'a `typ` that is not that of the kind of subject token',
    applies: ({ header, way }) => way.isSubject === true && header['typ'] !== way.type,
  },
  {
    name: 'base64url that is not canonical',
    applies: ({ token, parts }) => token !== parts.map((bytes) => bytes.toString('base64url')).join('.'),
  },
  { name: 'a token that is too long', applies: ({ token }) => token.length > 8_192 },
  {
    name: 'two members of one name',
    applies: (sample) =>
      json(sample).some((bytes) =>
        parseDocument(bytes.toString('utf8')).errors.some(({ code }) => code === 'DUPLICATE_KEY'),
      ),
  },
  {
    name: 'a byte order mark',
    applies: (sample) => json(sample).some((bytes) => bytes.subarray(0, 3).equals(Buffer.from('\uFEFF'))),
  },
  {
    name: 'U+0000 or a lone surrogate in a text',
    applies: ({ header, claims }) =>
      texts([header, claims]).some((text) => text.includes('\0') || !text.isWellFormed()),
  },
  { name: 'nesting deeper than 32', applies: ({ header, claims }) => depthOf(header) > 32 || depthOf(claims) > 32 },
  {
    name: 'a time that is not in whole seconds from 0 to the year 9999',
    applies: ({ claims }) =>
      ['exp', 'iat', 'nbf'].some((name) => claims[name] !== undefined && !isSeconds(claims[name])),
  },
  {
    name: 'a life that is over before it begins, or longer than allowed',
    applies: ({ claims, way }) => {
      const life = Number(claims['exp']) - Number(claims['iat'] ?? Number(claims['exp']) - 1);
      return life <= 0 || life > Number(way.options.maxTokenAge ?? Infinity);
    },
  },
  {
    name: 'a subject token that has expired by less than clocks may differ, or is of the future',
    applies: ({ claims, way }) =>
      way.isSubject === true && (Number(claims['exp']) <= nowSeconds || Number(claims['iat']) > nowSeconds + 60),
  },
  {
    name: 'an audience beside the expected audience, which must be alone',
    applies: ({ claims, way }) =>
      [claims['aud']].flat().length > 1 && (way.kind === 'remit' || way.type === 'oauth-id-jag+jwt'),
  },
  { name: 'a claim outside the profile', applies: (sample) => claimProblem(sample) },
  {
    name: 'a key set with a key that is weak, secret, contradictory or malformed, or two of one `kid`',
    applies: ({ jwks }) => jwks.some(isUnsound) || new Set(jwks.map(({ kid }) => kid)).size < jwks.length,
  },
];

/** Limits and formats of the claims, implemented a second time. */
function claimProblem({ claims, way }: Sample): boolean {
  const isTask = way.kind === 'remit';
  const isSvid = way.type === 'JWT';
  const entries = [claims['aud']].flat(2);
  if (entries.some((entry) => !isText(entry, 512)) || entries.length === 0) return true;
  if (isSvid)
    return (
      !String(claims['sub']).startsWith('spiffe://acme.test/') ||
      (claims['scope'] !== undefined && !isScope(claims['scope']))
    );
  const named = ['iss', 'sub', 'client_id', 'jti'].filter((name) => claims[name] !== undefined);
  if (named.some((name) => !isText(claims[name], 512))) return true;
  if (claims['cnf'] !== undefined && !isConfirmation(claims['cnf'])) return true;
  if (
    claims['scope'] !== undefined &&
    !(isScope(claims['scope']) || (way.isSubject !== true && !isTask && isScopes(claims['scope'])))
  )
    return true;
  if (way.isSubject === true) {
    // A subject token that is bound, or names an actor, is for another client than this.
    const isOthers = claims['cnf'] !== undefined || claims['may_act'] !== undefined || claims['act'] !== undefined;
    const isForeign = way.type === 'oauth-id-jag+jwt' && claims['client_id'] !== client.id;
    return (
      isOthers ||
      isForeign ||
      (claims['authorization_details'] !== undefined && !Array.isArray(claims['authorization_details']))
    );
  }
  if (!isTask) return claims['events'] !== undefined;
  return (
    claims['client_id'] !== soundClaims.client_id ||
    claims['sub'] !== soundClaims.sub ||
    !isText(claims['jti'], 256) ||
    String(claims['jti']).length < 16 ||
    claims['txn'] !== soundClaims.txn ||
    claims['act'] !== undefined ||
    claims['may_act'] !== undefined ||
    JSON.stringify(claims['authorization_details']) !== JSON.stringify(soundClaims.authorization_details)
  );
}

const isScope = (value: unknown): boolean =>
  typeof value === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(value);
const isScopes = (value: unknown): boolean => Array.isArray(value) && value.every(isScope);
const isConfirmation = (value: unknown): boolean => /^\{"(x5t#S256|jkt)":"[\w-]{43}"\}$/.test(JSON.stringify(value));

function isUnsound(jwk: Readonly<Record<string, unknown>>): boolean {
  const { kty, alg, use, key_ops: operations, x, crv } = jwk;
  if (kty === 'RSA' && (Buffer.from(String(jwk['n']), 'base64url').length < 256 || jwk['e'] !== 'AQAB')) return true;
  if (kty === 'oct' || ['d', 'k', 'p'].some((name) => Object.hasOwn(jwk, name))) return true;
  if ([use, alg].some((value) => value !== undefined && typeof value !== 'string')) return true;
  if (jwk['ext'] !== undefined && typeof jwk['ext'] !== 'boolean') return true;
  if (operations !== undefined && !isOperations(operations, use)) return true;
  const kinds: Readonly<Record<string, unknown>> = { ES256: 'EC P-256', Ed25519: 'OKP Ed25519', RS256: 'RSA ' };
  if (typeof alg === 'string' && kinds[alg] !== undefined && kinds[alg] !== [kty, crv ?? ''].join(' ')) return true;
  return (
    kty === 'EC' &&
    crv === 'P-256' &&
    (x === '' || x !== Buffer.from(String(x), 'base64url').toString('base64url') || jwk['y'] === x)
  );
}

const isOperations = (value: unknown, use: unknown): boolean =>
  Array.isArray(value) &&
  value.every((one) => one === 'verify' || one === 'sign') &&
  new Set(value).size === value.length &&
  // A public key cannot sign: a set with a key for both is refused, whichever key signed the token.
  (!value.includes('verify') || value.length === 1) &&
  (use === undefined || (use === 'sig') === value.includes('verify'));

const ringOf = (jwks: unknown, way: Pick<Way, 'issuer' | 'kind'>): KeyRing =>
  new KeyRing([{ ...way, algorithms, source: { kind: 'static', jwks: structuredClone(jwks) } }], {
    ports: stillPorts,
    after: () => () => undefined,
    onProblem: () => undefined,
  });

const hits = new Map<string, number>();
const tally = { both: 0, neither: 0, stricter: 0 };

/** How the two results differ; `null` where they agree, or we refuse for a named reason. */
async function disagreement(token: string, jwks: Sample['jwks'], way: Way): Promise<string | null> {
  const ours = way.ours(token, ringOf({ keys: jwks }, way));
  const theirs = await theirsOf(token, jwks, way);
  if (isDeny(ours) && theirs !== null) {
    tally.neither += 1;
    return null;
  }
  if (!isDeny(ours)) {
    tally.both += 1;
    return theirs === null ? null : `accepted, and jose refuses it: ${theirs}`;
  }
  const sample = sampleOf(token, jwks, way);
  const rows = stricter.filter(({ applies }) => applies(sample));
  for (const { name } of rows) hits.set(name, (hits.get(name) ?? 0) + 1);
  tally.stricter += 1;
  return rows.length > 0 ? null : `refused (${ours.reason}: ${ours.detail}), and jose accepts it`;
}

/** Why `jose` refuses a token; `null` where it accepts it. */
async function theirsOf(token: string, jwks: Sample['jwks'], way: Way): Promise<string | null> {
  try {
    // Keys that JSON cannot represent are never published.
    const published = JSON.parse(JSON.stringify(jwks)) as Record<string, unknown>[];
    await jwtVerify(token, createLocalJWKSet({ keys: published }), way.options);
    return null;
  } catch (error) {
    return String(error);
  }
}

const made = (over: readonly Change[], way: Way): { readonly token: string; readonly jwks: Sample['jwks'] } => {
  const draft = draftOf(way.claims, way.type);
  for (const change of over) change.to(draft);
  return { token: tokenOf(draft), jwks: JSON.parse(JSON.stringify(draft.jwks)) };
};

/** Whether a vector could be one of our tokens, apart from its claims. */
function isAcceptedHere(jws: string, jwks: unknown): boolean {
  const read = compactJwsFrom(jws, 8192);
  if (isDeny(read)) return false;
  const key = ringOf(jwks, { issuer, kind: 'remit' }).keyFor(issuer, read.keyId ?? undefined, read.algorithm);
  return !isDeny(key) && signatureProblem(read, key) === null;
}

describe('the verifier against jose', () => {
  describe.each(Object.entries(ways))('%s', (_name, way) => {
    it('accepts a valid token, as jose does', async () => {
      const { token, jwks } = made([], way);
      expect(way.ours(token, ringOf({ keys: jwks }, way))).not.toHaveProperty('reason');
      expect(await theirsOf(token, jwks, way)).toBeNull();
    });

    it('agrees with jose on each change, or refuses for a named reason', async () => {
      const wrong: string[] = [];
      for (const change of changes) {
        const { token, jwks } = made([change], way);
        const found = await disagreement(token, jwks, way);
        if (found !== null) wrong.push(`${change.name}: ${found}`);
      }
      expect(wrong).toEqual([]);
    });

    it('agrees with jose on combined changes, or refuses for a named reason', async () => {
      const several = fc.array(fc.constantFrom(...changes), { minLength: 2, maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(several, async (over) => {
          const { token, jwks } = made(over, way);
          expect([over.map(({ name }) => name), await disagreement(token, jwks, way)]).toEqual([
            expect.anything(),
            null,
          ]);
        }),
        { numRuns: 300 },
      );
    });

    it('agrees with jose on random bytes', async () => {
      const sound = made([], way);
      const cut = fc.tuple(fc.nat(sound.token.length), fc.string({ unit: 'binary-ascii', maxLength: 3 }), fc.nat(3));
      await fc.assert(
        fc.asyncProperty(cut, async ([at, put, drop]) => {
          const token = sound.token.slice(0, at) + put + sound.token.slice(at + drop);
          expect([token, await disagreement(token, sound.jwks, way)]).toEqual([token, null]);
        }),
        { numRuns: 300 },
      );
    });
  });

  describeWithVectors('the JSON vectors, as a claim', 'json', () => {
    it.each(Object.entries(ways))(
      'agrees with jose on each vector in %s, or refuses it for a named reason',
      async (_name, way) => {
        const wrong: string[] = [];
        for (const file of vectorFiles('json')) {
          const vector = vectorBytes(`json/${file}`);
          // No vector is too long, except those with a named reason.
          if (vector.length > 4_096) continue;
          const carried: Change = {
            name: file,
            to: (draft) =>
              void draft.payloadBytes.push((bytes) =>
                Buffer.concat([bytes.subarray(0, -1), Buffer.from(',"own":'), vector, Buffer.from('}')]),
              ),
          };
          const { token, jwks } = made([carried], way);
          const found = await disagreement(token, jwks, way);
          if (found !== null) wrong.push(`${file}: ${found}`);
        }
        expect(wrong).toEqual([]);
      },
    );
  });

  describeWithVectors('the JOSE vectors of Wycheproof', 'wycheproof', () => {
    interface Group {
      readonly public?: unknown;
      readonly private: unknown;
      readonly tests: readonly { readonly tcId: number; readonly comment: string; readonly jws: string }[];
    }

    it.each(['json_web_signature_test.json', 'json_web_key_test.json'])(
      'agrees with jose on each of %s, or refuses it',
      async (file) => {
        const { testGroups } = JSON.parse(vectorBytes(`wycheproof/${file}`).toString()) as {
          readonly testGroups: readonly Group[];
        };
        const looser: string[] = [];
        let accepted = 0;
        for (const { public: open, private: secret, tests } of testGroups) {
          const published = open ?? secret;
          const jwks =
            typeof published === 'object' && published !== null && 'keys' in published
              ? published
              : { keys: [published] };
          for (const { comment, jws, tcId } of tests) {
            if (!isAcceptedHere(jws, jwks)) continue;
            accepted += 1;
            const theirs = await compactVerify(jws, createLocalJWKSet(jwks as never), {
              algorithms: [...algorithms],
            }).then(() => null, String);
            if (theirs !== null) looser.push(`${tcId} ${comment}: ${theirs}`);
          }
        }
        expect(looser).toEqual([]);
        expect(accepted).toBeGreaterThan(0);
      },
    );
  });

  // Must run last: finds named reasons that no longer occur.
  it('has no named reason without a refused token', () => {
    expect(stricter.filter(({ name }) => !hits.has(name)).map(({ name }) => name)).toEqual([]);
    expect(tally.both).toBeGreaterThan(100);
  });
});
