import { createHmac, createPublicKey } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { unconstrained } from '../../../src/core/token/authorization-details.ts';
import { KeyRing } from '../../../src/core/token/jose/keys.ts';
import { useKeyOf } from '../../../src/core/token/use-key.ts';
import { verifyTaskToken } from '../../../src/core/token/verify.ts';
import { anyCharacter } from '../../builders/any-character.ts';
import {
  agent,
  audience,
  base64url,
  certificateSha256,
  denied,
  ed25519Key,
  es256Key,
  issuer,
  mint,
  nowMs,
  nowSeconds,
  ringOf,
  rs256Key,
  rules,
  signed,
  soundClaims,
} from '../../builders/tokens.ts';
import { stillPorts } from '../../builders/still-ports.ts';

const es = es256Key();
const ed = ed25519Key();
const rs = rs256Key();
const keys = ringOf([es, ed, rs]);

const answerTo = async (token: string, at = nowMs) => denied(verifyTaskToken(token, rules, keys, at));

describe('verifyTaskToken accepts', () => {
  it.each([es, ed, rs])('a sound token signed with $algorithm', async (key) => {
    const token = mint(key);
    expect(verifyTaskToken(token, rules, keys, nowMs)).toEqual({
      kind: 'task-token',
      issuer,
      keyId: key.keyId,
      audience,
      subject: agent,
      clientId: agent,
      actors: [],
      delegate: null,
      issuedAtSeconds: nowSeconds - 10,
      expiresAtSeconds: nowSeconds + 290,
      tokenId: soundClaims.jti,
      taskId: soundClaims.txn,
      scope: ['payments:read', 'payments:write'],
      details: [
        {
          type: 'urn:remit:task',
          locations: [audience],
          actions: ['payments.create'],
          constraints: unconstrained,
          purpose: null,
        },
      ],
      confirmation: { kind: 'x5t#S256', thumbprint: certificateSha256 },
      intentHash: soundClaims.remit_intent.h,
      issuance: { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' },
      useKey: useKeyOf(issuer, soundClaims.jti),
    });
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>, Record<string, unknown>]>([
    ['the long form of its type', {}, { typ: 'application/at+jwt' }, {}],
    ['an unknown header member and an unknown claim', { mission: { id: 'm-1' } }, { note: 1 }, {}],
    ['an audience that is an array of one', { aud: [audience] }, {}, { audience }],
    ['no scope', { scope: undefined }, {}, { scope: [] }],
    [
      'a DPoP key',
      { cnf: { jkt: certificateSha256 } },
      {},
      { confirmation: { kind: 'jkt', thumbprint: certificateSha256 } },
    ],
    [
      'three actors, outermost first',
      { sub: 'user:alice', act: { sub: agent, act: { sub: 'a', act: { sub: 'b' } } } },
      {},
      { subject: 'user:alice', actors: [agent, 'a', 'b'] },
    ],
    ['a delegate', { may_act: { sub: 'spiffe://acme.test/helper' } }, {}, { delegate: 'spiffe://acme.test/helper' }],
    ['an expiry within the skew', { exp: nowSeconds - 4 }, {}, { expiresAtSeconds: nowSeconds - 4 }],
    ['an issuance within the skew', { iat: nowSeconds + 5 }, {}, { issuedAtSeconds: nowSeconds + 5 }],
    ['the longest life', { iat: nowSeconds, exp: nowSeconds + 900 }, {}, { expiresAtSeconds: nowSeconds + 900 }],
    ['a passed `nbf`', { nbf: nowSeconds }, {}, {}],
  ])('%s', async (_name, claims, header, expected) => {
    expect(verifyTaskToken(mint(es, claims, header), rules, keys, nowMs)).toMatchObject({
      kind: 'task-token',
      ...expected,
    });
  });
});

const without = (name: string): [string, Record<string, unknown>, string, string] => [
  `no ${name}`,
  { [name]: undefined },
  'token.malformed',
  `claim \`${name}\` is required`,
];

describe('verifyTaskToken denies the claim', () => {
  const nest = (depth: number): object => (depth === 0 ? { sub: 'x' } : { sub: 'x', act: nest(depth - 1) });
  const uuid = 'claim `txn` must be a UUID in lower case';
  const cnf = 'claim `cnf` member `x5t#S256` must be a SHA-256 digest in base64url';
  const tp = 'claim `remit_intent` member `tp` must be a trace context of version 00';

  it.each<[string, Record<string, unknown>, string, string]>([
    ...['iss', 'aud', 'sub', 'client_id', 'iat', 'exp', 'jti', 'txn', 'authorization_details', 'remit_intent'].map(
      without,
    ),
    ['no cnf', { cnf: undefined }, 'token.binding', 'claim `cnf` is required: the token is bound to nothing'],

    ['iss of another', { iss: 'https://evil.test' }, 'token.issuer', 'claim `iss` is not a trusted issuer'],
    ['iss with a trailing slash', { iss: `${issuer}/` }, 'token.issuer', 'claim `iss` is not a trusted issuer'],
    ['iss of Object.prototype', { iss: '__proto__' }, 'token.issuer', 'claim `iss` is not a trusted issuer'],
    ['iss that is a number', { iss: 1 }, 'token.malformed', 'claim `iss` must be a string of 1 to 512 characters'],

    ['aud of another', { aud: 'https://other.test' }, 'token.audience', 'claim `aud` is not a resource guarded here'],
    ['aud of a prefix', { aud: `${audience}/v1` }, 'token.audience', 'claim `aud` is not a resource guarded here'],
    [
      'aud of two',
      { aud: [audience, 'https://b.test'] },
      'token.audience',
      'claim `aud` must name exactly one resource',
    ],
    [
      'aud twice the same',
      { aud: [audience, audience] },
      'token.audience',
      'claim `aud` must name exactly one resource',
    ],
    ['aud of none', { aud: [] }, 'token.audience', 'claim `aud` must name exactly one resource'],
    ['aud of numbers', { aud: [1] }, 'token.malformed', 'claim `aud` entry 0 must be a string of 1 to 512 characters'],

    ['exp passed', { exp: nowSeconds - 6 }, 'token.expired', 'claim `exp` has passed'],
    ['exp passed by exactly the skew', { exp: nowSeconds - 5 }, 'token.expired', 'claim `exp` has passed'],
    [
      'exp as text',
      { exp: `${nowSeconds + 10}` },
      'token.malformed',
      'claim `exp` must be whole seconds since the epoch',
    ],
    [
      'exp in fractions',
      { exp: nowSeconds + 0.5 },
      'token.malformed',
      'claim `exp` must be whole seconds since the epoch',
    ],
    [
      'exp in milliseconds',
      { exp: nowMs + 60_000 },
      'token.malformed',
      'claim `exp` must be whole seconds since the epoch',
    ],
    ['iat in the future', { iat: nowSeconds + 6 }, 'token.not-yet-valid', 'claim `iat` is in the future'],
    ['iat below zero', { iat: -1 }, 'token.malformed', 'claim `iat` must be whole seconds since the epoch'],
    ['nbf in the future', { nbf: nowSeconds + 6 }, 'token.not-yet-valid', 'claim `nbf` is in the future'],
    ['nbf of null', { nbf: null }, 'token.malformed', 'claim `nbf` must be whole seconds since the epoch'],
    [
      'a life of 901 s',
      { iat: nowSeconds, exp: nowSeconds + 901 },
      'token.lifetime',
      'claim `exp` must be within 900 s of `iat`',
    ],
    ['a life of 0 s', { iat: nowSeconds, exp: nowSeconds }, 'token.lifetime', 'claim `exp` must be later than `iat`'],
    [
      'a life below 0 s',
      { iat: nowSeconds + 3, exp: nowSeconds + 2 },
      'token.lifetime',
      'claim `exp` must be later than `iat`',
    ],

    ['client_id of no SPIFFE ID', { client_id: 'planner' }, 'token.malformed', 'claim `client_id` must be a SPIFFE ID'],
    [
      'client_id that climbs',
      { client_id: 'spiffe://acme.test/a/../b' },
      'token.malformed',
      'claim `client_id` must be a SPIFFE ID',
    ],
    ['sub with U+0000', { sub: 'a\0b' }, 'token.malformed', 'payload has U+0000 in a string'],
    ['an unknown claim with U+0000', { note: ['\0'] }, 'token.malformed', 'payload has U+0000 in a string'],
    [
      'sub too long',
      { sub: 'a'.repeat(513) },
      'token.malformed',
      'claim `sub` must be a string of 1 to 512 characters',
    ],
    [
      'sub of a user without an actor',
      { sub: 'user:alice' },
      'token.malformed',
      'claim `act` is required if `sub` is not `client_id`',
    ],
    [
      'act of another agent',
      { sub: 'user:alice', act: { sub: 'spiffe://acme.test/other' } },
      'token.malformed',
      'claim `act` must name `client_id` as the outermost actor',
    ],
    ['act four deep', { act: nest(3) }, 'token.malformed', 'claim `act` must nest at most 3 actors'],
    ['act without sub', { act: {} }, 'token.malformed', 'claim `act` member `sub` is required'],
    ['act with an exp', { act: { sub: 'x', exp: 1 } }, 'token.malformed', 'claim `act` has an unknown member `exp`'],
    ['act that is text', { act: 'x' }, 'token.malformed', 'claim `act` must be an object'],

    ['may_act that is text', { may_act: agent }, 'token.malformed', 'claim `may_act` must be an object'],
    ['may_act of null', { may_act: null }, 'token.malformed', 'claim `may_act` must be an object'],
    ['may_act of nobody', { may_act: {} }, 'token.malformed', 'claim `may_act` member `sub` is required'],
    [
      'may_act of a user',
      { may_act: { sub: 'user:alice' } },
      'token.malformed',
      'claim `may_act` member `sub` must be a SPIFFE ID',
    ],
    [
      'may_act with another member',
      { may_act: { sub: agent, iss: issuer } },
      'token.malformed',
      'claim `may_act` has an unknown member `iss`',
    ],

    [
      'jti too short',
      { jti: 'a'.repeat(15) },
      'token.malformed',
      'claim `jti` must be a string of 16 to 256 characters',
    ],
    [
      'jti too long',
      { jti: 'a'.repeat(257) },
      'token.malformed',
      'claim `jti` must be a string of 16 to 256 characters',
    ],
    ['txn of no UUID', { txn: 'task-1' }, 'token.malformed', uuid],
    ['txn in upper case', { txn: soundClaims.txn.toUpperCase() }, 'token.malformed', uuid],
    ['txn with a line break', { txn: `${soundClaims.txn.slice(0, 35)}\n` }, 'token.malformed', uuid],
    [
      'scope as an array',
      { scope: ['a'] },
      'token.malformed',
      'claim `scope` must be a string of 1 to 8192 characters',
    ],
    [
      'scope with two spaces',
      { scope: 'a  b' },
      'token.malformed',
      'claim `scope` must be scope tokens separated by single spaces',
    ],

    ['cnf of text', { cnf: certificateSha256 }, 'token.malformed', 'claim `cnf` must be an object'],
    ['cnf of null', { cnf: null }, 'token.malformed', 'claim `cnf` must be an object'],
    ['cnf of nothing', { cnf: {} }, 'token.malformed', 'claim `cnf` must have exactly one of `x5t#S256` and `jkt`'],
    [
      'cnf of both',
      { cnf: { 'x5t#S256': certificateSha256, jkt: certificateSha256 } },
      'token.malformed',
      'claim `cnf` must have exactly one of `x5t#S256` and `jkt`',
    ],
    ['cnf with a key', { cnf: { jwk: es.jwk } }, 'token.malformed', 'claim `cnf` has an unknown member `jwk`'],
    ['cnf too short', { cnf: { 'x5t#S256': certificateSha256.slice(1) } }, 'token.malformed', cnf],
    ['cnf in hex', { cnf: { 'x5t#S256': 'ab'.repeat(32).slice(0, 43) } }, 'token.malformed', cnf],
    ['cnf with trailing bits', { cnf: { 'x5t#S256': `${'A'.repeat(42)}B` } }, 'token.malformed', cnf],

    [
      'remit_intent without a hash',
      { remit_intent: { tp: soundClaims.remit_intent.tp } },
      'token.malformed',
      'claim `remit_intent` member `h` is required',
    ],
    [
      'remit_intent with a bare hash',
      { remit_intent: { ...soundClaims.remit_intent, h: certificateSha256 } },
      'token.malformed',
      'claim `remit_intent` member `h` must be `sha-256:` and a digest in base64url',
    ],
    ...[
      '00-00000000000000000000000000000000-b7ad6b7169203331-01',
      '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
      '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
      'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331',
    ].map((text): [string, Record<string, unknown>, string, string] => [
      `remit_intent with the trace context ${text}`,
      { remit_intent: { ...soundClaims.remit_intent, tp: text } },
      'token.malformed',
      tp,
    ]),

    [
      'authorization_details of an unknown constraint',
      { authorization_details: [{ ...soundClaims.authorization_details[0], constraints: { max_bytes: 3 } }] },
      'token.malformed',
      'claim `authorization_details` entry 0 member `constraints` has an unknown constraint `max_bytes`',
    ],
    [
      'authorization_details of another type',
      { authorization_details: [{ ...soundClaims.authorization_details[0], type: 'urn:other' }] },
      'token.malformed',
      'claim `authorization_details` entry 0 member `type` must be `urn:remit:task`',
    ],
  ])('%s', async (_name, claims, reason, detail) => {
    expect(await answerTo(mint(es, claims))).toEqual([reason, detail]);
  });
});

/** The same bytes, with an unused bit set. */
const spelledAnew = (part: string): string => {
  const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return part.slice(0, -1) + last.charAt(last.indexOf(part.slice(-1)) ^ 1);
};

describe('verifyTaskToken denies the form', () => {
  const header = JSON.stringify({ typ: 'at+jwt', alg: 'ES256', kid: 'es-1' });
  const payload = JSON.stringify(soundClaims);
  const [h = '', p = '', s = ''] = mint(es).split('.');
  const three = 'the token is not three parts of base64url';
  const canonical = 'the token is not canonical base64url';

  it.each<[string, string, string, string]>([
    ['nothing', '', 'token.malformed', three],
    ['no dots', h, 'token.malformed', three],
    ['one dot', `${h}.${p}`, 'token.malformed', three],
    ['three dots', `${h}.${p}.${s}.`, 'token.malformed', three],
    ['five parts, as an encrypted token has', `${h}..${p}.${s}.${s}`, 'token.malformed', three],
    ['no header', `.${p}.${s}`, 'token.malformed', three],
    ['a cut header', `${h.slice(0, 9)}.${p}.${s}`, 'token.malformed', canonical],
    ['a cut payload', `${h}.${p.slice(0, 400)}.${s}`, 'token.malformed', 'payload is not valid JSON'],
    [
      'a cut signature',
      `${h}.${p}.${s.slice(0, 84)}`,
      'token.signature',
      'the signature does not verify with the key of its issuer',
    ],
    ['no signature', `${h}.${p}.`, 'token.signature', 'the signature is empty'],
    [
      'a signature of zeros',
      `${h}.${p}.${'A'.repeat(86)}`,
      'token.signature',
      'the signature does not verify with the key of its issuer',
    ],
    ['padding', `${h}.${p}.${s}==`, 'token.malformed', three],
    ['the alphabet of base64', `${h}.${p}.${s.slice(0, -2)}+/`, 'token.malformed', three],
    ['a space', `${h}. ${p}.${s}`, 'token.malformed', three],
    ['a line break at the end', `${h}.${p}.${s}\n`, 'token.malformed', three],
    ['a signature spelled anew', `${h}.${p}.${spelledAnew(s)}`, 'token.malformed', canonical],
    [
      'the flattened JSON serialisation',
      JSON.stringify({ protected: h, payload: p, signature: s }),
      'token.malformed',
      three,
    ],
    [
      'the general JSON serialisation',
      JSON.stringify({ payload: p, signatures: [{ protected: h, signature: s }] }),
      'token.malformed',
      three,
    ],
    ['a header that is no JSON', signed(es, 'foo', payload), 'token.malformed', 'header is not valid JSON'],
    ['a header that is an array', signed(es, '[]', payload), 'token.malformed', 'header must be an object'],
    ['a header that is null', signed(es, 'null', payload), 'token.malformed', 'header must be an object'],
    [
      'a header with a byte order mark',
      signed(es, `\u{feff}${header}`, payload),
      'token.malformed',
      'header is not valid JSON',
    ],
    [
      'a header with a duplicate member',
      signed(es, `{"alg":"none",${header.slice(1)}`, payload),
      'token.malformed',
      'header has a duplicate member name',
    ],
    [
      'a header with a duplicate member in escapes',
      signed(es, `{"\\u0061lg":"none",${header.slice(1)}`, payload),
      'token.malformed',
      'header has a duplicate member name',
    ],
    [
      'a payload with a duplicate claim',
      signed(es, header, `{"sub":"x",${payload.slice(1)}`),
      'token.malformed',
      'payload has a duplicate member name',
    ],
    [
      'a payload with a duplicate member further in',
      signed(es, header, payload.replace('"tp":', '"tp":"x","tp":')),
      'token.malformed',
      'payload has a duplicate member name',
    ],
    [
      'a payload that is not UTF-8',
      signed(es, header, Buffer.from(payload.replace('payments', 'paymen\xff'), 'latin1')),
      'token.malformed',
      'payload is not valid UTF-8',
    ],
    ['a payload that is an array', signed(es, header, '[]'), 'token.malformed', 'must be an object'],
    [
      'a payload that nests without end',
      signed(es, header, '['.repeat(2000) + ']'.repeat(2000)),
      'token.malformed',
      'payload nests deeper than 32',
    ],
  ])('%s', async (_name, token, reason, detail) => {
    expect(await answerTo(token)).toEqual([reason, detail]);
  });

  it.each([
    ['that is none', 'A'.repeat(1 << 20)],
    ['in three parts', `${h}.${'A'.repeat(1 << 20)}.${s}`],
    ['of too many', '.'.repeat(1 << 20)],
    ['of other characters', '\u{1f600}'.repeat(1 << 18)],
  ])('of 1 MB, %s, without looking at it', async (_name, token) => {
    expect(await answerTo(token)).toEqual(['token.malformed', 'the token is longer than 8192 bytes']);
  });
});

describe('verifyTaskToken refuses the attack', () => {
  const claims = JSON.stringify(soundClaims);
  const foreign = es256Key('es-1');
  const publicPem = createPublicKey(rs.privateKey).export({ type: 'spki', format: 'pem' });
  const withHmac = (alg: string, secret: string | Buffer): string => {
    const input = `${base64url(JSON.stringify({ typ: 'at+jwt', alg, kid: 'rs-1' }))}.${base64url(claims)}`;
    return `${input}.${base64url(createHmac('sha256', secret).update(input).digest())}`;
  };
  const unsigned = (alg: unknown): string =>
    `${base64url(JSON.stringify({ typ: 'at+jwt', alg, kid: 'es-1' }))}.${base64url(claims)}.`;
  const outside = 'header member `alg` is not an algorithm of the profile';
  const unknownKey = 'unknown key id: header member `kid` is not a key of its issuer';
  const unverified = 'the signature does not verify with the key of its issuer';
  const typ = 'header member `typ` must be `at+jwt`';

  it.each<[string, string, string, string]>([
    ...['none', 'None', 'NONE', 'nOnE', 'noNE'].map((alg): [string, string, string, string] => [
      `algorithm ${alg}`,
      unsigned(alg),
      'token.algorithm',
      outside,
    ]),
    ...['none', 'HS256', 'EdDSA', 'ES384', 'ES256K', 'PS256', 'RS512', 'es256', 'ES256 ', '__proto__'].map(
      (alg): [string, string, string, string] => [
        `algorithm ${alg} with a signature`,
        mint(es, {}, { alg }),
        'token.algorithm',
        outside,
      ],
    ),
    ['no algorithm', mint(es, {}, { alg: undefined }), 'token.malformed', 'header member `alg` is required'],
    [
      'an algorithm that is a list',
      mint(es, {}, { alg: ['ES256'] }),
      'token.malformed',
      'header member `alg` must be a string of 1 to 256 characters',
    ],
    ['HS256 with the public key in PEM', withHmac('HS256', publicPem), 'token.algorithm', outside],
    ['HS256 with a blank key', withHmac('HS256', ''), 'token.algorithm', outside],
    ['RS256 named, HMAC made with the public key', withHmac('RS256', publicPem), 'token.signature', unverified],
    [
      'another algorithm than that of the key',
      mint(rs, {}, { kid: 'es-1' }),
      'token.algorithm',
      'header member `alg` is not the algorithm of the key',
    ],
    ["a key of the same id that is not the issuer's", mint(foreign), 'token.signature', unverified],
    [
      'a payload changed after signing',
      mint(es).replace(/\.[^.]+\./, `.${base64url(JSON.stringify({ ...soundClaims, sub: 'spiffe://acme.test/b' }))}.`),
      'token.signature',
      unverified,
    ],
    ...(
      [
        ['jku', 'https://evil.test/jwks.json'],
        ['x5u', 'https://evil.test/chain.pem'],
        ['jwk', foreign.jwk],
        ['x5c', ['MIIB']],
        ['crit', ['exp']],
        ['crit', []],
        ['b64', false],
        ['b64', true],
      ] as const
    ).map(([name, value]): [string, string, string, string] => [
      `${name} ${JSON.stringify(value).slice(0, 20)}`,
      mint(foreign, {}, { [name]: value }),
      'token.malformed',
      `header member \`${name}\` must not be present`,
    ]),
    ...[
      '../../dev/null',
      "' UNION SELECT 'x",
      'es-1/../es-1',
      '__proto__',
      'constructor',
      'ES-1',
      ' es-1',
      '|/usr/bin/id',
    ].map((kid): [string, string, string, string] => [
      `key id ${kid}`,
      mint(es, {}, { kid }),
      'token.signature',
      unknownKey,
    ]),
    ['a key id with U+0000', mint(es, {}, { kid: 'es-1\0' }), 'token.malformed', 'header has U+0000 in a string'],
    [
      'a key id of 257 characters',
      mint(es, {}, { kid: 'a'.repeat(257) }),
      'token.malformed',
      'header member `kid` must be a string of 1 to 256 characters',
    ],
    ['no key id', mint(es, {}, { kid: undefined }), 'token.malformed', 'header member `kid` is required'],
    ...[
      'JWT',
      'jwt',
      'txntoken+jwt',
      'secevent+jwt',
      'wit+jwt',
      'oauth-id-jag+jwt',
      'dpop+jwt',
      'id_token',
      'application/txntoken+jwt',
      'AT+JWT',
      'at+jwt ',
      'application/application/at+jwt',
      undefined,
    ].map((type): [string, string, string, string] => [
      `type ${String(type)}`,
      mint(es, {}, { typ: type }),
      'token.malformed',
      typ,
    ]),
  ])('%s', async (_name, token, reason, detail) => {
    expect(await answerTo(token)).toEqual([reason, detail]);
  });

  it('an algorithm its issuer may not use', async () => {
    const ring = ringOf([es, rs], ['ES256']);
    expect(denied(verifyTaskToken(mint(rs), rules, ring, nowMs))).toEqual([
      'token.algorithm',
      'header member `alg` is not permitted for its issuer',
    ]);
  });

  it('never repeats a value of the token', async () => {
    const secret = 'tell-nobody-0123456789';
    const tokens = [
      ...Object.keys(soundClaims).map((name) => mint(es, { [name]: secret })),
      ...['typ', 'alg', 'kid', 'jku', 'crit'].map((name) => mint(es, {}, { [name]: secret })),
      secret,
      mint(es, { cnf: { [`${secret}\n`]: 1 } }),
    ];
    const refused = tokens
      .map((token) => JSON.stringify(verifyTaskToken(token, rules, keys, nowMs)))
      .filter((answer) => !answer.includes('"task-token"'));
    expect(refused.length).toBeGreaterThan(tokens.length / 2);
    for (const answer of refused) expect(answer).not.toContain(secret);
  });
});

describe('verifyTaskToken, for any input,', () => {
  it('denies a string that no issuer signed, and does not throw', async () => {
    const part = fc.stringMatching(/^[A-Za-z0-9_=. -]*$/);
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: anyCharacter }),
      fc.tuple(part, part, part).map((p) => p.join('.')),
    );
    await fc.assert(
      fc.asyncProperty(text, async (token) => isDeny(verifyTaskToken(token, rules, keys, nowMs))),
      { numRuns: 500 },
    );
  });

  it('denies signed tokens with any header and payload outside the profile', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), fc.boolean(), async (header, payload, sound) => {
        const head = sound ? { typ: 'at+jwt', alg: 'ES256', kid: 'es-1' } : header;
        const claims = sound ? Object.assign({ iss: issuer }, payload) : payload;
        const token = signed(es, JSON.stringify(head), JSON.stringify(claims));
        return isDeny(verifyTaskToken(token, rules, keys, nowMs));
      }),
      { numRuns: 300 },
    );
  });

  it('denies a valid token with one claim changed to any JSON, or accepts it consistently', async () => {
    const name = fc.constantFrom(...Object.keys(soundClaims), 'act', 'may_act', 'nbf');
    await fc.assert(
      fc.asyncProperty(name, fc.jsonValue(), async (claim, value) => {
        const answer = verifyTaskToken(mint(es, { [claim]: value }), rules, keys, nowMs);
        return isDeny(answer) ? answer.reason.startsWith('token.') : answer.kind === 'task-token';
      }),
      { numRuns: 500 },
    );
  });

  it('denies a valid token with one character changed', async () => {
    const token = mint(es);
    const index = fc.nat({ max: token.length - 1 });
    await fc.assert(
      fc.asyncProperty(index, fc.string({ minLength: 1, maxLength: 1 }), async (at, character) => {
        fc.pre(token.charAt(at) !== character);
        const changed = token.slice(0, at) + character + token.slice(at + 1);
        return isDeny(verifyTaskToken(changed, rules, keys, nowMs));
      }),
      { numRuns: 500 },
    );
  });
});

it('verifyTaskToken reports missing keys before an invalid token', async () => {
  const ring = new KeyRing(
    [{ issuer, algorithms: ['ES256'], source: { kind: 'remote', fetch: () => Promise.reject(new Error('down')) } }],
    {
      ports: stillPorts,
      after: () => () => undefined,
      onProblem: () => undefined,
    },
  );
  await ring.start();
  expect(denied(verifyTaskToken(mint(es), rules, ring, nowMs))).toEqual([
    'token.keys-unavailable',
    'the keys of the issuer are not available',
  ]);
  ring.close();
});
