import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../../src/dev/authority.ts';
import { IssuerServer } from '../../../src/authority/issuer/server.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { type Bench, formHeaders, startBench } from './bench.ts';

const folder = testFolders(() => bench.close());
let bench: Bench;
beforeAll(async () => {
  bench = await startBench(folder());
});

describe('clients of the issuer', () => {
  it('fails the handshake of a client without a certificate', async () => {
    await expect(bench.ask('/.well-known/jwks.json', { as: null })).rejects.toThrow(
      /certificate required|ECONNRESET|EPIPE/,
    );
  });

  it('fails the handshake of a client of another authority', async () => {
    const other = await createAuthority('acme.test', systemPorts);
    const thief = await other.svid('/ns/agents/sa/planner');
    await expect(bench.token({}, thief)).rejects.toThrow(/socket hang up|ECONNRESET|EPIPE|alert/i);
  });

  it('refuses TLS before 1.2, and plain HTTP', async () => {
    const old = connect({
      port: bench.port,
      host: '127.0.0.1',
      ca: bench.authority.bundlePem,
      servername: 'issuer.acme.test',
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await expect(once(old, 'secureConnect')).rejects.toThrow();
    const plain = connectTcp(bench.port, '127.0.0.1');
    plain.end('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    let text = '';
    plain.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    await once(plain, 'close');
    expect(text).not.toContain('HTTP/1.1 200');
  });

  const asNobody = {
    error: 'invalid_client',
    error_description: 'the trust domain of the client certificate is not accepted',
  };
  it.each(['/oauth/token', '/tasks/0198c0de-0000-7000-8000-000000000001/complete'])(
    'refuses a workload of a foreign trust domain at %s',
    async (path) => {
      const foreign = await bench.authority.certificate({ uris: ['spiffe://evil.test/ns/agents/sa/planner'] });
      const answer = await bench.ask(path, { method: 'POST', as: foreign, body: '', headers: formHeaders });
      expect([answer.status, answer.json]).toMatchObject([401, asNobody]);
    },
  );

  it('reports route and status of each request, never a path chosen by a client', async () => {
    const before = bench.answered.length;
    const issued = await bench.token();
    await bench.ask(`/tasks/${String(issued.json['txn'])}`);
    await bench.ask('/chosen');
    expect(bench.answered.slice(before)).toEqual([
      ['/oauth/token', 200],
      ['/tasks/{id}', 200],
      ['none', 404],
    ]);
  });

  it('records and traces that refusal', async () => {
    const foreign = await bench.authority.certificate({ uris: ['spiffe://evil.test/x'] });
    await bench.token({}, foreign);
    expect(bench.refusals.at(-1)).toMatchObject({
      error: 'invalid_client',
      reason: 'identity.untrusted-domain',
      detail: 'the trust domain of the client certificate is not accepted',
      agent: null,
    });
    expect(bench.spans.at(-1)).toMatchObject({ attributes: { 'remit.reason': 'identity.untrusted-domain' } });
  });

  it.each<[string, readonly string[]]>([
    ['no URI name', []],
    ['two URI names', ['spiffe://acme.test/a', 'spiffe://acme.test/b']],
    ['another scheme', ['https://acme.test/a']],
    ['no path', ['spiffe://acme.test']],
  ])('refuses a certificate with %s', async (_name, uris) => {
    const answer = await bench.token({}, await bench.authority.certificate({ uris }));
    expect([answer.status, answer.json['error']]).toEqual([401, 'invalid_client']);
    expect(bench.refusals.at(-1)).toMatchObject({ reason: 'identity.invalid' });
  });

  it('refuses a certificate that has expired in the handshake', async () => {
    const expired = await bench.authority.svid('/ns/agents/sa/planner', { notBeforeMs: Date.now() - 7_200_000 });
    await expect(bench.token({}, expired)).rejects.toThrow();
  });
});

describe('GET /.well-known', () => {
  it('serves RFC 8414 metadata', async () => {
    const answer = await bench.ask('/.well-known/oauth-authorization-server');
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'public, max-age=300',
    });
    const endpoints = {
      token_endpoint: 'https://issuer.acme.test/oauth/token',
      introspection_endpoint: 'https://issuer.acme.test/oauth/introspect',
      revocation_endpoint: 'https://issuer.acme.test/oauth/revoke',
    };
    expect(answer.json).toEqual({
      issuer: 'https://issuer.acme.test',
      authorization_endpoint: 'https://issuer.acme.test/oauth/authorize',
      ...endpoints,
      jwks_uri: 'https://issuer.acme.test/.well-known/jwks.json',
      scopes_supported: expect.arrayContaining(['payments.read', 'tickets.search-customers']),
      response_types_supported: [],
      code_challenge_methods_supported: ['S256'],
      grant_types_supported: ['client_credentials', 'refresh_token', 'urn:ietf:params:oauth:grant-type:token-exchange'],
      token_endpoint_auth_methods_supported: ['tls_client_auth'],
      introspection_endpoint_auth_methods_supported: ['tls_client_auth'],
      revocation_endpoint_auth_methods_supported: ['tls_client_auth'],
      authorization_details_types_supported: ['urn:remit:task'],
      tls_client_certificate_bound_access_tokens: true,
      mtls_endpoint_aliases: endpoints,
      access_token_signing_alg_values_supported: ['ES256'],
    });
  });

  it.each([
    '/.well-known/openid-configuration',
    '/.well-known/openid-configuration/payments',
    '/.well-known/oauth-authorization-server/payments',
    '/.well-known/oauth-protected-resource',
  ])('has no %s', async (path) => {
    const answer = await bench.ask(path);
    expect([answer.status, answer.json['error'], answer.headers['www-authenticate']]).toEqual([
      404,
      'not_found',
      undefined,
    ]);
  });

  it('refuses to sign anybody in, and redirects nowhere', async () => {
    const answer = await bench.ask(
      '/oauth/authorize?response_type=code&client_id=x&redirect_uri=https%3A%2F%2Fattacker.test%2F&state=s',
    );
    expect([answer.status, answer.json['error'], answer.headers.location]).toEqual([
      400,
      'unsupported_response_type',
      undefined,
    ]);
    expect(answer.text).not.toContain('attacker');
  });

  it('serves public keys only, to any workload of the bundle', async () => {
    const sidecar = await bench.authority.certificate({ uris: ['spiffe://other.test/sidecar'] });
    const answer = await bench.ask('/.well-known/jwks.json', { as: sidecar });
    expect(answer.json).toEqual({
      keys: [
        {
          kty: 'EC',
          crv: 'P-256',
          x: expect.any(String),
          y: expect.any(String),
          kid: expect.any(String),
          alg: 'ES256',
          use: 'sig',
        },
      ],
    });
  });

  it('follows the well-known part and precedes other paths if the issuer has a path', async () => {
    const services = { ...bench.services.settings, url: 'https://issuer.acme.test/remit/v1' };
    const deep = await startBench(folder(), { settings: services });
    expect((await deep.ask('/.well-known/oauth-authorization-server/remit/v1')).json).toMatchObject({
      token_endpoint: 'https://issuer.acme.test/remit/v1/oauth/token',
    });
    expect((await deep.ask('/remit/v1/.well-known/jwks.json')).status).toBe(200);
    expect((await deep.ask('/.well-known/jwks.json')).status).toBe(404);
    await deep.close();
  });
});

describe('a request without an endpoint', () => {
  it.each<[string, string, number, Record<string, unknown>, string | undefined]>([
    ['GET', '/', 404, { error: 'not_found' }, undefined],
    ['GET', '/tasks/not-an-id', 404, { error: 'not_found' }, undefined],
    ['POST', '/tasks/0198C0DE-0000-7000-8000-000000000001/complete', 404, { error: 'not_found' }, undefined],
    ['GET', '/oauth/token/', 404, { error: 'not_found' }, undefined],
    ['GET', '/oauth/token', 405, { error: 'method_not_allowed' }, 'POST'],
    ['DELETE', '/oauth/token', 405, { error: 'method_not_allowed' }, 'POST'],
    ['POST', '/.well-known/jwks.json', 405, { error: 'method_not_allowed' }, 'GET, HEAD'],
    ['PUT', '/tasks/0198c0de-0000-7000-8000-000000000001', 405, { error: 'method_not_allowed' }, 'GET, HEAD'],
    [
      'GET',
      '/.well-known/jwks.json?x=1',
      400,
      { error: 'invalid_request', error_description: 'a query is not supported' },
      undefined,
    ],
    ['POST', '/oauth/token?grant_type=client_credentials', 400, { error: 'invalid_request' }, undefined],
  ])('is answered: %s %s with %d', async (method, path, status, json, allow) => {
    const answer = await bench.ask(path, { method });
    expect([answer.status, answer.headers.allow]).toEqual([status, allow]);
    expect(answer.json).toMatchObject(json);
  });

  it('answers HEAD as GET without a body', async () => {
    const answer = await bench.ask('/.well-known/jwks.json', { method: 'HEAD' });
    expect([answer.status, answer.text]).toEqual([200, '']);
  });

  it.each<[string, Record<string, string>]>([
    ['a declared length', { ...formHeaders, 'content-length': '70000' }],
    ['chunks', { ...formHeaders, 'transfer-encoding': 'chunked' }],
  ])('refuses a body larger than 64 KiB, by %s', async (_name, headers) => {
    const answer = await bench.ask('/oauth/token', { method: 'POST', headers, body: 'x'.repeat(70_000) });
    expect([answer.status, answer.json, answer.headers.connection]).toEqual([
      413,
      { error: 'invalid_request', error_description: 'the body is larger than 65536 bytes' },
      'close',
    ]);
  });

  it('refuses headers larger than 8 KiB', async () => {
    const answer = await bench.ask('/.well-known/jwks.json', { headers: { x: 'x'.repeat(9_000) } });
    expect(answer.status).toBe(431);
  });

  it('cuts a client that does not complete its request', async () => {
    const slow = connect({
      port: bench.port,
      host: '127.0.0.1',
      ca: bench.authority.bundlePem,
      servername: 'issuer.acme.test',
      cert: bench.planner.certPem,
      key: bench.planner.keyPem,
    });
    await once(slow, 'secureConnect');
    slow.write('POST /oauth/token HTTP/1.1\r\n');
    slow.resume();
    slow.on('error', () => undefined);
    await once(slow, 'close');
  });
});

describe('IssuerServer.reload', () => {
  it('serves new connections with the new certificate', async () => {
    const own = await bench.authority.svid('/ns/remit/sa/issuer', { dns: ['issuer.acme.test'] });
    const seen = async (): Promise<string> => {
      const socket = connect({
        port: bench.port,
        host: '127.0.0.1',
        ca: bench.authority.bundlePem,
        servername: 'issuer.acme.test',
        cert: bench.planner.certPem,
        key: bench.planner.keyPem,
      });
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const before = await seen();
    bench.server.reload({ certificate: own.certPem, key: own.keyPem, bundle: bench.authority.bundlePem });
    expect(await seen()).not.toBe(before);
    expect((await bench.token()).status).toBe(200);
  });

  it('throws for mismatched key and certificate, and keeps serving', async () => {
    const own = await bench.authority.svid('/a');
    expect(() => bench.server.reload({ certificate: own.certPem, key: bench.planner.keyPem, bundle: '' })).toThrow();
    expect((await bench.token()).status).toBe(200);
  });
});

describe('IssuerServer.listen', () => {
  it('rejects if the address is taken', async () => {
    const other = new IssuerServer({ services: bench.services, tls: bench.tls, limits: bench.limits });
    await expect(other.listen('127.0.0.1', bench.port)).rejects.toThrow(/EADDRINUSE/);
  });
});

describe('IssuerServer.close', () => {
  it('cuts idle connections at once and pending requests after the grace period', async () => {
    const closing = await startBench(folder());
    const hanging = connect({
      port: closing.port,
      host: '127.0.0.1',
      ca: closing.authority.bundlePem,
      servername: 'issuer.acme.test',
      cert: closing.planner.certPem,
      key: closing.planner.keyPem,
    });
    await once(hanging, 'secureConnect');
    hanging.on('error', () => undefined);
    hanging.write('POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 50));
    await closing.server.close(200);
    await expect(closing.ask('/.well-known/jwks.json')).rejects.toThrow(/ECONNREFUSED/);
    closing.store.close();
  });
});
