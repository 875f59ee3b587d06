import { describe, expect, it } from '@jest/globals';
import { isDeny } from '../../src/decision/decision.ts';
import type { Caller } from '../../src/identity/caller.ts';
import { spiffeIdFrom, type SpiffeId, trustDomainOf } from '../../src/identity/spiffe-id.ts';
import { type BindingMode, bindingProblem } from '../../src/token/binding.ts';
import type { TaskToken } from '../../src/token/claims.ts';
import { verifyTaskToken } from '../../src/token/verify.ts';
import { agent, certificateSha256, denied, es256Key, mint, nowMs, ringOf, rules } from './tokens.ts';

const key = es256Key();
const keys = ringOf([key]);

function mustBeId(text: string): SpiffeId {
  const id = spiffeIdFrom(text);
  if (isDeny(id)) throw new Error(id.detail);
  return id;
}

async function mustVerify(claims: Readonly<Record<string, unknown>> = {}): Promise<TaskToken> {
  const token = await verifyTaskToken(mint(key, claims), rules, keys, nowMs);
  if (isDeny(token)) throw new Error(token.detail);
  return token;
}

const callerAs = (id: string, certificate: string | null): Caller => ({
  id: mustBeId(id),
  trustDomain: trustDomainOf(mustBeId(id)),
  source: 'peer',
  certificateSha256: certificate,
  certificateNotAfterMs: null,
});

describe('bindingProblem', () => {
  const other = certificateSha256.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'));
  const x5t = { 'x5t#S256': certificateSha256 };
  const jkt = { jkt: certificateSha256 };
  const thief = 'spiffe://acme.test/ns/agents/sa/thief';

  it.each<[string, BindingMode, object, string, string | null]>([
    ['the same certificate', 'certificate', x5t, agent, certificateSha256],
    ['the same workload after its certificate was rotated', 'spiffe-id', x5t, agent, other],
    ['the same workload without a certificate', 'spiffe-id', x5t, agent, null],
  ])('lets %s through in mode %s', async (_name, mode, cnf, id, certificate) => {
    expect(bindingProblem(await mustVerify({ cnf }), callerAs(id, certificate), mode)).toBeNull();
  });

  it.each<[string, BindingMode, object, string, string | null, string]>([
    ['another workload', 'certificate', x5t, thief, certificateSha256, 'claim `client_id` is not the caller'],
    ['another workload', 'spiffe-id', x5t, thief, certificateSha256, 'claim `client_id` is not the caller'],
    ['a caller whose ID begins alike', 'spiffe-id', x5t, `${agent}-2`, null, 'claim `client_id` is not the caller'],
    ['another certificate', 'certificate', x5t, agent, other, 'claim `cnf` is not the certificate of the caller'],
    ['a cut digest', 'certificate', x5t, agent, other.slice(0, 42), 'claim `cnf` is not the certificate of the caller'],
    ['no certificate', 'certificate', x5t, agent, null, 'the certificate of the caller is not known'],
    ['a DPoP key', 'certificate', jkt, agent, certificateSha256, 'proof of possession by DPoP is not enabled'],
  ])('denies %s in mode %s', async (_name, mode, cnf, id, certificate, detail) => {
    const problem = bindingProblem(await mustVerify({ cnf }), callerAs(id, certificate), mode);
    expect(denied(problem)).toEqual(['token.binding', detail]);
  });

  it('denies a token bound to nothing in mode certificate', async () => {
    const token: TaskToken = { ...(await mustVerify()), confirmation: null };
    const problem = bindingProblem(token, callerAs(agent, certificateSha256), 'certificate');
    expect(denied(problem)).toEqual(['token.binding', 'claim `cnf` is required']);
  });
});
