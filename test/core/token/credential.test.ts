import { describe, expect, it } from '@jest/globals';
import { tokenCredentialFrom } from '../../../src/core/token/credential.ts';
import { verifyTaskToken } from '../../../src/core/token/verify.ts';
import { externalClaims, externalIssuer, externalRules, externalToken, mixedRing } from './external-tokens.ts';
import { agent, denied, es256Key, issuer, mint, nowMs, rules as taskRules } from '../../builders/tokens.ts';

const remitKey = es256Key('k-1');
const iamKey = es256Key('k-1');
const ring = mixedRing({ remit: remitKey, external: iamKey });
const rules = { task: taskRules, external: externalRules };

const answerTo = async (token: string) => denied(tokenCredentialFrom(token, rules, { keys: ring, nowMs }));

describe('tokenCredentialFrom', () => {
  it('parses a token of a Remit issuer as a task token', async () => {
    expect(await answerTo(mint(remitKey))).toMatchObject({ kind: 'task-token', issuer, clientId: agent });
  });

  it('parses a token of an external issuer as an external token', async () => {
    expect(await answerTo(externalToken(iamKey))).toMatchObject({ kind: 'external-token', issuer: externalIssuer });
  });

  const unverified = 'the signature does not verify with the key of its issuer';
  it.each<[string, string, string, string]>([
    [
      'an issuer that is not trusted',
      mint(remitKey, { iss: 'https://evil.test' }),
      'token.issuer',
      'claim `iss` is not a trusted issuer',
    ],
    ['no issuer', mint(remitKey, { iss: undefined }), 'token.malformed', 'claim `iss` is required'],
    ['external claims in the name of Remit', externalToken(iamKey, { iss: issuer }), 'token.signature', unverified],
    [
      'task claims in the name of the external issuer',
      mint(remitKey, { iss: externalIssuer }),
      'token.signature',
      unverified,
    ],
    [
      'an external token of Remit itself',
      externalToken(remitKey, { iss: issuer }),
      'token.malformed',
      'claim `client_id` must be a SPIFFE ID',
    ],
    [
      'a plain JWT of Remit itself',
      mint(remitKey, {}, { typ: 'JWT' }),
      'token.malformed',
      'header member `typ` must be `at+jwt`',
    ],
    [
      'a credential that is too long',
      `${mint(remitKey)}${'A'.repeat(8192)}`,
      'token.malformed',
      'the token is longer than 8192 bytes',
    ],
    ['one that is none', 'secret', 'token.malformed', 'the token is not three parts of base64url'],
  ])('denies %s', async (_name, token, reason, detail) => {
    expect(await answerTo(token)).toEqual([reason, detail]);
  });

  it('parses task claims signed by an external issuer as an external token, never as a task token', async () => {
    const token = mint(iamKey, { iss: externalIssuer, cnf: undefined });
    expect(await answerTo(token)).toMatchObject({ kind: 'external-token', subject: agent });
    expect(denied(verifyTaskToken(token, taskRules, ring, nowMs))).toEqual([
      'token.issuer',
      'claim `iss` is not an issuer of task tokens',
    ]);
  });

  it('never parses external claims as a task token, even with an equal `typ`', async () => {
    const token = externalToken(iamKey, { ...externalClaims, client_id: agent, sub: agent });
    expect(denied(verifyTaskToken(token, taskRules, ring, nowMs))).toEqual([
      'token.issuer',
      'claim `iss` is not an issuer of task tokens',
    ]);
  });
});
