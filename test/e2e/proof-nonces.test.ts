import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, expect, it } from '@jest/globals';
import * as oauth from 'oauth4webapi';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { startDomain } from './domain.ts';

const AUDIENCE = 'https://payments.acme.test';
const ISSUER = 'https://issuer.acme.test';

/** Tries once more where the server asks for a nonce, which the client has taken from the refusal. */
const again = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    if (oauth.isDPoPNonceError(error)) return work();
    throw error;
  }
};

describeWith(envoyPart(), 'nonces of DPoP proofs, through Envoy and with a stock OAuth client', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  const seen: string[] = [];
  beforeAll(async () => {
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      settings: { extAuthz: { binding: 'dpop', proofNonces: 'required' } },
    });
    // The issuer refuses proofs from before its start.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
  });

  /** `fetch` of the client over the connection of the planner, to a port of the domain. */
  const over = (port: number) => ({
    [oauth.customFetch]: async (url: string, { method, headers, body }: oauth.CustomFetchOptions<string, unknown>) => {
      const { host, pathname: path } = new URL(url);
      const reply = await domain.stage.planner.call(port, {
        host,
        method,
        path,
        headers,
        ...(body instanceof URLSearchParams ? { body: body.toString() } : {}),
      });
      seen.push(`${reply.status} ${String(reply.headers['dpop-nonce'] ?? '-').length > 1 ? 'nonce' : 'none'}`);
      const entries = Object.entries(reply.headers).map(([name, value]): [string, string] => [name, String(value)]);
      return new Response(reply.body, { status: reply.status, headers: entries });
    },
  });

  it('a client that knows them is refused once at the issuer and once at the gateway, and then no more', async () => {
    const client: oauth.Client = { client_id: domain.stage.planner.id };
    const server: oauth.AuthorizationServer = { issuer: ISSUER, token_endpoint: `${ISSUER}/oauth/token` };
    const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const importKey = (part: 'publicKey' | 'privateKey') =>
      keys[part].toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [part === 'publicKey' ? 'verify' : 'sign']);
    const handle = oauth.DPoP(client, { publicKey: importKey('publicKey'), privateKey: importKey('privateKey') });
    const details = [{ type: 'urn:remit:task', locations: [AUDIENCE], actions: ['payments.read'], purpose: 'look' }];
    const parameters = { resource: AUDIENCE, authorization_details: JSON.stringify(details) };
    const grant = async () =>
      oauth.processClientCredentialsResponse(
        server,
        client,
        await oauth.clientCredentialsGrantRequest(server, client, oauth.None(), parameters, {
          DPoP: handle,
          ...over(domain.stage.issuerPort),
        }),
      );
    const { access_token: token } = await again(grant);
    expect(seen.splice(0)).toEqual(['400 nonce', '200 none']);
    const call = async () =>
      (
        await oauth.protectedResourceRequest(
          token,
          'GET',
          new URL(`${AUDIENCE}/v1/payments/p-1`),
          undefined,
          undefined,
          { DPoP: handle, ...over(domain.stage.envoyPort) },
        )
      ).status;
    expect(await again(call)).toBe(200);
    expect(seen.splice(0)).toEqual(['401 nonce', '200 none']);
    expect([await again(call), await again(call)]).toEqual([200, 200]);
    expect(seen.splice(0)).toEqual(['200 none', '200 none']);
  });
});
