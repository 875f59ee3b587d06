import { once } from 'node:events';
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FaultProxy } from './fault-proxy.ts';
import { until } from './until.ts';

const sinceMs = async (promise: Promise<unknown>): Promise<number> => {
  const startMs = performance.now();
  await promise;
  return performance.now() - startMs;
};

describe('FaultProxy', () => {
  let server: Server;
  let proxy: FaultProxy;
  let served: Socket[];
  let client: Socket;
  let answers: string;

  beforeEach(async () => {
    served = [];
    // An echo server.
    server = createServer((socket) => {
      served.push(socket.on('error', () => {}));
      socket.pipe(socket);
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    proxy = await FaultProxy.start((server.address() as AddressInfo).port);
    client = await connected();
  });

  afterEach(async () => {
    client.destroy();
    await proxy.close();
    for (const socket of served) socket.destroy();
    await new Promise<void>((closed) => server.close(() => closed()));
  });

  const connected = async (): Promise<Socket> => {
    const socket = createConnection({ host: '127.0.0.1', port: proxy.port });
    answers = '';
    socket.on('error', () => {}).on('data', (bytes: Buffer) => (answers += bytes.toString()));
    await once(socket, 'connect');
    return socket;
  };

  const answered = (text: string): Promise<unknown> =>
    until(() => answers === text, { what: `the answer \`${text}\`` });

  it('passes bytes and the end of a connection both ways', async () => {
    client.write('one');
    await answered('one');
    client.end('two');
    await once(client, 'close');
    expect(answers).toBe('onetwo');
    await until(() => proxy.connections === 0);
  });

  it('delays each direction by at least the time set', async () => {
    proxy.set({ kind: 'delay', ms: 150 });
    client.write('late');
    expect(await sinceMs(answered('late'))).toBeGreaterThanOrEqual(299);
  });

  it('lets so many bytes a second through', async () => {
    proxy.set({ kind: 'slow', bytesPerSecond: 1_000 }, 'up');
    client.write('x'.repeat(500));
    expect(await sinceMs(answered('x'.repeat(500)))).toBeGreaterThanOrEqual(400);
  });

  it.each(['up', 'down'] as const)(
    'holds what goes %s until it is healed, the end of the connection too',
    async (direction) => {
      proxy.set({ kind: 'held' }, direction);
      client.end('held');
      await until(() => served.length === 1);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(answers).toBe('');
      expect(client.destroyed).toBe(false);
      proxy.heal();
      await once(client, 'close');
      expect(answers).toBe('held');
    },
  );

  it('cut resets connections and refuses new connections until it is healed', async () => {
    client.write('one');
    await answered('one');
    proxy.cut();
    await until(() => client.destroyed && served[0]?.destroyed === true);
    const refused = createConnection({ host: '127.0.0.1', port: proxy.port }).on('error', () => {});
    await until(() => refused.destroyed);
    expect(served).toHaveLength(1);
    proxy.heal();
    client = await connected();
    client.write('again');
    await answered('again');
  });

  it('halfOpen ends the side of the server, and the client hears of it once healed', async () => {
    client.write('one');
    await answered('one');
    proxy.halfOpen();
    await until(() => served[0]?.destroyed === true);
    client.write('two');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(client.destroyed).toBe(false);
    proxy.heal();
    await until(() => client.destroyed);
    expect(answers).toBe('one');
  });

  it('keeps bounded memory before a slow reader: the sender has to wait', async () => {
    proxy.set({ kind: 'held' }, 'up');
    let sent = 0;
    const block = Buffer.alloc(1_048_576);
    for (let count = 0; count < 64; count += 1) client.write(block, () => (sent += block.length));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(sent).toBeLessThan(48 * block.length);
    proxy.heal();
    await until(() => sent === 64 * block.length);
  });

  it('close ends all connections', async () => {
    client.write('one');
    await answered('one');
    await proxy.close();
    await until(() => client.destroyed && served[0]?.destroyed === true);
    proxy = await FaultProxy.start((server.address() as AddressInfo).port);
  });
});
