import { request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TaskCredential } from '../../../src/agent/task/issuer-client.ts';
import { issuerProblem, type IssuerProblem } from '../../../src/agent/task/issuer-problem.ts';
import { TokenEndpoint } from '../../../src/agent/task/token-endpoint.ts';

const bearer = 'b'.repeat(43);
const held: TaskCredential = {
  taskId: '0198c0de-0000-7000-8000-000000000001',
  token: 'the.only.token',
  type: 'Bearer',
  askedAtMs: 0,
  expiresAtMs: 300_000,
  boundTo: 'x',
};
let current: TaskCredential | IssuerProblem = held;
let endpoint: TokenEndpoint;
beforeAll(async () => {
  endpoint = await TokenEndpoint.listen({ current: async () => current, bearer, nowMs: () => 1_500 });
});
afterAll(() => endpoint.close());

interface Asked {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

const ask = ({ path = '/token', method = 'GET', headers = {} }: Asked = {}) =>
  new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    const all = { authorization: `Bearer ${bearer}`, ...headers };
    const outgoing = request(new URL(path, endpoint.url), { method, headers: all, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    outgoing.once('error', reject).end();
  });

describe('TokenEndpoint', () => {
  it('answers with the token in OAuth form, with `no-store`', async () => {
    const { status, headers, body } = await ask();
    expect([status, JSON.parse(body)]).toEqual([
      200,
      { access_token: 'the.only.token', token_type: 'Bearer', expires_in: 298 },
    ]);
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'content-type': 'application/json' });
  });

  it.each([
    ['a wrong bearer', { headers: { authorization: `Bearer ${'a'.repeat(43)}` } }, 401, 'invalid_client'],
    ['a part of the bearer', { headers: { authorization: `Bearer ${'b'.repeat(42)}` } }, 401, 'invalid_client'],
    ['no bearer', { headers: { authorization: '' } }, 401, 'invalid_client'],
    ['another scheme', { headers: { authorization: `Basic ${bearer}` } }, 401, 'invalid_client'],
    ['another host, as after DNS rebinding', { headers: { host: 'evil.test' } }, 421, 'misdirected'],
    ['the host localhost', { headers: { host: 'localhost' } }, 421, 'misdirected'],
    ['the address without its port', { headers: { host: '127.0.0.1' } }, 421, 'misdirected'],
    ['another path', { path: '/' }, 404, 'not_found'],
    ['a longer path', { path: '/token/' }, 404, 'not_found'],
    ['a query', { path: '/token?x=1' }, 404, 'not_found'],
    ['POST', { method: 'POST' }, 405, 'method_not_allowed'],
    [
      'a preflight of a web page',
      { method: 'OPTIONS', headers: { origin: 'https://evil.test' } },
      405,
      'method_not_allowed',
    ],
  ] as [string, Asked, number, string][])('refuses %s', async (_name, asked, status, error) => {
    const answer = await ask(asked);
    expect([answer.status, JSON.parse(answer.body)]).toEqual([
      status,
      { error, error_description: expect.any(String) },
    ]);
    expect(answer.body).not.toContain('the.only.token');
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it('refuses a second host header', async () => {
    const { host, port } = new URL(endpoint.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(`GET /token HTTP/1.1\r\nHost: ${host}\r\nHost: ${host}\r\nAuthorization: Bearer ${bearer}\r\n\r\n`);
    const answer = await new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(chunk.toString())));
    socket.destroy();
    expect(answer).toMatch(/^HTTP\/1\.1 4(?:21|00)/);
  });

  it.each([
    ['503 while it cannot be renewed', issuerProblem('unreachable', 'no answer'), 503, '1'],
    ['503 while the task is suspended', issuerProblem('task_suspended', 'the task is suspended'), 503, '1'],
    ['409 once the task has ended', issuerProblem('task_ended', 'the task is already revoked'), 409, undefined],
  ])('answers %s', async (_name, problem, status, retryAfter) => {
    current = problem;
    const answer = await ask();
    current = held;
    expect([answer.status, JSON.parse(answer.body), answer.headers['retry-after']]).toEqual([
      status,
      { error: problem.error, error_description: problem.description },
      retryAfter,
    ]);
  });

  it('listens only on 127.0.0.1', () => {
    expect(endpoint.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/token$/);
  });
});
