import { beforeAll, expect, it } from '@jest/globals';
import { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { tokenRequest } from '../../src/dev/issuer-request.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { CRM, SERVED, withCrm } from './crm.ts';
import { testFolder } from '../builders/test-folders.ts';
import { startDomain } from './domain.ts';
import { dpopProof, newKey } from './dpop-proof.ts';
import type { ProofOptions } from './dpop-proof.ts';

const AUDIENCE = 'https://payments.acme.test';

/** An agent behind a hop that terminates TLS: Envoy sees the certificate of the hop, and the agent proves its own key. */
describeWith(envoyPart(), 'DPoP through Envoy', (envoy) => {
  const scratch = testFolder(async () => {
    hop?.close();
    await domain?.stop();
  });
  let domain: DevDomain;
  let hop: Agent;
  let token = '';
  const clock = { offMs: 0 };
  const own = newKey();

  const proof = (options: Partial<ProofOptions> & Pick<ProofOptions, 'method' | 'url'>): Promise<string> =>
    dpopProof({ key: own, ...options });

  const issued = async (resource: string, action: string): Promise<string> => {
    const { planner, issuerPort, issuerHost } = domain.stage;
    const dpop = await proof({ method: 'POST', url: 'https://issuer.acme.test/oauth/token' });
    const request = tokenRequest(resource, { actions: [action], purpose: 'look' }, { dpop });
    const reply = await planner.call(issuerPort, { host: issuerHost, ...request });
    const body = JSON.parse(reply.body);
    expect([reply.status, body.token_type]).toEqual([200, 'DPoP']);
    return body.access_token;
  };

  const call = async (
    dpop: string | null,
    scheme = 'DPoP',
    { path, by }: { readonly path: string; readonly by: string } = { path: '/v1/payments/p-1?x=1', by: token },
  ): Promise<readonly [number, string | null]> => {
    const reply = await hop.call(domain.stage.envoyPort, {
      host: 'payments.acme.test',
      path,
      headers: { authorization: `${scheme} ${by}`, ...(dpop === null ? {} : { dpop }) },
    });
    return [reply.status, reply.status < 300 ? null : JSON.parse(reply.body).reason];
  };

  const target = { method: 'GET', url: `${AUDIENCE}/v1/payments/p-1` };

  beforeAll(async () => {
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      policies: await withCrm(scratch.folder),
      ports: { ...systemPorts, nowMs: () => Date.now() + clock.offMs },
      settings: { extAuthz: { binding: 'dpop' } },
    });
    hop = new Agent(await domain.authority.svid('/ns/mesh/sa/hop'), domain.authority.bundlePem);
    // The issuer refuses proofs from before its start.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    token = await issued(AUDIENCE, 'payments.read');
  });

  it('allows a call with a proof by the key of the token, for the external URL', async () => {
    expect(await call(await proof({ ...target, token }))).toEqual([200, null]);
  });

  it('checks proofs by a wall clock that is ahead, and again once it is corrected (issue 14, point 9)', async () => {
    const now = (): number => Math.floor((Date.now() + clock.offMs) / 1000);
    // A token lives for 5 minutes, so it survives a step of 2 minutes.
    clock.offMs = 120_000;
    const ahead = await proof({ ...target, token, issuedAtSeconds: now() });
    expect(await call(ahead)).toEqual([200, null]);
    expect(await call(await proof({ ...target, token, issuedAtSeconds: now() - 120 }))).toEqual([401, 'token.proof']);
    clock.offMs = 0;
    expect(await call(await proof({ ...target, token, issuedAtSeconds: now() }))).toEqual([200, null]);
    // The proof is not valid yet, and is used up once it is.
    expect(await call(ahead)).toEqual([401, 'token.proof']);
    clock.offMs = 120_000;
    expect(await call(ahead)).toEqual([401, 'token.proof']);
    clock.offMs = 0;
  });

  it('accepts a proof for the URL of a server with a path in its audience, not with that path twice', async () => {
    const by = await issued(CRM, 'crm.read');
    const path = '/v1/payments/crm';
    const at = async (url: string) => call(await proof({ method: 'GET', url, token: by }), 'DPoP', { path, by });
    expect(await at(`${AUDIENCE}${path}`)).toEqual(SERVED);
    expect(await at(`${CRM}${path}`)).toEqual([401, 'token.proof']);
  });

  it('accepts each proof once', async () => {
    const once = await proof({ ...target, token });
    expect(await call(once)).toEqual([200, null]);
    expect(await call(once)).toEqual([401, 'token.proof']);
  });

  it.each<[string, () => Promise<string | null>, string, string]>([
    ['no proof', () => Promise.resolve(null), 'DPoP', 'token.proof'],
    ['a token sent as Bearer', () => proof({ ...target, token }), 'Bearer', 'token.proof'],
    ['a proof for another method', () => proof({ ...target, method: 'POST', token }), 'DPoP', 'token.proof'],
    [
      'a proof for another URL',
      () => proof({ ...target, url: `${AUDIENCE}/v1/payments`, token }),
      'DPoP',
      'token.proof',
    ],
    ['a proof for another token', () => proof({ ...target, token: 'another' }), 'DPoP', 'token.proof'],
    ['a proof without the token', () => proof(target), 'DPoP', 'token.proof'],
    [
      'an old proof',
      () => proof({ ...target, token, issuedAtSeconds: Math.floor(Date.now() / 1000) - 120 }),
      'DPoP',
      'token.proof',
    ],
    [
      'a proof from the future',
      () => proof({ ...target, token, issuedAtSeconds: Math.floor(Date.now() / 1000) + 120 }),
      'DPoP',
      'token.proof',
    ],
    ['a proof by another key', () => proof({ ...target, token, key: newKey() }), 'DPoP', 'token.binding'],
  ])('denies %s', async (_name, made, scheme, reason) => {
    expect(await call(await made(), scheme)).toEqual([401, reason]);
  });
});
