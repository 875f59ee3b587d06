import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { defaultProofRules, proofFrom, type ProvenRequest } from '../../../../src/core/token/proof/proof.ts';
import { anyCharacter } from '../../../builders/any-character.ts';
import { accessToken, bareJwk, proofBy, request, rfc9449, soundProof } from '../proofs.ts';
import {
  base64url,
  denied,
  ed25519Key,
  es256Key,
  nowMs,
  nowSeconds,
  rs256Key,
  signed,
} from '../../../builders/tokens.ts';

const es = es256Key();
const ed = ed25519Key();
const rs = rs256Key();

const answerTo = async (values: readonly string[], at: Partial<ProvenRequest> = {}) =>
  denied(proofFrom(values, { ...request, ...at }));

describe('proofFrom accepts', () => {
  it('the token request of RFC 9449 section 4.1, at its instant', async () => {
    const at = { method: 'POST', url: 'https://server.example.com/token', accessToken: null, nowMs: 1_562_262_616_000 };
    expect(await answerTo([rfc9449.tokenRequest], at)).toEqual({
      thumbprint: rfc9449.thumbprint,
      algorithm: 'ES256',
      proofId: '-BwC3ESc6acc2lTc',
      issuedAtSeconds: 1_562_262_616,
    });
  });

  it('the resource request of RFC 9449 section 7.1, at its instant', async () => {
    const at = {
      method: 'GET',
      url: 'https://resource.example.org/protectedresource',
      accessToken: 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU',
      nowMs: 1_562_262_618_000,
    };
    expect(await answerTo([rfc9449.resourceRequest], at)).toEqual({
      thumbprint: rfc9449.thumbprint,
      algorithm: 'ES256',
      proofId: 'e1j3V_bKic8-LAEB',
      issuedAtSeconds: 1_562_262_618,
    });
  });

  it.each([es, ed, rs])('a sound proof signed with $algorithm', async (key) => {
    expect(await answerTo([proofBy(key)])).toMatchObject({
      algorithm: key.algorithm,
      proofId: soundProof.jti,
      issuedAtSeconds: soundProof.iat,
    });
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>, Partial<ProvenRequest>]>([
    ['an unknown header member and an unknown claim', { note: 1 }, { note: 1 }, {}],
    ['a key id, which it does not look at', {}, { kid: '../../etc/passwd' }, {}],
    ['a key that says what it is for', {}, { jwk: { ...bareJwk(es), alg: 'ES256', use: 'sig', kid: 'k' } }, {}],
    ['a nonce that nobody asked for', { nonce: 'n' }, {}, {}],
    ['a target with a query', { htu: `${request.url}?a=b` }, {}, {}],
    ['a target with a fragment', { htu: `${request.url}#a` }, {}, {}],
    ['a call with a query', {}, {}, { url: `${request.url}?a=b` }],
    ['another spelling of the target', { htu: 'HTTPS://Gateway.Acme.Test:443/v1/./%70ayments' }, {}, {}],
    ['another spelling of the call', {}, {}, { url: 'https://gateway.acme.test:443/v1/%70ayments' }],
    ['the oldest', { iat: nowSeconds - 60 }, {}, {}],
    ['a proof of a clock that is ahead', { iat: nowSeconds + 5 }, {}, {}],
    ['no access token if there is none', { ath: undefined }, {}, { accessToken: null }],
    ['another access token if there is none', {}, {}, { accessToken: null }],
    ['the shortest identifier', { jti: 'a'.repeat(16) }, {}, {}],
    ['the longest identifier', { jti: 'a'.repeat(256) }, {}, {}],
  ])('%s', async (_name, claims, header, at) => {
    expect(await answerTo([proofBy(es, claims, header)], at)).toMatchObject({ algorithm: 'ES256' });
  });
});

describe('proofFrom denies', () => {
  const [h = '', p = '', s = ''] = proofBy(es).split('.');
  const three = 'the proof is not three parts of base64url';

  it.each<[string, readonly string[], string]>([
    ['no header', [], 'no `DPoP` header'],
    ['two headers', [proofBy(es), proofBy(es, { jti: 'b'.repeat(16) })], 'more than one `DPoP` header'],
    ['two headers, one empty', ['', proofBy(es)], 'more than one `DPoP` header'],
    ['an empty header', [''], three],
    ['two joined', [`${h}.${p}.${s},${h}.${p}.${s}`], three],
    ['two parts', [`${h}.${p}`], three],
    ['padding', [`${h}.${p}.${s}==`], three],
    ['a space before', [` ${h}.${p}.${s}`], three],
    ['a proof that is too long', [proofBy(es, { note: 'a'.repeat(8192) })], 'the proof is longer than 8192 bytes'],
    ['no signature', [`${h}.${p}.`], 'the signature of the proof does not verify with its key'],
    ['a header that is no JSON', [signed(es, 'x', '{}')], 'proof header is not valid JSON'],
    ['a header that is an array', [signed(es, '[]', '{}')], 'proof header must be an object'],
    [
      'a header with a duplicate member',
      [signed(es, '{"typ":"x","typ":"dpop+jwt"}', '{}')],
      'proof header has a duplicate member name',
    ],
    [
      'a payload that is no JSON',
      [signed(es, JSON.stringify({ typ: 'dpop+jwt', alg: 'ES256', jwk: bareJwk(es) }), 'x')],
      'proof payload is not valid JSON',
    ],
    [
      'a payload with a duplicate claim',
      [signed(es, JSON.stringify({ typ: 'dpop+jwt', alg: 'ES256', jwk: bareJwk(es) }), '{"jti":"a","jti":"b"}')],
      'proof payload has a duplicate member name',
    ],
  ])('%s', async (_name, values, detail) => {
    expect(await answerTo(values)).toEqual(['token.proof', detail]);
  });

  const other = es256Key();
  const algorithm = 'proof header member `alg` is not the algorithm of the key';
  const withSecret = es.privateKey.export({ format: 'jwk' });
  it.each<[string, Record<string, unknown>, string]>([
    ...['jwt', 'at+jwt', 'JWT', 'DPOP+JWT', 'application/dpop+jwt', 'wpt+jwt', undefined, 1].map(
      (typ): [string, Record<string, unknown>, string] => [
        `type ${String(typ)}`,
        { typ },
        'proof header member `typ` must be `dpop+jwt`',
      ],
    ),
    ...['none', 'HS256', 'EdDSA', 'ES384', 'RS256', 'es256'].map((alg): [string, Record<string, unknown>, string] => [
      `algorithm ${alg}`,
      { alg },
      algorithm,
    ]),
    ['no algorithm', { alg: undefined }, 'proof header member `alg` is required'],
    ['no key', { jwk: undefined }, 'proof header member `jwk` is required'],
    ['a key of text', { jwk: 'x' }, 'proof header member `jwk` must be an object'],
    ['a private key', { jwk: withSecret }, 'proof header member `jwk` has the secret member `d`'],
    ['a symmetric key', { jwk: { kty: 'oct', k: 'AAAA' } }, 'proof header member `jwk` is symmetric'],
    [
      'a key for encryption',
      { jwk: { ...bareJwk(es), use: 'enc' } },
      'proof header member `jwk` is not a key for an algorithm of the profile',
    ],
    [
      'a key of another curve',
      { jwk: generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' }) },
      'proof header member `jwk` is not a key for an algorithm of the profile',
    ],
    [
      'a point off its curve',
      { jwk: { ...bareJwk(es), y: bareJwk(other).y } },
      'proof header member `jwk` is not a valid public key',
    ],
    [
      'a key that says another algorithm',
      { jwk: { ...bareJwk(es), alg: 'RS256' } },
      'proof header member `jwk` has an `alg` of another key type',
    ],
    ['another key', { jwk: bareJwk(other) }, 'the signature of the proof does not verify with its key'],
    ...['jku', 'x5u', 'x5c', 'x5t', 'x5t#S256', 'crit', 'b64'].map(
      (name): [string, Record<string, unknown>, string] => [
        `a header member ${name}`,
        { [name]: name === 'b64' ? false : 'https://evil.test/' },
        `proof header member \`${name}\` must not be present`,
      ],
    ),
  ])('%s', async (_name, header, detail) => {
    expect(await answerTo([proofBy(es, {}, header)])).toEqual(['token.proof', detail]);
  });

  it('HS256 with the public key as its secret', async () => {
    const pem = createPublicKey(es.privateKey).export({ type: 'spki', format: 'pem' });
    const input = [{ typ: 'dpop+jwt', alg: 'HS256', jwk: bareJwk(es) }, soundProof]
      .map((part) => base64url(JSON.stringify(part)))
      .join('.');
    const forged = `${input}.${base64url(createHmac('sha256', pem).update(input).digest())}`;
    expect(await answerTo([forged])).toEqual(['token.proof', algorithm]);
  });

  it('a weak RSA key', async () => {
    const weak = rs256Key('rs-weak', 1024);
    expect(await answerTo([proofBy(weak)])).toEqual([
      'token.proof',
      'proof header member `jwk` must have a modulus of 2048 to 8192 bits',
    ]);
  });

  it('a signature in DER', async () => {
    const [header = '', payload = ''] = proofBy(es).split('.');
    const der = sign('sha256', Buffer.from(`${header}.${payload}`), { key: es.privateKey, dsaEncoding: 'der' });
    expect(await answerTo([`${header}.${payload}.${base64url(der)}`])).toEqual([
      'token.proof',
      'the signature of the proof does not verify with its key',
    ]);
  });

  it('an algorithm that is not accepted here', async () => {
    const rules = { ...defaultProofRules, algorithms: new Set(['ES256'] as const) };
    expect(await answerTo([proofBy(rs)], { rules })).toEqual([
      'token.proof',
      'proof header member `alg` is not an algorithm that is accepted',
    ]);
  });

  const jti = 'proof claim `jti` must be a string of 16 to 256 characters';
  const target = 'proof claim `htu` is not the target of the call';
  const uri = 'proof claim `htu` must be an absolute `http` or `https` URI';
  it.each<[string, Record<string, unknown>, Partial<ProvenRequest>, string]>([
    ...['jti', 'htm', 'htu', 'iat', 'ath'].map((name): [string, Record<string, unknown>, object, string] => [
      `no ${name}`,
      { [name]: undefined },
      {},
      `proof claim \`${name}\` is required`,
    ]),
    ['a jti that can be guessed', { jti: 'a'.repeat(15) }, {}, jti],
    ['a jti without end', { jti: 'a'.repeat(257) }, {}, jti],
    ['a jti that is a number', { jti: 1 }, {}, jti],
    ['a jti with U+0000', { jti: `a\0${'a'.repeat(20)}` }, {}, 'proof payload has U+0000 in a string'],
    ['another method', { htm: 'GET' }, {}, 'proof claim `htm` is not the method of the call'],
    ['the method in lower case', { htm: 'post' }, {}, 'proof claim `htm` is not the method of the call'],
    ['a method with a space', { htm: 'POST ' }, {}, 'proof claim `htm` is not the method of the call'],
    ['another host', { htu: 'https://evil.test/v1/payments' }, {}, target],
    ['another path', { htu: 'https://gateway.acme.test/v1/refunds' }, {}, target],
    ['a longer path', { htu: `${request.url}/` }, {}, target],
    ['another case of the path', { htu: 'https://gateway.acme.test/V1/payments' }, {}, target],
    ['another port', { htu: 'https://gateway.acme.test:8443/v1/payments' }, {}, target],
    ['another scheme', { htu: 'http://gateway.acme.test/v1/payments' }, {}, target],
    ['an encoded slash', { htu: 'https://gateway.acme.test/v1%2Fpayments' }, {}, target],
    ['a path alone', { htu: '/v1/payments' }, {}, uri],
    ['user information', { htu: 'https://gateway.acme.test@evil.test/v1/payments' }, {}, uri],
    [
      'an external URL that is none',
      {},
      { url: 'gateway/v1/payments' },
      'the external URL of the call must be an absolute `http` or `https` URI',
    ],
    ['a proof that is too old', { iat: nowSeconds - 61 }, {}, 'proof claim `iat` is more than 60 s ago'],
    [
      'a proof that became too old this moment',
      { iat: nowSeconds - 60 },
      { nowMs: nowMs + 1 },
      'proof claim `iat` is more than 60 s ago',
    ],
    ['a proof of the future', { iat: nowSeconds + 6 }, {}, 'proof claim `iat` is in the future'],
    ['an iat as text', { iat: `${nowSeconds}` }, {}, 'proof claim `iat` must be whole seconds since the epoch'],
    [
      'an iat with a fraction',
      { iat: nowSeconds + 0.5 },
      {},
      'proof claim `iat` must be whole seconds since the epoch',
    ],
    [
      'another access token',
      {},
      { accessToken: `${accessToken}x` },
      'proof claim `ath` is not the access token of the call',
    ],
    [
      'the access token in its place',
      { ath: accessToken },
      {},
      'proof claim `ath` is not the access token of the call',
    ],
    [
      'a digest with padding',
      { ath: `${soundProof.ath}=` },
      {},
      'proof claim `ath` is not the access token of the call',
    ],
  ])('%s', async (_name, claims, at, detail) => {
    expect(await answerTo([proofBy(es, claims)], at)).toEqual(['token.proof', detail]);
  });

  it('without repeating a value of the proof', async () => {
    const secret = 'tell-nobody-0123456789';
    const proofs = [
      ...Object.keys(soundProof).map((claim) => proofBy(es, { [claim]: secret })),
      ...['typ', 'alg', 'jwk', 'jku'].map((member) => proofBy(es, {}, { [member]: secret })),
      secret,
    ];
    const refused = proofs
      .map((proof) => JSON.stringify(proofFrom([proof], request)))
      .filter((answer) => !answer.includes('thumbprint'));
    expect(refused.length).toBeGreaterThan(proofs.length / 2);
    for (const answer of refused) expect(answer).not.toContain(secret);
  });
});

describe('proofFrom, for any input,', () => {
  it('denies what no key signed, and does not throw', async () => {
    const part = fc.stringMatching(/^[A-Za-z0-9_=. -]*$/);
    const text = fc.oneof(
      fc.string({ unit: anyCharacter }),
      fc.tuple(part, part, part).map((parts) => parts.join('.')),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 2 }), async (values) => {
        const answer = proofFrom(values, request);
        return isDeny(answer) && answer.reason === 'token.proof';
      }),
      { numRuns: 300 },
    );
  });

  it('denies any header and any payload of JSON that is no proof, though it is signed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), fc.nat(2), async (header, jwk, payload, at) => {
        const sound = { typ: 'dpop+jwt', alg: 'ES256', jwk: at === 1 ? jwk : bareJwk(es) };
        const proof = signed(es, JSON.stringify(at === 0 ? header : sound), JSON.stringify(payload));
        const answer = proofFrom([proof], request);
        return isDeny(answer) && answer.reason === 'token.proof';
      }),
      { numRuns: 300 },
    );
  });

  it('denies a sound proof with any one character changed', async () => {
    const proof = proofBy(es);
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: proof.length - 1 }),
        fc.string({ minLength: 1, maxLength: 1 }),
        async (at, character) => {
          fc.pre(proof.charAt(at) !== character);
          return isDeny(proofFrom([proof.slice(0, at) + character + proof.slice(at + 1)], request));
        },
      ),
      { numRuns: 300 },
    );
  });
});
