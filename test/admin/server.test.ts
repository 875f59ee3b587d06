import { afterEach, describe, expect, it } from '@jest/globals';
import { request } from 'node:http';
import { AdminServer } from '../../src/admin/server.ts';

const noMetrics = { scrape: () => ({ contentType: 'text/plain', body: '' }), trial: () => ({}) };

describe('AdminServer', () => {
  let server: AdminServer | null = null;
  afterEach(async () => {
    await server?.close();
  });

  it('names each unmet gate, and is ready when all are met', async () => {
    const problems: Record<string, string | null> = { policies: 'not loaded', keys: null, state: 'not open' };
    server = new AdminServer(
      Object.keys(problems).map((name) => ({ name, problem: () => problems[name] ?? null })),
      noMetrics,
    );
    const base = `http://127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 })}`;

    const unready = await fetch(`${base}/readyz`);
    expect(unready.status).toBe(503);
    expect(await unready.text()).toBe('policies: not loaded\nstate: not open\n');

    problems['policies'] = null;
    problems['state'] = null;
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
  });

  it('answers /metrics in the format the scraper accepts, ready or not', async () => {
    server = new AdminServer([{ name: 'never', problem: () => 'not met' }], {
      ...noMetrics,
      scrape: (accept) => ({ contentType: 'text/plain; version=0.0.4', body: `accept ${accept}\n` }),
    });
    const port = await server.listen({ host: '127.0.0.1', port: 0 });
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { accept: 'text/x' } });
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
      200,
      'text/plain; version=0.0.4',
      'accept text/x\n',
    ]);
  });

  it.each([
    ['liveness', 'GET', '/livez', 200],
    ['a path that only contains a known one', 'GET', '/x/livez', 404],
    ['a query after a known path', 'GET', '/livez?x', 404],
    ['a method other than GET', 'POST', '/livez', 405],
    ['metrics with a query', 'GET', '/metrics?x', 404],
    ['metrics with a trailing slash', 'GET', '/metrics/', 404],
    ['metrics with another method', 'DELETE', '/metrics', 405],
  ])('answers %s', async (_name, method, path, status) => {
    server = new AdminServer([{ name: 'never', problem: () => 'met' }], noMetrics);
    const port = await server.listen({ host: '127.0.0.1', port: 0 });
    expect((await fetch(`http://127.0.0.1:${port}${path}`, { method })).status).toBe(status);
  });

  // Issue 14: a page whose host name was pointed at this address (DNS rebinding) could read the metrics.
  it.each<[string, Record<string, string>, number]>([
    ['a foreign name', { host: 'evil.test' }, 421],
    ['a foreign name with the port', { host: 'evil.test:PORT' }, 421],
    ['a name that begins with an accepted one', { host: 'localhost.evil.test' }, 421],
    ['a name that begins with an address', { host: '127.0.0.1.evil.test' }, 421],
    ['an address in a short form', { host: '127.1' }, 421],
    ['a malformed host', { host: 'localhost@evil.test' }, 421],
    ['a page of another site', { host: '127.0.0.1:PORT', origin: 'http://evil.test' }, 403],
    ['a page of another port', { host: '127.0.0.1:PORT', origin: 'http://127.0.0.1:1' }, 403],
    ['a page without origin', { host: '127.0.0.1:PORT', origin: 'null' }, 403],
    ['its own origin', { host: '127.0.0.1:PORT', origin: 'http://127.0.0.1:PORT' }, 200],
    ['an address', { host: '10.1.2.3:PORT' }, 200],
    ['an IPv6 address', { host: '[::1]:PORT' }, 200],
    ['`localhost`', { host: 'LocalHost:PORT' }, 200],
    ['a configured name', { host: 'remit.acme.test:PORT' }, 200],
  ])('is asked for %s, on every path alike', async (_name, headers, status) => {
    server = new AdminServer([], { ...noMetrics, hosts: ['Remit.acme.test'] });
    const port = await server.listen({ host: '127.0.0.1', port: 0 });
    const sent = Object.fromEntries(Object.entries(headers).map(([n, value]) => [n, value.replace('PORT', `${port}`)]));
    for (const path of ['/livez', '/readyz', '/metrics', '/policies/trial']) {
      expect([path, await statusOf(port, path, sent)]).toEqual([path, status]);
    }
  });
});

/** `fetch` does not allow to set `Host`. */
const statusOf = (port: number, path: string, headers: Record<string, string>): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .once('error', reject)
      .end();
  });
