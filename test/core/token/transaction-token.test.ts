import { describe, expect, it } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import * as fc from 'fast-check';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { tokenCredentialFrom } from '../../../src/core/token/credential.ts';
import { externalTokenFrom } from '../../../src/core/token/external-token.ts';
import { proofFrom } from '../../../src/core/token/proof/proof.ts';
import { transactionTokenFrom, type TransactionFacts } from '../../../src/core/token/transaction-token.ts';
import { transactionTokenSigner } from '../../../src/core/token/transaction-token-signer.ts';
import { verifyTaskToken } from '../../../src/core/token/verify.ts';
import { externalRules, mixedRing } from './external-tokens.ts';
import { request } from './proofs.ts';
import {
  agent,
  audience,
  denied,
  ed25519Key,
  es256Key,
  issuer,
  mint,
  nowMs,
  nowSeconds,
  ringOf,
  rs256Key,
  rules as taskRules,
  signed,
  soundClaims,
  type TestKey,
} from '../../builders/tokens.ts';
import { mustSpiffeId, mustTrustDomain } from '../../builders/spiffe-id.ts';

const txnIssuer = 'https://txn.acme.test';
const trustDomain = mustTrustDomain('acme.test');
const rules = { trustDomain, clockSkewSeconds: 5, maxBytes: 8192 };
const key = es256Key('txn-1');
const ring = mixedRing({ remit: es256Key('remit-1'), external: es256Key('iam-1'), transaction: key });

const facts: TransactionFacts = {
  taskId: soundClaims.txn,
  subject: 'user:alice',
  agent: mustSpiffeId(agent),
  action: 'payments.create',
  resource: audience,
  tokenDigest: 'A'.repeat(43),
  argsDigest: 'sha-256:KCvLw_CjSopKxvAMJ2_PZs83V6MzLoPZIgjlB5r0aSI',
  scope: ['payments.create', 'payments.read'],
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  requestIp: '192.0.2.7',
};

const signerBy = ({ keyId, algorithm, privateKey }: TestKey, ttlSeconds = 60) =>
  transactionTokenSigner({
    key: { keyId, algorithm, privateKey },
    issuer: txnIssuer,
    trustDomain,
    ttlSeconds,
    nowMs: () => nowMs + 999,
    randomBytes: (length) => new Uint8Array(length).fill(7),
  });

const soundTransaction = {
  iss: txnIssuer,
  aud: 'acme.test',
  txn: soundClaims.txn,
  sub: 'user:alice',
  req_wl: agent,
  scope: 'payments.create payments.read',
  tctx: { action: 'payments.create', resource: audience, token_digest: 'A'.repeat(43) },
  iat: nowSeconds,
  exp: nowSeconds + 60,
  jti: 'BwcHBwcHBwcHBwcHBwcHBw',
};

const minted = (
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
  by = key,
) =>
  signed(
    by,
    JSON.stringify({ typ: 'txntoken+jwt', alg: by.algorithm, kid: by.keyId, ...header }),
    JSON.stringify({ ...soundTransaction, ...claims }),
  );

const answerTo = async (token: string, at = nowMs) => denied(transactionTokenFrom(token, rules, ring, at));

describe('transactionTokenSigner', () => {
  it('signs the claims of the draft', async () => {
    const token = await signerBy(key)(facts);
    expect(decodeProtectedHeader(token)).toEqual({ typ: 'txntoken+jwt', alg: 'ES256', kid: 'txn-1' });
    expect(decodeJwt(token)).toEqual({
      iss: txnIssuer,
      aud: 'acme.test',
      txn: facts.taskId,
      sub: 'user:alice',
      req_wl: agent,
      scope: 'payments.create payments.read',
      tctx: {
        action: 'payments.create',
        resource: audience,
        token_digest: facts.tokenDigest,
        args_digest: facts.argsDigest,
      },
      rctx: { req_ip: '192.0.2.7', traceparent: facts.traceparent },
      iat: nowSeconds,
      exp: nowSeconds + 60,
      jti: 'BwcHBwcHBwcHBwcHBwcHBw',
    });
  });

  it.each([key, ed25519Key('txn-1'), rs256Key('txn-1')])('signs with $algorithm what verifies', async (by) => {
    const token = await signerBy(by, 30)(facts);
    const answer = transactionTokenFrom(token, rules, mixedRing({ transaction: by }), nowMs);
    expect(answer).toMatchObject({
      kind: 'transaction-token',
      ...facts,
      issuer: txnIssuer,
      keyId: 'txn-1',
      trustDomain: 'acme.test',
      issuedAtSeconds: nowSeconds,
      expiresAtSeconds: nowSeconds + 30,
    });
  });

  it('omits unknown facts, and uses the action for an empty scope', async () => {
    const bare = { ...facts, argsDigest: null, traceparent: null, requestIp: null, scope: [] };
    const token = await signerBy(key)(bare);
    expect(decodeJwt(token)).toMatchObject({ rctx: {}, tctx: { action: 'payments.create', resource: audience } });
    expect(await answerTo(token)).toMatchObject({ ...bare, scope: ['payments.create'] });
  });

  it.each([0, -1, 61, 1.5, NaN, Infinity])('refuses a lifetime of %s s', (ttlSeconds) => {
    expect(() => signerBy(key, ttlSeconds)).toThrow(RangeError);
  });
});

describe('transactionTokenFrom denies', () => {
  it.each<[string, Record<string, unknown>, string, string]>([
    ...['iss', 'aud', 'txn', 'sub', 'req_wl', 'scope', 'tctx', 'iat', 'exp', 'jti'].map(
      (name): [string, Record<string, unknown>, string, string] => [
        `no ${name}`,
        { [name]: undefined },
        'token.malformed',
        `claim \`${name}\` is required`,
      ],
    ),
    ['another trust domain', { aud: 'other.test' }, 'token.audience', 'claim `aud` is not the trust domain'],
    ['a resource as its audience', { aud: audience }, 'token.audience', 'claim `aud` is not the trust domain'],
    [
      'two audiences',
      { aud: ['acme.test', 'b.test'] },
      'token.malformed',
      'claim `aud` must be a string of 1 to 512 characters',
    ],
    [
      'a token that has expired',
      { iat: nowSeconds - 65, exp: nowSeconds - 5 },
      'token.expired',
      'claim `exp` has passed',
    ],
    ['a token of the future', { iat: nowSeconds + 6 }, 'token.not-yet-valid', 'claim `iat` is in the future'],
    [
      'a token that lives too long',
      { exp: nowSeconds + 61 },
      'token.lifetime',
      'claim `exp` must be within 60 s of `iat`',
    ],
    ['a workload that is none', { req_wl: 'planner' }, 'token.malformed', 'claim `req_wl` must be a SPIFFE ID'],
    ['a task that is none', { txn: 'task-1' }, 'token.malformed', 'claim `txn` must be a UUID in lower case'],
    ['another issuer', { iss: 'https://evil.test' }, 'token.issuer', 'claim `iss` is not a trusted issuer'],
    [
      'the issuer of task tokens',
      { iss: issuer },
      'token.issuer',
      'claim `iss` is not an issuer of transaction tokens',
    ],
  ])('%s', async (_name, claims, reason, detail) => {
    expect(await answerTo(minted(claims))).toEqual([reason, detail]);
  });

  it.each(['at+jwt', 'application/at+jwt', 'JWT', 'TXNTOKEN+JWT', 'application/txntoken+jwt', undefined])(
    'type %s',
    async (typ) => {
      expect(await answerTo(minted({}, { typ }))).toEqual([
        'token.malformed',
        'header member `typ` must be `txntoken+jwt`',
      ]);
    },
  );

  it('no key id', async () => {
    expect(await answerTo(minted({}, { kid: undefined }))).toEqual([
      'token.malformed',
      'header member `kid` is required',
    ]);
  });

  it('another key', async () => {
    expect(await answerTo(minted({}, {}, es256Key('txn-1')))).toEqual([
      'token.signature',
      'the signature does not verify with the key of its issuer',
    ]);
  });

  it('or accepts consistently a valid token with one claim changed to any JSON', async () => {
    const name = fc.constantFrom(...Object.keys(soundTransaction), 'rctx');
    await fc.assert(
      fc.asyncProperty(name, fc.jsonValue(), async (claim, value) => {
        const answer = transactionTokenFrom(minted({ [claim]: value }), rules, ring, nowMs);
        return isDeny(answer) ? answer.reason.startsWith('token.') : answer.kind === 'transaction-token';
      }),
      { numRuns: 300 },
    );
  });
});

describe('a transaction token and a task token never pass for each other', () => {
  // The worst case: one issuer and one key for both, and every claim of both in one payload.
  const shared = es256Key('shared');
  const both = { ...soundTransaction, ...soundClaims, iss: issuer };
  const asTask = ringOf([shared]);
  const asTransaction = mixedRing({ transaction: shared });

  it('a transaction token as a task token', async () => {
    const token = minted(both, {}, shared);
    const type = ['token.malformed', 'header member `typ` must be `at+jwt`'];
    expect(denied(verifyTaskToken(token, taskRules, asTask, nowMs))).toEqual(type);
    const credentialRules = { task: taskRules, external: externalRules };
    expect(denied(tokenCredentialFrom(token, credentialRules, { keys: asTask, nowMs }))).toEqual(type);
  });

  it('a task token as a transaction token', async () => {
    const claims = { ...both, iss: txnIssuer, aud: 'acme.test', exp: nowSeconds + 60, iat: nowSeconds };
    expect(denied(transactionTokenFrom(mint(shared, claims), rules, asTransaction, nowMs))).toEqual([
      'token.malformed',
      'header member `typ` must be `txntoken+jwt`',
    ]);
  });

  it('a task token by the key of transaction tokens, though its type is right', async () => {
    const token = mint(shared, { iss: txnIssuer });
    const expected = ['token.issuer', 'claim `iss` is not an issuer of task tokens'];
    expect(denied(verifyTaskToken(token, taskRules, asTransaction, nowMs))).toEqual(expected);
    const credentialRules = { task: taskRules, external: externalRules };
    expect(denied(tokenCredentialFrom(token, credentialRules, { keys: asTransaction, nowMs }))).toEqual([
      'token.issuer',
      'claim `iss` is not a trusted issuer',
    ]);
  });

  it('a transaction token by the key of task tokens, though its type is right', async () => {
    expect(denied(transactionTokenFrom(minted({ iss: issuer }, {}, shared), rules, asTask, nowMs))).toEqual([
      'token.issuer',
      'claim `iss` is not an issuer of transaction tokens',
    ]);
  });

  it('a transaction token as an external token or as a proof', async () => {
    const types = new Map([[txnIssuer, new Set(['at+jwt', 'JWT', 'absent'] as const)]]);
    const token = minted({ aud: audience });
    expect(denied(externalTokenFrom(token, { ...externalRules, types }, ring, nowMs))).toEqual([
      'token.malformed',
      'header member `typ` is not configured for its issuer',
    ]);
    expect(denied(proofFrom([token], request))).toEqual([
      'token.proof',
      'proof header member `typ` must be `dpop+jwt`',
    ]);
  });
});
