import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { Client, credentials } from '@grpc/grpc-js';
import { afterAll, describe, expect, it } from '@jest/globals';
import { BoundedHandshakes } from '../../../src/sidecar/state/bounded-handshakes.ts';
import { CHANNEL } from '../../../src/core/runtime/system/grpc-channel.ts';
import { after } from '../../../src/core/runtime/timers.ts';

/** Accepts connections, and says nothing. */
const sockets: Socket[] = [];
const server = createServer((socket) => {
  sockets.push(socket);
  socket.on('error', () => undefined).resume();
});
afterAll(() => void server.close());

describe('BoundedHandshakes', () => {
  it.each([
    ['after its time', 50, 'waits'],
    ['when the channel is closed', 3_600_000, 'closes'],
  ] as const)('end a handshake that is not answered %s', async (_when, maxMs, does) => {
    if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const bounded = new BoundedHandshakes(credentials.createSsl(), { maxMs, after });
    const client = new Client(`127.0.0.1:${port}`, bounded, CHANNEL);
    client.getChannel().getConnectivityState(true);
    const [socket] = (await once(server, 'connection')) as [Socket];
    const ended = once(socket, 'close');
    if (does === 'closes') client.close();
    await ended;
    client.close();
    expect(sockets.every(({ destroyed }) => destroyed)).toBe(true);
  });
});
