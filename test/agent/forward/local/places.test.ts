import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectHttp2, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ownUser, peerUsers } from '../../../../src/agent/forward/local/peer-users.ts';
import { Places } from '../../../../src/agent/forward/local/places.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { describeWith, otherUserPart } from '../../../parts.ts';
import { type ForwarderUnderTest, startForwarder } from '../upstream.ts';

const folder = testFolders(async () => {
  for (const socket of strangers) socket.destroy();
  await forwarder.close();
});
let forwarder: ForwarderUnderTest;
const strangers: Socket[] = [];
beforeAll(async () => {
  forwarder = await startForwarder(folder());
  forwarder.server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    if (headers['x-h2'] === '1') stream.respond({ ':status': 204 }, { endStream: true });
  });
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

const connected = async (host = '127.0.0.1'): Promise<Socket> => {
  const socket = connect(forwarder.port, host).on('error', () => undefined);
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

describeWith(otherUserPart(), 'the connections of a forwarder', (uid) => {
  it('stay of the own user before their first request, as another user takes all that it can', async () => {
    const idle = await connected();
    const flood = `for n in {1..800}; do exec {fd}<>/dev/tcp/127.0.0.1/${forwarder.port}; done; echo done; sleep 60`;
    const other = spawn('/bin/bash', ['-c', flood], { uid, gid: uid, cwd: '/', stdio: ['ignore', 'pipe', 'ignore'] });
    const [said] = await once(other.stdout, 'data');
    const late = await connected();
    expect([String(said), await answered(idle), await answered(late)]).toEqual(['done\n', true, true]);
    other.kill();
    idle.destroy();
    late.destroy();
  });
});

describe('peerUsers', () => {
  it.each(['127.0.0.1', '::ffff:127.0.0.1'])('has the user of each connection to a port, by %s', async (host) => {
    const before = await connected(host);
    const users = peerUsers(forwarder.port);
    expect([users.get(before.localPort ?? 0), ownUser()]).toEqual([process.getuid?.(), process.getuid?.()]);
    before.destroy();
  });
});

// Issue 37, point 19: fair by user, not by the secret alone.
describe('Places', () => {
  const servers: Server[] = [];
  afterAll(() => servers.forEach((server) => server.close()));

  /** Places of a real server; `user` says whose connections come next. */
  async function places(max: number, own: number | null) {
    const users = new Map<number, number>();
    let lookUps = 0;
    const held = new Places({
      max,
      own,
      usersOf: () => {
        lookUps += 1;
        return users;
      },
    });
    const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return {
      held,
      lookUps: () => lookUps,
      come: async (user: number | null): Promise<{ readonly socket: Socket; readonly isTaken: boolean }> => {
        const accepted = once(server, 'connection') as Promise<[Socket]>;
        strangers.push(connect(port, '127.0.0.1').on('error', () => undefined));
        const [socket] = await accepted;
        if (user !== null) users.set(socket.remotePort ?? 0, user);
        return { socket, isTaken: held.taken(socket) };
      },
    };
  }

  it('end no connection of the own user while others have some, however many users they are', async () => {
    const { come, lookUps } = await places(128, 7);
    const own = [await come(7), await come(7), await come(7)];
    for (let count = 0; count < 500; count += 1) expect((await come(1_000 + (count % 250))).isTaken).toBe(true);
    const late = await come(7);
    for (let count = 0; count < 200; count += 1) await come(8);
    expect([...own, late].map(({ socket }) => socket.destroyed)).toEqual([false, false, false, false]);
    // Not for each of 700.
    expect(lookUps()).toBeLessThan(20);
  });

  it('end the oldest of the user that has the most', async () => {
    const { come } = await places(100, 7);
    const few = [await come(8), await come(8)];
    const many = [];
    for (let count = 0; count < 150; count += 1) many.push(await come(9));
    expect(few.map(({ socket }) => socket.destroyed)).toEqual([false, false]);
    expect([many[0], many.at(-1)].map((one) => one?.socket.destroyed)).toEqual([true, false]);
  });

  it('end the oldest of the own user, or of unknown users, if there are no others, and the new connection if all showed the secret', async () => {
    for (const own of [7, null]) {
      const { come, held } = await places(3, own);
      const taken = [await come(own), await come(own), await come(own), await come(own)];
      expect(taken.map(({ socket }) => socket.destroyed)).toEqual([true, false, false, false]);
      for (const { socket } of taken) held.admit(socket);
      expect((await come(own)).isTaken).toBe(false);
    }
  });
});
