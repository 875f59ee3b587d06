import { once } from 'node:events';
import { connect as connectHttp2, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratch } from '../../builders/scratch.ts';
import { type ForwarderUnderTest, startForwarder } from './upstream.ts';

const { folder, remove } = scratch();
let forwarder: ForwarderUnderTest;
const strangers: Socket[] = [];
beforeAll(async () => {
  forwarder = await startForwarder(folder());
  forwarder.server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    if (headers['x-h2'] === '1') stream.respond({ ':status': 204 }, { endStream: true });
  });
});
afterAll(async () => {
  for (const socket of strangers) socket.destroy();
  await forwarder.close();
  remove();
});

const request = (): string => `GET ${forwarder.prefix}/v1 HTTP/1.1\r\nhost: 127.0.0.1:${forwarder.port}\r\n\r\n`;

/** Sends a request on a connection; whether it is answered. */
const answered = async (socket: Socket): Promise<boolean> => {
  socket.write(request());
  return new Promise((resolve) => {
    socket
      .once('data', (data) => resolve(data.toString().startsWith('HTTP/1.1 200')))
      .once('close', () => resolve(false));
  });
};

const connected = async (): Promise<Socket> => {
  const socket = connect(forwarder.port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
};

// Issue 37, point 19.
describe('the connections of a forwarder', () => {
  it('are not all taken by those who do not know its secret, who begin a request or send nothing', async () => {
    const before = await connected();
    const session = connectHttp2(`http://127.0.0.1:${forwarder.port}`);
    const path = { ':path': `${forwarder.prefix}/v1`, 'x-h2': '1' };
    expect(await answered(before)).toBe(true);
    await once(session.request(path).resume(), 'close');
    for (let count = 0; count < 600; count += 1) {
      const stranger = await connected();
      strangers.push(stranger);
      // The rest of it never comes: an answered stranger would be gone.
      if (count % 2 === 0) stranger.write('GET /none HTTP/1.1\r\n');
    }
    const after = await connected();
    expect([await answered(after), await answered(before), session.destroyed]).toEqual([true, true, false]);
    session.close();
    before.destroy();
    after.destroy();
  });
});
