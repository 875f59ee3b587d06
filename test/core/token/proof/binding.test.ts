import { describe, expect, it } from '@jest/globals';
import type { Caller } from '../../../../src/core/identity/caller.ts';
import { trustDomainOf } from '../../../../src/core/identity/spiffe-id.ts';
import type { AuthorizationScheme } from '../../../../src/core/token/authorization-header.ts';
import { type BindingMode, bindingProblem, type Presentation } from '../../../../src/core/token/proof/binding.ts';
import type { TaskToken } from '../../../../src/core/token/claims.ts';
import { type ExternalToken, externalTokenFrom } from '../../../../src/core/token/external-token.ts';
import type { Proof } from '../../../../src/core/token/proof/proof.ts';
import { verifyTaskToken } from '../../../../src/core/token/verify.ts';
import { externalRules, externalToken, mixedRing } from '../external-tokens.ts';
import {
  agent,
  certificateSha256,
  denied,
  es256Key,
  mint,
  nowMs,
  nowSeconds,
  ringOf,
  rules,
} from '../../../builders/tokens.ts';
import { must } from '../../../builders/must.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';

const key = es256Key();
const keys = ringOf([key]);
const externalKeys = mixedRing({ external: key });

async function mustVerify(claims: Readonly<Record<string, unknown>> = {}): Promise<TaskToken> {
  return must(verifyTaskToken(mint(key, claims), rules, keys, nowMs));
}

async function mustBeExternal(claims: Readonly<Record<string, unknown>>): Promise<ExternalToken> {
  return must(externalTokenFrom(externalToken(key, claims), externalRules, externalKeys, nowMs));
}

const proofBy = (thumbprint: string): Proof => ({
  thumbprint,
  algorithm: 'ES256',
  proofId: 'e1j3V_bKic8-LAEB',
  issuedAtSeconds: nowSeconds,
});

interface Arrival {
  readonly id?: string;
  readonly certificate?: string | null;
  readonly scheme?: AuthorizationScheme;
  readonly proof?: Proof | null;
}

const arrived = ({
  id = agent,
  certificate = certificateSha256,
  scheme = 'Bearer',
  proof = null,
}: Arrival): Presentation => {
  const caller: Caller = {
    id: mustSpiffeId(id),
    trustDomain: trustDomainOf(mustSpiffeId(id)),
    source: 'peer',
    certificateSha256: certificate,
    certificateNotAfterMs: null,
  };
  return { caller, scheme, proof };
};

const other = certificateSha256.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'));
const thief = 'spiffe://acme.test/ns/agents/sa/thief';
const hop = 'spiffe://acme.test/gateway';
const x5t = { 'x5t#S256': certificateSha256 };
const jkt = { jkt: certificateSha256 };
const proof = proofBy(certificateSha256);
const modes: readonly BindingMode[] = ['certificate', 'spiffe-id', 'dpop'];

describe('bindingProblem lets through', () => {
  it.each<[string, BindingMode, object, Arrival]>([
    ['the same certificate', 'certificate', x5t, {}],
    ['the same workload after its certificate was rotated', 'spiffe-id', x5t, { certificate: other }],
    ['the same workload without a certificate', 'spiffe-id', x5t, { certificate: null }],
    ['the same workload with its key', 'certificate', jkt, { certificate: other, scheme: 'DPoP', proof }],
    ['the same workload with its key', 'spiffe-id', jkt, { certificate: null, scheme: 'DPoP', proof }],
    ['the key through a hop', 'dpop', jkt, { id: hop, certificate: other, scheme: 'DPoP', proof }],
    ['the key of the agent itself', 'dpop', jkt, { scheme: 'DPoP', proof }],
  ])('%s in mode %s', async (_name, mode, cnf, arrival) => {
    expect(bindingProblem(await mustVerify({ cnf }), arrived(arrival), mode)).toBeNull();
  });
});

const otherThanBound = 'claim `cnf` is not the certificate of the caller';

describe('bindingProblem denies', () => {
  const asDpop = { scheme: 'DPoP', proof } as const;
  const identity = 'claim `client_id` is not the caller';
  const certificate =
    'claim `cnf` is another certificate than the caller shows, whose SPIFFE ID is right: its agent exchanges the token after a renewal of its SVID; a proxy that keeps connections of the former certificate needs `extAuthz.binding: spiffe-id`';
  const mustBearer = 'a token that is not bound to a DPoP key must be sent as `Bearer`';
  it.each<[string, BindingMode, object, Arrival, string, string]>([
    ['another workload', 'certificate', x5t, { id: thief }, 'token.binding', identity],
    ['another workload', 'spiffe-id', x5t, { id: thief }, 'token.binding', identity],
    ['a caller whose ID begins alike', 'spiffe-id', x5t, { id: `${agent}-2` }, 'token.binding', identity],
    ['another workload that has the key', 'certificate', jkt, { id: thief, ...asDpop }, 'token.binding', identity],
    ['another workload that has the key', 'spiffe-id', jkt, { id: thief, ...asDpop }, 'token.binding', identity],
    ['another certificate', 'certificate', x5t, { certificate: other }, 'token.binding', certificate],
    ['a cut digest', 'certificate', x5t, { certificate: other.slice(0, 42) }, 'token.binding', certificate],
    [
      'no certificate',
      'certificate',
      x5t,
      { certificate: null },
      // Issue 15: it looked like theft, and took the token from its own agent.
      'identity.missing',
      'Envoy sends no peer certificate, so a token that is bound to a certificate cannot be used: set `include_peer_certificate: true` in its ext_authz filter',
    ],
    [
      'a certificate behind a hop',
      'dpop',
      x5t,
      {},
      'token.binding',
      'claim `cnf` must be a DPoP key if a hop terminates TLS',
    ],
    ...modes.flatMap((mode): [string, BindingMode, object, Arrival, string, string][] => [
      [
        'a DPoP key without a proof',
        mode,
        jkt,
        {},
        'token.proof',
        'a token bound to a DPoP key must be sent as `DPoP`',
      ],
      [
        'a DPoP key sent as Bearer beside its proof',
        mode,
        jkt,
        { proof },
        'token.proof',
        'a token bound to a DPoP key must be sent as `DPoP`',
      ],
      [
        'a DPoP key whose proof was not read',
        mode,
        jkt,
        { scheme: 'DPoP' },
        'token.proof',
        'a token bound to a DPoP key needs a proof',
      ],
      [
        'the proof of another key',
        mode,
        jkt,
        { scheme: 'DPoP', proof: proofBy(other) },
        'token.binding',
        'claim `cnf` is not the key of the proof',
      ],
      ['a certificate sent as DPoP', mode, x5t, asDpop, 'token.proof', mustBearer],
    ]),
  ])('%s in mode %s', async (_name, mode, cnf, arrival, reason, detail) => {
    expect(denied(bindingProblem(await mustVerify({ cnf }), arrived(arrival), mode))).toEqual([reason, detail]);
  });

  it.each(modes)('a task token bound to nothing in mode %s', async (mode) => {
    const token: TaskToken = { ...(await mustVerify()), confirmation: null };
    expect(denied(bindingProblem(token, arrived({}), mode))).toEqual(['token.binding', 'claim `cnf` is required']);
  });

  it.each(modes.flatMap((mode) => [agent, thief].map((id): [string, BindingMode] => [id, mode])))(
    'a token made out for a delegate, sent by %s in mode %s',
    async (id, mode) => {
      const token = await mustVerify({ cnf: jkt, may_act: { sub: thief } });
      expect(denied(bindingProblem(token, arrived({ id, ...asDpop }), mode))).toEqual([
        'token.binding',
        'claim `may_act`: the token is for an exchange by its delegate, not for calls',
      ]);
    },
  );

  it.each<[string, BindingMode, object, Arrival, [string, string] | null]>([
    ['bound to nothing', 'certificate', {}, { id: hop }, null],
    ['bound to nothing', 'dpop', {}, { id: hop }, null],
    ['bound to nothing, sent as DPoP', 'dpop', {}, asDpop, ['token.proof', mustBearer]],
    ['bound to the certificate', 'certificate', { cnf: x5t }, { id: hop }, null],
    [
      'bound to another certificate',
      'certificate',
      { cnf: x5t },
      { certificate: other },
      ['token.binding', otherThanBound],
    ],
    [
      'bound to another certificate',
      'spiffe-id',
      { cnf: x5t },
      { certificate: other },
      ['token.binding', otherThanBound],
    ],
    [
      'bound to a certificate',
      'dpop',
      { cnf: x5t },
      {},
      ['token.binding', 'claim `cnf` must be a DPoP key if a hop terminates TLS'],
    ],
    ['bound to the key', 'spiffe-id', { cnf: jkt }, { id: hop, ...asDpop }, null],
    [
      'bound to a key, sent as Bearer',
      'certificate',
      { cnf: jkt },
      {},
      ['token.proof', 'a token bound to a DPoP key must be sent as `DPoP`'],
    ],
  ])('or lets through an external token %s in mode %s', async (_name, mode, claims, arrival, expected) => {
    expect(denied(bindingProblem(await mustBeExternal({ ...claims }), arrived(arrival), mode))).toEqual(expected);
  });
});
