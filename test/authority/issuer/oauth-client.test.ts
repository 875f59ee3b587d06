import { generateKeyPairSync } from 'node:crypto';
import { request as httpsRequest } from 'node:https';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as oauth from 'oauth4webapi';
import type { IssuedCertificate } from '../../../src/dev/authority.ts';
import { ProofMemory } from '../../../src/core/token/proof/proof-memory.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { audience, type Bench, details, issuerUrl, startBench } from './bench.ts';
import { type Idp, plannerId, reporterId, startIdp } from './idp.ts';

const folder = testFolders(() => bench.close());
const idp: Idp = startIdp();
let bench: Bench;
let server: oauth.AuthorizationServer;
beforeAll(async () => {
  const { subjectIssuers, subjectKeys } = idp;
  bench = await startBench(folder(), {
    subjectKeys,
    proofs: new ProofMemory({ pastSeconds: 60, startedAtMs: Date.now() - 60_000 }),
    settings: { subjectIssuers },
  });
  const url = new URL(issuerUrl);
  const discovered = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...as(bench.planner) });
  server = await oauth.processDiscoveryResponse(url, discovered);
});

/** `fetch` over a connection that presents the certificate of the workload; the name in the URL is the issuer's. */
const as = ({ certPem, keyPem }: IssuedCertificate) => ({
  [oauth.customFetch]: (
    url: string,
    {
      method,
      headers,
      body,
    }: { method: string; headers: Record<string, string>; body?: URLSearchParams | null | undefined },
  ): Promise<Response> => {
    const { pathname, search } = new URL(url);
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        {
          host: '127.0.0.1',
          port: bench.port,
          servername: 'issuer.acme.test',
          ca: bench.authority.bundlePem,
          cert: certPem,
          key: keyPem,
          path: `${pathname}${search}`,
          method,
          headers,
          agent: false,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const entries = Object.entries(response.headers).map(([name, value]): [string, string] => [
              name,
              String(value),
            ]);
            const status = response.statusCode ?? 0;
            resolve(new Response(Buffer.concat(chunks), { status, headers: entries }));
          });
        },
      );
      request.on('error', reject);
      request.end(body?.toString());
    });
  },
});

const clientOf = (id: string): oauth.Client => ({ client_id: id, use_mtls_endpoint_aliases: true });
const planner = clientOf(plannerId);
const auth = oauth.TlsClientAuth();
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

const credentials = async (dpop?: oauth.DPoPHandle): Promise<oauth.TokenEndpointResponse> => {
  const parameters = new URLSearchParams({ resource: audience, authorization_details: details() });
  const options = { ...as(bench.planner), ...(dpop === undefined ? {} : { DPoP: dpop }) };
  const response = await oauth.clientCredentialsGrantRequest(server, planner, auth, parameters, options);
  return oauth.processClientCredentialsResponse(server, planner, response);
};

const exchange = async (
  parameters: Record<string, string>,
  [client, credential]: readonly [oauth.Client, IssuedCertificate] = [planner, bench.planner],
): Promise<oauth.TokenEndpointResponse> => {
  const response = await oauth.genericTokenEndpointRequest(
    server,
    client,
    auth,
    TOKEN_EXCHANGE,
    new URLSearchParams({ subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', ...parameters }),
    as(credential),
  );
  return oauth.processGenericTokenEndpointResponse(server, client, response);
};

const introspect = async (token: string): Promise<oauth.IntrospectionResponse> => {
  const response = await oauth.introspectionRequest(server, planner, auth, token, as(bench.planner));
  return oauth.processIntrospectionResponse(server, planner, response);
};

/** The status and error of a refused exchange. */
const refused = async (parameters: Record<string, string>): Promise<unknown> =>
  exchange(parameters).then(
    () => 'accepted',
    (error: unknown) => (error instanceof oauth.ResponseBodyError ? [error.status, error.error] : error),
  );

describe('a stock OAuth client (oauth4webapi) over mutual TLS', () => {
  it('discovers the issuer', () => {
    expect(server).toMatchObject({ issuer: issuerUrl, token_endpoint: `${issuerUrl}/oauth/token` });
  });

  it('discovers the issuer from the resource', async () => {
    const url = new URL(`${issuerUrl}/.well-known/oauth-protected-resource/payments`);
    const response = await as(bench.planner)[oauth.customFetch](url.href, { method: 'GET', headers: {} });
    const resource = await oauth.processResourceDiscoveryResponse(new URL(audience), response);
    expect(resource.authorization_servers).toEqual([issuerUrl]);
  });

  it('gets a token with client_credentials, introspects and revokes it', async () => {
    const issued = await credentials();
    expect(issued).toMatchObject({ token_type: 'bearer', scope: 'payments.read', expires_in: 300 });
    expect(await introspect(issued.access_token)).toMatchObject({ active: true, client_id: plannerId, aud: audience });
    const revoked = await oauth.revocationRequest(server, planner, auth, issued.access_token, as(bench.planner));
    expect(await oauth.processRevocationResponse(revoked)).toBeUndefined();
    expect(await introspect(issued.access_token)).toEqual({ active: false });
  });

  it.each([
    ['bound to the certificate', 'bearer'],
    ['bound to a key', 'dpop'],
  ])('renews a token %s within its task', async (_name, type) => {
    const dpop = type === 'dpop' ? oauth.DPoP({}, await oauth.generateKeyPair('ES256')) : undefined;
    const issued = await credentials(dpop);
    const options = { ...as(bench.planner), ...(dpop === undefined ? {} : { DPoP: dpop }) };
    const response = await oauth.refreshTokenGrantRequest(server, planner, auth, String(issued.refresh_token), options);
    const renewed = await oauth.processRefreshTokenResponse(server, planner, response);
    expect([renewed.token_type, renewed['txn']]).toEqual([type, issued['txn']]);
    expect(renewed.access_token).not.toBe(issued.access_token);
    const cnf = { [type === 'dpop' ? 'jkt' : 'x5t#S256']: expect.any(String) };
    expect(await introspect(renewed.access_token)).toMatchObject({ active: true, cnf });
  });

  it('acts for a user by token exchange', async () => {
    const issued = await exchange({
      subject_token: await idp.accessToken(),
      resource: audience,
      authorization_details: details(),
    });
    expect(issued).toMatchObject({
      token_type: 'bearer',
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    });
    expect(await introspect(issued.access_token)).toMatchObject({
      sub: 'alice@acme.test',
      act: { sub: plannerId },
    });
  });

  it('exchanges its own token for a narrower token, and delegates a part to another client', async () => {
    const issued = await credentials();
    const narrow = await exchange({ subject_token: issued.access_token, scope: 'payments.read' });
    expect(narrow['txn']).toBe(issued['txn']);
    const response = await oauth.genericTokenEndpointRequest(
      server,
      planner,
      auth,
      TOKEN_EXCHANGE,
      new URLSearchParams({
        subject_token: narrow.access_token,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        delegate: reporterId,
      }),
      as(bench.planner),
    );
    const made = await oauth.processGenericTokenEndpointResponse(server, planner, response, {
      recognizedTokenTypes: { n_a: () => undefined },
    });
    const child = await exchange({ subject_token: made.access_token }, [clientOf(reporterId), bench.reporter]);
    expect(child.scope).toBe('payments.read');
    expect(child['txn']).not.toBe(issued['txn']);
  });

  it('gets a DPoP-bound token that a resource server of the same library accepts', async () => {
    const dpop = oauth.DPoP({}, await oauth.generateKeyPair('ES256'));
    const issued = await credentials(dpop);
    expect(issued.token_type).toBe('dpop');
    expect(await introspect(issued.access_token)).toMatchObject({ active: true, cnf: { jkt: expect.any(String) } });
    const sent: Request[] = [];
    const url = new URL(`${audience}/v1/payments`);
    await oauth.protectedResourceRequest(issued.access_token, 'GET', url, undefined, undefined, {
      DPoP: dpop,
      [oauth.customFetch]: (target, { method, headers }) => {
        sent.push(new Request(target, { method, headers }));
        return Promise.resolve(new Response());
      },
    });
    const [request] = sent;
    if (request === undefined) throw new Error('nothing was sent');
    const claims = await oauth.validateJwtAccessToken(server, request, audience, as(bench.planner));
    expect(claims).toMatchObject({ client_id: plannerId, txn: issued['txn'] });
  });

  it('receives each refusal as a standard error', async () => {
    const foreign = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' });
    expect(await refused({ subject_token: foreign })).toEqual([400, 'invalid_request']);
    const subject_token = (await credentials()).access_token;
    expect(await refused({ subject_token, scope: 'payments.create' })).toEqual([400, 'invalid_scope']);
    expect(await refused({ subject_token, resource: 'https://x.test' })).toEqual([400, 'invalid_target']);
    expect(await refused({ subject_token, authorization_details: '[{"type":"x"}]' })).toEqual([
      400,
      'invalid_authorization_details',
    ]);
  });
});
