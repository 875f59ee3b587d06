import { once } from 'node:events';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { issuerProblem } from '../../../src/agent/task/issuer-problem.ts';
import { nextSteps } from '../../../src/core/decision/next-step.ts';
import { reasons } from '../../../src/core/decision/reasons.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { answeringOk, bytesOf, credentialOf, type ForwarderUnderTest, raw, startForwarder } from './upstream.ts';

const folder = testFolders(() => forwarder.close());
let forwarder: ForwarderUnderTest;
beforeAll(async () => {
  forwarder = await startForwarder(folder());
});
afterEach(() => forwarder.answer(answeringOk));

/** Answers each request with what arrived. */
const echo = (): void =>
  forwarder.answer((request, response) => {
    void bytesOf(request).then((body) =>
      response.setHeader('content-type', 'application/json').end(
        JSON.stringify({
          method: request.method,
          url: request.url,
          headers: request.rawHeaders,
          body: body.toString(),
          trailers: request.rawTrailers,
        }),
      ),
    );
  });

interface Arrived {
  readonly method: string;
  readonly url: string;
  readonly headers: string[];
  readonly body: string;
  readonly trailers: string[];
}

const headerOf = ({ headers }: Arrived, name: string): string[] =>
  headers.filter((_, at) => at % 2 === 1 && headers[at - 1]?.toLowerCase() === name);

interface Asking {
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
  readonly path?: string;
}

/** One request over its own connection. */
const ask = ({ method = 'GET', headers = {}, body, path = '' }: Asking = {}): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const sent = requestHttp(`${forwarder.url}${path}`, { method, headers, agent: false });
    sent.once('response', resolve).once('error', reject).end(body);
  });
const arrivedOf = async (asking: Asking): Promise<Arrived> =>
  JSON.parse((await bytesOf(await ask(asking))).toString()) as Arrived;

describe('the forwarder: requests', () => {
  it('adds the token, rewrites host and origin, and leaves path, query and body as they are', async () => {
    echo();
    const arrived = await arrivedOf({
      method: 'POST',
      path: '/v1/%7Ea?x=1&y=%20',
      headers: { 'content-type': 'text/plain', origin: `http://127.0.0.1:${forwarder.port}`, 'X-Mixed': ['a', 'b'] },
      body: 'pay',
    });
    expect([arrived.method, arrived.url, arrived.body]).toEqual(['POST', '/v1/%7Ea?x=1&y=%20', 'pay']);
    const names = ['host', 'authorization', 'origin', 'x-mixed', 'content-length', 'transfer-encoding'];
    expect(names.map((name) => headerOf(arrived, name))).toEqual([
      ['tools.acme.test'],
      ['Bearer token-0'],
      ['https://tools.acme.test'],
      ['a', 'b'],
      ['3'],
      [],
    ]);
  });

  it('replaces credentials of the client and takes away what it claims, and says so once', async () => {
    echo();
    const headers = {
      authorization: 'Bearer mine',
      'proxy-authorization': 'Basic x',
      dpop: 'proof',
      'x-forwarded-client-cert': 'URI=spiffe://acme.test/admin',
      'x-forwarded-for': '1.2.3.4',
      forwarded: 'for=1.2.3.4',
      connection: 'keep-alive, x-hop',
      'x-hop': '1',
      te: 'trailers',
      'x-end': '2',
    };
    await arrivedOf({ headers });
    const arrived = await arrivedOf({ headers });
    expect(headerOf(arrived, 'authorization')).toEqual(['Bearer token-0']);
    const names = arrived.headers.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
    expect(names.toSorted()).toEqual(['authorization', 'connection', 'host', 'x-end']);
    expect(forwarder.told).toEqual([
      "tools: a client sends an Authorization of its own; it is replaced by the task's token",
    ]);
    expect(JSON.stringify(forwarder.told)).not.toContain('mine');
  });

  it('passes chunked bodies and trailers', async () => {
    echo();
    const text = await raw(forwarder.port, [
      `POST ${forwarder.prefix}/c HTTP/1.1\r\nhost: 127.0.0.1:${forwarder.port}\r\ntransfer-encoding: chunked\r\nconnection: close\r\ntrailer: x-sum\r\n\r\n`,
      '3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\nauthorization: Bearer mine\r\n\r\n',
    ]);
    expect(text).toContain('"body":"abcde"');
    expect(text).toContain('"trailers":["x-sum","5"]');
    expect(text).not.toContain('Bearer mine');
  });

  it('asks the upstream before a body that waits for 100-continue is sent', async () => {
    forwarder.answer((request, response) => {
      if (request.url === '/refused') {
        response.writeHead(413).end();
        return;
      }
      response.writeContinue();
      void bytesOf(request).then((body) => response.end(`got ${body.length}`));
    });
    const asked = (path: string): Promise<[boolean, number, string]> =>
      new Promise((resolve, reject) => {
        let isContinued = false;
        const sent = requestHttp(`${forwarder.url}${path}`, {
          method: 'POST',
          headers: { expect: '100-continue', 'content-length': '4' },
          agent: false,
        });
        sent
          .once('continue', () => {
            isContinued = true;
            sent.end('body');
          })
          .once('response', (answer: IncomingMessage) => {
            const ended = bytesOf(answer).finally(() => sent.destroy());
            resolve(ended.then((body) => [isContinued, answer.statusCode ?? 0, body.toString()]));
          })
          .on('error', reject)
          .flushHeaders();
      });
    expect(await asked('/taken')).toEqual([true, 200, 'got 4']);
    expect(await asked('/refused')).toEqual([false, 413, '']);
  });

  it('writes nothing into an answer that has begun if the rest of the request cannot be read', async () => {
    forwarder.answer((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('begun');
    });
    const socket = connect(forwarder.port, '127.0.0.1');
    let text = '';
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket
      .on('data', (chunk) => {
        text += chunk.toString();
        if (text.endsWith('begun')) socket.write('not a chunk\r\n');
      })
      .write(
        `POST ${forwarder.prefix} HTTP/1.1\r\nhost: 127.0.0.1:${forwarder.port}\r\ntransfer-encoding: chunked\r\n\r\n`,
      );
    await closed;
    expect(text).toMatch(/\r\n\r\nbegun$/);
  });

  it('lets a stream go on when its token dies; the next call is denied', async () => {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    forwarder.answer((_request, response) => {
      response.write('one ');
      void ended.then(() => response.end('two'));
    });
    const stream = await ask();
    forwarder.keep({ current: async () => issuerProblem('task_ended', 'the task is already revoked') });
    expect((await ask()).statusCode).toBe(403);
    end();
    expect((await bytesOf(stream)).toString()).toBe('one two');
    const given = credentialOf('token-0', await boundTo());
    forwarder.keep({ current: async () => given });
  });

  it('answers HTTP/1.0 without chunks', async () => {
    forwarder.answer((_request, response) => {
      response.write('a');
      response.end('b');
    });
    const text = await raw(
      forwarder.port,
      `GET ${forwarder.prefix} HTTP/1.0\r\nhost: 127.0.0.1:${forwarder.port}\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\nab$/);
    expect(text).not.toMatch(/transfer-encoding/i);
  });

  const shapes: readonly [string, string, string][] = [
    ['content-length with transfer-encoding', 'content-length: 3\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n'],
    ['two content-lengths', 'content-length: 3\r\ncontent-length: 4\r\n', 'abcd'],
    ['another transfer coding', 'transfer-encoding: gzip\r\n', '0\r\n\r\n'],
    ['a coding after chunked', 'transfer-encoding: chunked, identity\r\n', '0\r\n\r\n'],
    ['a folded line', 'x: a\r\n b\r\n', ''],
    ['a space before the colon', 'x : a\r\n', ''],
    ['a bare line feed', 'x: a\n', ''],
    ['a chunk size with a sign', 'transfer-encoding: chunked\r\n', '+1\r\na\r\n0\r\n\r\n'],
    ['two hosts', 'host: evil.test\r\n', ''],
  ];
  it.each(shapes)('refuses %s', async (_name, lines, body) => {
    let asked = 0;
    // A fault in the body shows after the request has begun; it must never end as a whole one.
    forwarder.answer((request, response) => {
      request
        .on('error', () => undefined)
        .once('end', () => {
          asked += 1;
          response.end();
        });
      request.resume();
    });
    const text = await raw(
      forwarder.port,
      `POST ${forwarder.prefix}/x HTTP/1.1\r\nhost: 127.0.0.1:${forwarder.port}\r\n${lines}\r\n${body}`,
    );
    expect([text.slice(0, 12), asked]).toEqual([expect.stringMatching(/^HTTP\/1\.1 4(?:00|21)$/), 0]);
  });
});

describe('the forwarder: answers', () => {
  it('passes status, header lines, body and trailers as they are', async () => {
    forwarder.answer((_request, response) => {
      response.writeHead(418, 'Short', [
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
        'Trailer',
        'x-sum',
        'Alt-Svc',
        'h3=":1"',
      ]);
      response.write('tea');
      response.addTrailers({ 'x-sum': '3' });
      response.end();
    });
    const answer = await ask();
    const body = await bytesOf(answer);
    expect([answer.statusCode, answer.statusMessage, body.toString(), answer.trailers]).toEqual([
      418,
      'Short',
      'tea',
      { 'x-sum': '3' },
    ]);
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(answer.headers['alt-svc']).toBeUndefined();
  });

  it('passes HEAD with its content-length and no body', async () => {
    forwarder.answer((_request, response) => void response.writeHead(200, { 'content-length': '1234' }).end());
    const answer = await ask({ method: 'HEAD' });
    expect([answer.statusCode, answer.headers['content-length'], (await bytesOf(answer)).length]).toEqual([
      200,
      '1234',
      0,
    ]);
  });

  it.each([
    ['/next', '/next', true],
    ['https://tools.acme.test/a?b#c', '/a?b#c', true],
    ['http://tools.acme.test/a', '/a', true],
    ['https://evil.test/a', 'https://evil.test/a', false],
    ['https://tools.acme.test@evil.test/a', 'https://tools.acme.test@evil.test/a', false],
    ['//evil.test/a', '//evil.test/a', false],
    ['relative', 'relative', false],
  ])('does not follow a redirect to %s; it leads to %s', async (location, expected, isLocal) => {
    let asked = 0;
    forwarder.answer((_request, response) => {
      asked += 1;
      response.writeHead(307, { location }).end();
    });
    const answer = await ask();
    expect([answer.statusCode, answer.headers.location, asked]).toEqual([
      307,
      isLocal ? `${forwarder.prefix}${expected}` : expected,
      1,
    ]);
  });

  it('passes events as they come, and rewrites the address in the endpoint event of MCP', async () => {
    let more = (): void => forwarder.answer(answeringOk);
    forwarder.answer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      response.write('event: endpoint\ndata: /messages?session=1\n\n');
      more = () => void response.end('event: message\ndata: /messages\n\n');
    });
    const answer = await ask();
    const seen: string[] = [];
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      seen.push(chunk.toString());
      more();
    }
    expect(seen).toEqual([
      `event: endpoint\ndata: ${forwarder.prefix}/messages?session=1\n\n`,
      'event: message\ndata: /messages\n\n',
    ]);
  });

  it('passes a whole answer of a single endpoint event, whose length changes', async () => {
    const event = 'event: endpoint\ndata: /messages\n\n';
    forwarder.answer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-length': String(event.length) });
      response.end(event);
    });
    const body = await ask().then(bytesOf);
    expect(body.toString()).toBe(`event: endpoint\ndata: ${forwarder.prefix}/messages\n\n`);
  });

  it('ends a 304 that announces the length of what it leaves out', async () => {
    forwarder.answer((_request, response) => void response.writeHead(304, { 'content-length': '1234' }).end());
    const answer = await ask();
    expect([answer.statusCode, (await bytesOf(answer)).length]).toEqual([304, 0]);
  });

  it.each([0, 1, 1_000, 5_000_000])('passes a body of %d bytes whose length is announced', async (bytes) => {
    const whole = Buffer.alloc(bytes, 'x');
    forwarder.answer((_request, response) => void response.writeHead(200, { 'content-length': bytes }).end(whole));
    const answer = await ask();
    expect([answer.headers['content-length'], (await bytesOf(answer)).equals(whole)]).toEqual([String(bytes), true]);
  });

  it('ends the answer if the upstream breaks off', async () => {
    forwarder.answer((_request, response) => {
      response.writeHead(200, { 'content-length': '10' });
      response.write('half');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(ask().then(bytesOf)).rejects.toThrow('aborted');
  });

  it('ends the request at the upstream if the client goes', async () => {
    const gone = new Promise<void>((resolve) =>
      forwarder.answer((_request, response) => {
        response.once('close', resolve);
        response.flushHeaders();
      }),
    );
    (await ask()).destroy();
    await gone;
  });

  it('outlives clients that go while an answer is being passed on', async () => {
    const whole = Buffer.alloc(1_000_000, 'x');
    forwarder.answer(
      (_request, response) => void response.writeHead(200, { 'content-length': whole.length }).end(whole),
    );
    const leave = async (): Promise<void> => {
      const answer = await ask();
      await once(answer, 'data');
      answer.destroy();
    };
    await Promise.all(Array.from({ length: 20 }, leave));
    expect((await ask().then(bytesOf)).length).toBe(whole.length);
  });
});

/** Answers 401 to all tokens but one. */
const acceptOnly = (token: string): string[] => {
  const seen: string[] = [];
  forwarder.answer((request, response) => {
    void bytesOf(request).then((body) => {
      seen.push(`${request.headers.authorization ?? ''} ${body.length}`);
      if (request.headers.authorization === `Bearer ${token}`) return response.end('done');
      return response
        .writeHead(401, { 'www-authenticate': 'Bearer resource_metadata="https://tools.acme.test/.well-known/x"' })
        .end('{"reason":"token.revoked"}');
    });
  });
  return seen;
};

describe('the forwarder: tokens that are refused, and tasks that are over', () => {
  it('repeats a small request once with another token', async () => {
    const { current } = { current: async () => credentialOf('old', await boundTo()) };
    forwarder.keep({ current, another: async () => credentialOf('new', await boundTo()) });
    const seen = acceptOnly('new');
    const answer = await ask({ method: 'POST', body: 'pay' });
    expect([answer.statusCode, seen]).toEqual([200, ['Bearer old 3', 'Bearer new 3']]);
    const large = await ask({ method: 'POST', body: Buffer.alloc(70_000) });
    expect([large.statusCode, seen.slice(2)]).toEqual([403, ['Bearer old 70000']]);
  });

  it('passes a last 401 as 403 without a challenge, so that no client starts a sign-in', async () => {
    forwarder.keep({ another: async (refused) => refused });
    const seen = acceptOnly('none');
    const answer = await ask();
    expect([answer.statusCode, answer.headers['www-authenticate'], (await bytesOf(answer)).toString()]).toEqual([
      403,
      undefined,
      '{"reason":"token.revoked"}',
    ]);
    expect(seen).toHaveLength(1);
  });

  it.each([
    ['task_ended', 'the task is already revoked', 403, 'stop'],
    ['task_suspended', 'the task is suspended', 403, 'stop'],
    ['not_found', 'no such task', 403, 'stop'],
    ['unreachable', 'no answer', 503, 'retry_later'],
  ])('answers for itself if the issuer says %s', async (error, description, status, next) => {
    let asked = 0;
    forwarder.answer((_request, response) => {
      asked += 1;
      response.end();
    });
    forwarder.keep({ current: async () => issuerProblem(error, description) });
    const answer = await ask({ method: 'POST', body: '{}' });
    const body = JSON.parse((await bytesOf(answer)).toString()) as Record<string, string>;
    expect(body['message']).not.toContain(error);
    expect([answer.statusCode, body['next'], body['message'], asked]).toEqual([
      status,
      next,
      expect.stringContaining(description),
      0,
    ]);
  });

  // Issue 37, point 19.
  it.each(['completed', 'cancelled', 'revoked', 'expired'] as const)(
    'answers for a task that is %s as Remit would, without a code of the issuer',
    async (taskState) => {
      const problem = { ...issuerProblem('task_ended', `the task is already ${taskState}`), taskState };
      forwarder.keep({ current: async () => problem });
      const answer = await ask({ method: 'POST', body: '{}' });
      const { text, next, httpStatus } = reasons[`task.${taskState}`];
      expect([answer.statusCode, JSON.parse((await bytesOf(answer)).toString())]).toEqual([
        httpStatus,
        { error: 'access_denied', reason: `task.${taskState}`, message: `${text}. ${nextSteps[next]}`, next },
      ]);
      const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x' } };
      const headers = { 'content-type': 'application/json' };
      const called = await ask({ method: 'POST', headers, body: JSON.stringify(message) });
      const told = (await bytesOf(called)).toString();
      expect([called.statusCode, JSON.parse(told)]).toMatchObject([200, { result: { isError: true } }]);
      expect(told).not.toContain('task_ended');
    },
  );

  it.each([
    [
      'a tool call: the result of a tool that failed',
      { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'x' } },
      200,
      { id: 7, result: { isError: true, content: [{ text: expect.stringContaining('Stop this task.') }] } },
    ],
    [
      'another request: an error',
      { jsonrpc: '2.0', id: 'a', method: 'message/send' },
      200,
      { id: 'a', error: { message: expect.stringContaining('Stop this task.'), data: { next: 'stop' } } },
    ],
    ['a notification: nothing', { jsonrpc: '2.0', method: 'notifications/initialized' }, 202, null],
    ['an answer of the client: nothing', { jsonrpc: '2.0', id: 1, result: {} }, 202, null],
    ['other JSON: the plain answer', { amount: 1 }, 403, { next: 'stop' }],
  ])('answers JSON-RPC for itself if the task is over, %s', async (_name, message, status, expected) => {
    forwarder.keep({ current: async () => issuerProblem('task_ended', 'the task is already revoked') });
    const headers = { 'content-type': 'application/json' };
    const answer = await ask({ method: 'POST', headers, body: JSON.stringify(message) });
    const text = (await bytesOf(answer)).toString();
    expect(answer.statusCode).toBe(status);
    if (expected === null) expect(text).toBe('');
    else expect(JSON.parse(text)).toMatchObject(expected);
  });
});

/** The thumbprint of the current certificate. */
let bound = '';
async function boundTo(): Promise<string> {
  return bound;
}
beforeAll(async () => {
  bound = await forwarder.rotate();
});
