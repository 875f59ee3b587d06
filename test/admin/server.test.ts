import { afterEach, describe, expect, it } from '@jest/globals';
import { AdminServer } from '../../src/admin/server.ts';

const noMetrics = { scrape: () => ({ contentType: 'text/plain', body: '' }), trial: () => ({}) };

describe('AdminServer', () => {
  let server: AdminServer | null = null;
  afterEach(async () => {
    await server?.close();
  });

  it('names each gate that is not met, and is ready when none is left', async () => {
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

  it('answers /metrics by the form the scraper accepts, ready or not', async () => {
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
    ['a method that changes things', 'POST', '/livez', 405],
    ['metrics with a query', 'GET', '/metrics?x', 404],
    ['metrics with a slash', 'GET', '/metrics/', 404],
    ['a method that changes metrics', 'DELETE', '/metrics', 405],
  ])('answers %s', async (_name, method, path, status) => {
    server = new AdminServer([{ name: 'never', problem: () => 'met' }], noMetrics);
    const port = await server.listen({ host: '127.0.0.1', port: 0 });
    expect((await fetch(`http://127.0.0.1:${port}${path}`, { method })).status).toBe(status);
  });
});
