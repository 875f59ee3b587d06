import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ToolServer } from '../../src/dev/upstream.ts';

let payments: ToolServer;
let files: ToolServer;

beforeEach(async () => {
  payments = await ToolServer.start('payments');
  files = await ToolServer.start('files');
});
afterEach(async () => {
  await payments.close();
  await files.close();
});

const call = async (server: ToolServer, method: string, path: string, body?: string): Promise<[number, unknown]> => {
  const { host, port } = server.address;
  const init = body === undefined ? { method } : { method, body };
  const response = await fetch(`http://${host}:${port}${path}`, init);
  return [response.status, await response.json()];
};

describe('ToolServer payments', () => {
  it('lists, reads, makes and refunds payments', async () => {
    expect(await call(payments, 'GET', '/v1/payments/p-1')).toEqual([200, expect.objectContaining({ id: 'p-1' })]);
    expect(await call(payments, 'POST', '/v1/payments', '{"amount":5,"to":"Kiosk"}')).toEqual([
      201,
      { id: 'p-3', amount: 5, to: 'Kiosk', status: 'accepted' },
    ]);
    // Remit checks the body, so the query must have no effect.
    expect(await call(payments, 'POST', '/v1/payments?amount=7', '{"amount":5}')).toEqual([
      201,
      { id: 'p-4', amount: 5, status: 'accepted' },
    ]);
    expect(await call(payments, 'POST', '/v1/payments/p-3/refund')).toEqual([
      200,
      expect.objectContaining({ id: 'p-3', status: 'refunded' }),
    ]);
    const [, all] = await call(payments, 'GET', '/v1/payments?limit=10');
    expect(all).toEqual({ payments: Array.from({ length: 4 }, () => expect.anything()) });
  });

  it.each([
    ['an unknown payment', 'GET', '/v1/payments/p-9'],
    ['an unknown route', 'GET', '/v2/payments'],
    ['another method', 'DELETE', '/v1/payments/p-1'],
    ['the refund of an unknown payment', 'POST', '/v1/payments/p-9/refund'],
  ])('answers 404 to %s', async (_name, method, path) => {
    expect(await call(payments, method, path)).toEqual([404, { error: 'no such resource' }]);
  });

  it('closes no idle connection, which Envoy may just be sending a call over', async () => {
    const { host, port } = payments.address;
    const { headers } = await fetch(`http://${host}:${port}/v1/payments/p-1`);
    // Node.js announces when it closes an idle connection.
    expect([headers.get('connection'), headers.get('keep-alive')]).toEqual(['keep-alive', null]);
  });

  it('treats a body that is not JSON as empty', async () => {
    expect(await call(payments, 'POST', '/v1/payments', 'amount=5')).toEqual([201, { id: 'p-3', status: 'accepted' }]);
  });
});

describe('ToolServer files', () => {
  it('lists, reads, writes and deletes files', async () => {
    expect(await call(files, 'PUT', '/v1/files/note', '{"text":"hello"}')).toEqual([
      200,
      { name: 'note', text: 'hello' },
    ]);
    expect(await call(files, 'GET', '/v1/files/note')).toEqual([200, { name: 'note', text: 'hello' }]);
    expect(await call(files, 'DELETE', '/v1/files/note')).toEqual([200, { deleted: 'note' }]);
    expect(await call(files, 'DELETE', '/v1/files/note')).toEqual([404, { error: 'no such resource' }]);
    expect(await call(files, 'GET', '/v1/files')).toEqual([200, { files: ['trip-report', 'budget'] }]);
  });
});

describe('ToolServer.received', () => {
  it('holds the headers and bodies of the last 100 calls', async () => {
    const { host, port } = files.address;
    await fetch(`http://${host}:${port}/v1/files/a`, { method: 'PUT', body: '{}', headers: { 'x-remit-task': 't' } });
    expect(files.received()).toEqual([
      {
        method: 'PUT',
        path: '/v1/files/a',
        headers: expect.objectContaining({ 'x-remit-task': 't' }),
        body: '{}',
      },
    ]);
    for (let i = 0; i < 101; i += 1) await call(files, 'GET', `/v1/files?i=${i}`);
    expect(files.received()).toHaveLength(100);
    expect(files.received()[0]?.path).toBe('/v1/files?i=1');
  });

  it('answers 413 to a body over 64 KiB and does not hold it', async () => {
    expect(await call(files, 'PUT', '/v1/files/a', 'x'.repeat(65_537))).toEqual([
      413,
      { error: 'the body is too long' },
    ]);
    expect(files.received()).toEqual([]);
  });
});

describe('ToolServer.start', () => {
  it('rejects if the port is taken', async () => {
    await expect(ToolServer.start('files', payments.address)).rejects.toThrow('EADDRINUSE');
  });
});
