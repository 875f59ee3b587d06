import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { raw } from '../forward/upstream.ts';
import { type Declared, seenAt, type ServiceDomain, type StartedHelper, startServiceDomain } from './service-domain.ts';

const folder = testFolders(() => domain.close());
let domain: ServiceDomain;
let helper: StartedHelper;
let [alice, bob]: readonly [Declared, Declared] | readonly never[] = [];
beforeAll(async () => {
  domain = await startServiceDomain(folder());
  helper = await domain.helper();
  [alice, bob] = [await helper.declare({ intent: 'both.yaml' }), await helper.declare({ intent: 'both.yaml' })];
});

let asked = 0;
beforeEach(() => {
  asked = 0;
  domain.answer(null);
});

const tools = (of: Declared | undefined): string => of?.forward['tools'] ?? '';
const secretOf = (url: string): string => new URL(url).pathname.slice(1);
const originOf = (url: string): string => new URL(url).origin;
const status = async (url: string, init: RequestInit = {}): Promise<number> => (await fetch(url, init)).status;
const header = (of: Declared | undefined): Record<string, string> => ({ ...of?.header });

// Issue 44, point 2 and its attack.
describe('what names the task of a call', () => {
  it('is the header too, at the address without a secret, and it never reaches the upstream', async () => {
    const seen = await seenAt(`${originOf(tools(bob))}/v1/x`, { headers: header(bob) });
    expect([seen.task, seen.url, seen.headers['remit-task']]).toEqual([
      bob?.tasks?.['https://payments.acme.test'],
      '/v1/x',
      undefined,
    ]);
  });

  it.each<readonly [string, (origin: string) => Promise<number>, number]>([
    ['no secret at all', (origin) => status(`${origin}/v1`), 404],
    ['the id of the task', (origin) => status(`${origin}/${bob?.task}/v1`), 404],
    [
      'the id of the task in the header',
      (origin) => status(`${origin}/v1`, { headers: { 'remit-task': bob?.task ?? '' } }),
      404,
    ],
    ['a guessed secret', (origin) => status(`${origin}/remit_${'A'.repeat(43)}/v1`), 404],
    ['its own secret with one character changed', () => status(`${tools(bob).slice(0, -1)}-/v1`), 404],
    [
      'the secret of another upstream of the task',
      (origin) => status(`${origin}/${secretOf(bob?.forward['files'] ?? '')}/v1`),
      404,
    ],
    ['the secret of the end', (origin) => status(`${origin}/${secretOf(bob?.end ?? '')}/v1`), 404],
    [
      'the secret of the API',
      (origin) => status(`${origin}/${secretOf(helper.variables['REMIT_TASKS'] ?? '').split('/')[0]}/v1`),
      404,
    ],
    ['the header of another task beside the URL', () => status(`${tools(bob)}/v1`, { headers: header(alice) }), 400],
    [
      'the secret of a URL in the header',
      (origin) => status(`${origin}/v1`, { headers: { 'remit-task': secretOf(tools(bob)) } }),
      404,
    ],
    ['the header as the path', (origin) => status(`${origin}/${bob?.header['remit-task']}/v1`), 404],
    ['a page of the web', () => status(`${tools(bob)}/v1`, { headers: { origin: 'https://evil.test' } }), 403],
    [
      'traceparent and baggage alone',
      (origin) =>
        status(`${origin}/v1`, {
          headers: {
            traceparent: `00-${'1'.repeat(32)}-${'1'.repeat(16)}-01`,
            baggage: `remit-task=${bob?.header['remit-task']}`,
          },
        }),
      404,
    ],
  ])('is not %s', async (_name, call, expected) => {
    domain.answer((_request, response) => {
      asked += 1;
      response.end('{}');
    });
    expect([await call(originOf(tools(bob))), asked]).toEqual([expected, 0]);
  });

  it('is not another host, nor two headers', async () => {
    const port = Number(new URL(tools(bob)).port);
    const secret = secretOf(tools(bob));
    const request = (lines: string): Promise<string> => raw(port, `${lines}\r\nconnection: close\r\n\r\n`);
    expect(await request(`GET /${secret}/v1 HTTP/1.1\r\nhost: evil.test`)).toMatch(/^HTTP\/1.1 421/);
    const two = `remit-task: ${header(bob)['remit-task']}\r\nremit-task: ${header(alice)['remit-task']}`;
    expect(await request(`GET /v1 HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${two}`)).toMatch(/^HTTP\/1.1 400/);
  });

  it('is judged for each request of a connection, whatever it carried before', async () => {
    const port = Number(new URL(tools(bob)).port);
    const get = (path: string, last = ''): string => `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${last}\r\n`;
    const answers = await raw(port, [
      get(`/${secretOf(tools(alice))}/a`),
      get(`/${secretOf(tools(bob))}/b`),
      get('/c', 'connection: close\r\n'),
    ]);
    const payments = 'https://payments.acme.test';
    const [first, second] = [alice, bob].map((one) => one?.tasks?.[payments] ?? '');
    expect(answers.match(/HTTP\/1.1 \d+|"task":"[^"]*"/g)).toEqual([
      'HTTP/1.1 200',
      `"task":"${first}"`,
      'HTTP/1.1 200',
      `"task":"${second}"`,
      'HTTP/1.1 404',
    ]);
  });
});

describe('a task of a service', () => {
  it('sends no secret of any task upstream, in a path or a header', async () => {
    const referer = `${tools(alice)}/page`;
    const seen = await seenAt(`${tools(bob)}/v1`, {
      headers: { referer, 'x-next': tools(bob), 'x-end': alice?.end ?? '' },
    });
    expect(JSON.stringify(seen)).not.toMatch(/remit_/);
    expect(seen.headers['x-next']).toBe('https://payments.acme.test');
    expect(await status(`${tools(bob)}/v1?next=${encodeURIComponent(tools(alice))}`)).toBe(400);
    expect(await status(`${tools(bob)}/${secretOf(tools(alice))}`)).toBe(400);
  });

  it('passes traceparent on to the upstream, and to the issuer', async () => {
    const traceparent = `00-${'a'.repeat(31)}1-${'b'.repeat(16)}-01`;
    const made = await helper.declare({ intent: 'look.yaml' }, { headers: { traceparent } });
    expect(domain.run.spans.at(-1)?.parent).toContain('a'.repeat(31));
    expect((await seenAt(`${tools(made)}/v1`, { headers: { traceparent } })).headers['traceparent']).toBe(traceparent);
    const ending = traceparent.replace('b', 'c');
    expect((await fetch(made.end, { method: 'DELETE', headers: { traceparent: ending } })).status).toBe(200);
    expect(domain.run.spans.at(-1)).toMatchObject({ parent: ending });
  });

  it('gets the cookies that the upstream set in it, and those of no other task', async () => {
    domain.answer((_request, response) => {
      response.setHeader('set-cookie', [
        'sid=of-alice; Path=/; Domain=payments.acme.test; Secure; HttpOnly; Max-Age=60',
        'b=2',
      ]);
      response.end('{}');
    });
    const set = (await fetch(`${tools(alice)}/v1`)).headers.getSetCookie();
    domain.answer(null);
    const path = new URL(tools(alice)).pathname;
    expect(set.map((line) => line.replace(/^rt[\w-]{22}\./, 'MARK.'))).toEqual([
      `MARK.sid=of-alice; HttpOnly; Max-Age=60; Path=${path}`,
      `MARK.b=2; Path=${path}`,
    ]);
    // A client that keeps the cookies of all local URLs in one jar.
    const cookie = [...set.map((line) => line.split(';')[0]), 'own=1'].join('; ');
    const seen = await Promise.all([alice, bob].map((one) => seenAt(`${tools(one)}/v1`, { headers: { cookie } })));
    expect(seen.map(({ headers }) => headers['cookie'])).toEqual(['sid=of-alice; b=2; own=1', 'own=1']);
  });

  it('gets no session of MCP that another task began, and none that was fixed for it', async () => {
    domain.answer((_request, response) => response.setHeader('mcp-session-id', 's-1').end('{}'));
    const session = (await fetch(`${tools(alice)}/mcp`)).headers.get('mcp-session-id') ?? '';
    domain.answer(null);
    const as = (of: Declared | undefined, id: string): Promise<Response> =>
      fetch(`${tools(of)}/mcp`, { headers: { 'mcp-session-id': id } });
    const own = (await (await as(alice, session)).json()) as { headers: Record<string, string> };
    expect(own.headers['mcp-session-id']).toBe('s-1');
    for (const id of [session, 's-1']) {
      const answer = await as(bob, id);
      expect([answer.status, await answer.json()]).toMatchObject([404, { reason: 'forward.session' }]);
    }
  });
});

describe('the ends of tasks', () => {
  it('are opened by their own URLs alone, and a replayed end changes nothing', async () => {
    const [one, two] = [await helper.declare(), await helper.declare()];
    const api = originOf(one.end);
    const apiSecret = secretOf(helper.variables['REMIT_TASKS'] ?? '').split('/')[0];
    for (const secret of [
      secretOf(tools(two)),
      two.header['remit-task'],
      apiSecret,
      two.task,
      `remit_${'B'.repeat(43)}`,
    ]) {
      const left = await Promise.all([
        status(`${api}/${secret}`, { method: 'DELETE' }),
        status(`${api}/${secret}/cancel`, { method: 'POST' }),
      ]);
      expect(left).toEqual([404, 404]);
    }
    // A call that looks like an end goes to the upstream, as any call.
    expect(await status(tools(two), { method: 'DELETE' })).toBe(200);
    expect(domain.run.stateOf(two.task)).toBe('active');
    const ends = await Promise.all([1, 2, 3].map(() => status(one.end, { method: 'DELETE' })));
    expect(ends).toEqual([200, 200, 200]);
    expect([domain.run.stateOf(one.task), domain.run.stateOf(two.task)]).toEqual(['completed', 'active']);
  });

  it.each<readonly [string, RequestInit, number]>([
    ['a page of the web', { headers: { origin: 'https://evil.test' } }, 403],
    ['another method', { method: 'PUT', body: '{}' }, 405],
  ])('and the API are not for %s', async (_name, init, expected) => {
    expect(
      await status(helper.variables['REMIT_TASKS'] ?? '', { method: 'POST', body: '{"intent":"look.yaml"}', ...init }),
    ).toBe(expected);
  });
});
