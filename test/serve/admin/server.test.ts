import { afterEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AdminServer } from '../../../src/serve/admin/server.ts';
import { adminAnswer } from '../../../src/cli/admin-answer.ts';
import { until } from '../../until.ts';

const noMetrics = { scrape: () => ({ contentType: 'text/plain', body: '' }), trial: () => ({}) };

/** Where checks are waited for; the filters `full` and others are refused. */
const source = () => {
  const listeners: ((line: string) => void)[] = [];
  let stopped = 0;
  const begin = (filters: Iterable<readonly [string, string]>, tell: (line: string) => void) => {
    const [[name, value] = ['', '']] = [...filters];
    if (name === 'full') return 'full' as const;
    if (name !== '') return { problem: `unknown filter \`${name}\` of \`${value}\`` };
    listeners.push(tell);
    return () => void (stopped += 1);
  };
  return { traces: { begin }, listeners, stopped: () => stopped };
};

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

    const without = await fetch(`${base}/readyz?exclude=state&exclude=none-of-ours`);
    expect([without.status, await without.text()]).toEqual([503, 'policies: not loaded\n']);
    expect((await fetch(`${base}/readyz?exclude=policies&exclude=state`)).status).toBe(200);
    expect((await fetch(`${base}/readyz?exclude=`)).status).toBe(404);
    expect((await fetch(`${base}/readyz?exclude=${'&exclude=a'.repeat(17).slice(9)}`)).status).toBe(404);

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
    ['a path that only contains a known path', 'GET', '/x/livez', 404],
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

  describe('GET /trace', () => {
    const mark = { 'x-remit-trace': '1' };
    it('sends its head at once and a line for each check, and stops after as many as asked', async () => {
      const { traces, listeners, stopped } = source();
      server = new AdminServer([], { ...noMetrics, traces });
      const port = await server.listen({ host: '127.0.0.1', port: 0 });
      const response = await fetch(`http://127.0.0.1:${port}/trace?count=2`, { headers: mark });
      for (const line of ['1', '2', '3']) listeners[0]?.(line);
      expect([response.status, await response.text()]).toEqual([200, '1\n2\n']);
      await until(() => stopped() === 1 || undefined);
    });

    it('stops when its time is over, and when the client has gone', async () => {
      const { traces, stopped } = source();
      server = new AdminServer([], { ...noMetrics, traces });
      const base = `http://127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 })}`;
      expect(await (await fetch(`${base}/trace?seconds=1`, { headers: mark })).text()).toBe('');
      const gone = new AbortController();
      await fetch(`${base}/trace`, { headers: mark, signal: gone.signal });
      gone.abort();
      await until(() => stopped() === 2 || undefined);
    });

    it.each([
      ['without its header, as a page of another site would send it', '/trace', {}, 403],
      ['with an unknown filter', '/trace?agnet=x', mark, 400],
      ['for too long', '/trace?seconds=601', mark, 400],
      ['for no check', '/trace?count=0', mark, 400],
      ['if too many wait', '/trace?full=1', mark, 503],
      ['on another path', '/traces', mark, 404],
    ])('refuses it %s', async (_name, path, headers, status) => {
      server = new AdminServer([], { ...noMetrics, traces: source().traces });
      const port = await server.listen({ host: '127.0.0.1', port: 0 });
      expect((await fetch(`http://127.0.0.1:${port}${path}`, { headers })).status).toBe(status);
    });

    it('refuses it on an address that others can reach, and if no checks are decided', async () => {
      server = new AdminServer([], { ...noMetrics, traces: source().traces });
      const port = await server.listen({ host: '0.0.0.0', port: 0 });
      const answered = await fetch(`http://127.0.0.1:${port}/trace`, { headers: mark });
      expect([answered.status, await answered.text()]).toEqual([403, expect.stringContaining('`admin.socket` alone')]);
      await server.close();
      server = new AdminServer([], noMetrics);
      const none = await server.listen({ host: '127.0.0.1', port: 0 });
      expect((await fetch(`http://127.0.0.1:${none}/trace`, { headers: mark })).status).toBe(404);
    });
  });

  it('answers with the receipt of a root task, and only if sidecars are served', async () => {
    const asked: string[] = [];
    const receipt = (root: string) => (asked.push(root), root === 'none' ? null : Promise.resolve({ enforced: true }));
    server = new AdminServer([], { ...noMetrics, receipt });
    const base = `http://127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 })}/receipts`;
    const answered = async (path: string) => {
      const response = await fetch(`${base}${path}`);
      return [response.status, (await response.text()).trim()];
    };
    expect(await answered('/019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55')).toEqual([200, '{"enforced":true}']);
    expect(await answered('/none')).toEqual([404, 'this process is no authority: `authority.listen` is not set']);
    expect(asked).toEqual(['019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55', 'none']);
    for (const path of ['', '/', '/a/b', '/a?b', '/%2e%2e', `/${'a'.repeat(129)}`]) {
      expect(await answered(path)).toEqual([404, 'not found']);
    }
    expect(asked).toHaveLength(2);
  });

  it('waits for at most 16 receipts at once', async () => {
    const waiting: (() => void)[] = [];
    const receipt = () => new Promise<object>((resolve) => void waiting.push(() => resolve({})));
    server = new AdminServer([], { ...noMetrics, receipt });
    const url = `http://127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 })}/receipts/one`;
    const statuses: number[] = [];
    const answers = Array.from({ length: 20 }, async () => statuses.push((await fetch(url)).status));
    await until(() => waiting.length === 16 && statuses.length === 4, { what: 'sixteen receipts, and four refusals' });
    expect(statuses).toEqual([503, 503, 503, 503]);
    for (const answer of waiting) answer();
    await Promise.all(answers);
    expect(statuses.slice(4)).toEqual(Array.from({ length: 16 }, () => 200));
  });

  // Issue 14: a page whose host name was pointed at this address (DNS rebinding) could read the metrics.
  it.each<[string, Record<string, string>, number]>([
    ['a foreign name', { host: 'evil.test' }, 421],
    ['a foreign name with the port', { host: 'evil.test:PORT' }, 421],
    ['a name that begins with an accepted name', { host: 'localhost.evil.test' }, 421],
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

  it.each([
    ['with a socket', true, 403],
    ['without a token', false, 200],
  ])('%s, tells the network of policies on trial as little as it can (issue 37, found)', async (_what, has, status) => {
    server = new AdminServer([], noMetrics);
    const folder = mkdtempSync(join(tmpdir(), 'admin-'));
    const path = join(folder, 'admin.sock');
    expect(has ? await server.listenOnSocket(path) : null).toBeNull();
    const port = await server.listen({ host: '0.0.0.0', port: 0 });
    expect(await statusOf(port, '/policies/trial', {})).toBe(status);
    expect(await statusOf(port, '/metrics', {})).toBe(200);
    expect(has ? await adminAnswer(`unix:${path}`, '/policies/trial') : '{}\n').toBe('{}\n');
    rmSync(folder, { recursive: true });
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
