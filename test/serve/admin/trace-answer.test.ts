import { once } from 'node:events';
import { createServer, get } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { answerTrace } from '../../../src/serve/admin/trace-answer.ts';
import type { TraceSource } from '../../../src/serve/admin/trace-answer.ts';
import { until } from '../../until.ts';

const MARKED = { 'x-remit-trace': '1' };

const textOf = async (response: IncomingMessage): Promise<string> => (await response.toArray()).join('');

describe('GET /trace', () => {
  let server: Server;
  /** What the source was asked for, and how to tell of a check. */
  const begun: { readonly filters: readonly (readonly [string, string])[]; readonly send: (line: string) => void }[] =
    [];
  let stopped = 0;
  let answer: 'full' | { readonly problem: string } | null = null;
  const source: TraceSource = {
    begin: (filters, send) => {
      begun.push({ filters: [...filters], send });
      return answer ?? (() => void (stopped += 1));
    },
  };
  beforeAll(async () => {
    server = createServer((request, response) => {
      const refused = answerTrace(request, response, source);
      if (refused !== null) response.writeHead(refused.status).end(refused.text);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  afterAll(() => void server.close());
  beforeEach(() => {
    begun.length = 0;
    stopped = 0;
    answer = null;
  });

  const asked = async (query: string, headers: Readonly<Record<string, string>> = MARKED): Promise<IncomingMessage> => {
    const { port } = server.address() as AddressInfo;
    const [response] = await once(
      get({ host: '127.0.0.1', port, path: `/trace${query}`, headers, agent: false }),
      'response',
    );
    return response as IncomingMessage;
  };
  const send = (line: string): void => {
    for (const each of begun) each.send(line);
  };

  it('answers the head at once, a line for each check, and the end after as many as were asked for', async () => {
    const response = await asked('?count=2&task=t&reason=a*');
    expect([response.statusCode, response.headers['content-type']]).toEqual([200, 'application/x-ndjson']);
    expect(begun.map(({ filters }) => filters)).toEqual([
      [
        ['task', 't'],
        ['reason', 'a*'],
      ],
    ]);
    for (const line of ['one', 'two', 'three']) send(line);
    expect(await textOf(response)).toBe('one\ntwo\n');
    await until(() => stopped === 1, { what: 'it unsubscribes' });
  });

  it('ends after one check unless the request names more', async () => {
    const response = await asked('');
    send('one');
    send('two');
    expect(await textOf(response)).toBe('one\n');
  });

  it('ends after its seconds', async () => {
    expect(await textOf(await asked('?seconds=1'))).toBe('');
    await until(() => stopped === 1, { what: 'it unsubscribes' });
  });

  it('writes nothing after its seconds, while its client reads slowly', async () => {
    const { port } = server.address() as AddressInfo;
    const client = connect({ host: '127.0.0.1', port }).pause();
    client.write('GET /trace?seconds=1&count=100 HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-remit-trace: 1\r\n\r\n');
    await until(() => begun.length === 1, { what: 'it subscribes' });
    // More than the system holds for a client that does not read.
    for (let each = 0; each < 8; each += 1) send('x'.repeat(2 ** 20));
    await delay(1_100);
    send('late');
    const text = (await client.resume().toArray()).join('');
    expect([text.includes('xxx'), text.includes('late')]).toEqual([true, false]);
  });

  it('unsubscribes if its client leaves', async () => {
    const response = await asked('?seconds=600');
    response.destroy();
    await until(() => stopped === 1, { what: 'it unsubscribes' });
  });

  it.each<[string, string, Readonly<Record<string, string>>, number, string]>([
    ['without the header that a page cannot send', '', {}, 403, 'the header `x-remit-trace` is required'],
    ['for no seconds', '?seconds=0', MARKED, 400, '`seconds` must be from 1 to 600'],
    ['for too many seconds', '?seconds=601', MARKED, 400, '`seconds` must be from 1 to 600'],
    ['for what is no number', '?count=1e1', MARKED, 400, '`count` must be from 1 to 100'],
    ['for too many checks', '?count=101', MARKED, 400, '`count` must be from 1 to 100'],
  ])('refuses a request %s, and subscribes to nothing', async (_name, query, headers, status, text) => {
    const response = await asked(query, headers);
    expect([response.statusCode, await textOf(response), begun]).toEqual([status, text, []]);
  });

  it.each<[string, 'full' | { readonly problem: string }, number, string]>([
    ['if too many wait', 'full', 503, 'too many wait for checks: try again'],
    ['with the problem of a filter', { problem: 'unknown filter `x`' }, 400, 'unknown filter `x`'],
  ])('refuses a request %s', async (_name, problem, status, text) => {
    answer = problem;
    const response = await asked('?x=1');
    expect([response.statusCode, await textOf(response)]).toEqual([status, text]);
  });
});
