import { createServer, connect, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import {
  capturerOf,
  type TcpRow,
  usersConnected,
  usersListening,
} from '../../../../src/agent/forward/upstream/capture.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';

const own = { localAddress: '10.1.0.2', localPort: 40_000 };
const row = (local: string, remote: string, state: string, uid: number): TcpRow => ({ local, remote, state, uid });
const ours = row('0200010A:9C40', '0500600A:0050', '01', 0);
const peer = row('0100007F:3A99', '0200010A:9C40', '01', 1_337);
const listening = row('00000000:3A99', '00000000:0000', '0A', 1_337);

// Issue 39, point 4.
describe('capturerOf', () => {
  it.each([
    ['the process that has the other end', [ours, peer, listening], 1_337],
    ['none if nobody here has it', [ours, listening], null],
    ['none if the peer does not listen', [ours, peer], null],
    ['none if two users listen there', [ours, peer, listening, { ...listening, uid: 5 }], null],
    ['none if two connections have our end', [ours, peer, { ...peer, local: '0100007F:0050' }, listening], null],
    ['none whose handshake is not over', [ours, { ...peer, state: '03' }, listening], null],
    ['none if the kernel does not tell', [], null],
    ['none by a connection of another port', [ours, { ...peer, remote: '0200010A:9C41' }, listening], null],
  ])('gives %s', (_what, rows, user) => {
    const found = capturerOf(own, rows);
    expect(isProblem(found) ? null : found).toBe(user);
  });

  it('knows the two ends of a real connection, and who listens', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: '127.0.0.1', port, localAddress: '0.0.0.0' });
    await once(socket, 'connect');
    const { localAddress = '', localPort = 0 } = socket;
    const user = process.getuid?.() ?? 0;
    expect([capturerOf({ localAddress, localPort }), usersListening(port)]).toEqual([user, [user]]);
    socket.destroy();
    server.close();
  });
});

describe('usersConnected', () => {
  it.each<[string, string, string, readonly (readonly [number, number])[]]>([
    ['the user of a connection to it', '0100007F:0050', '01', [[40_000, 7]]],
    ['none of another address', '0500600A:0050', '01', []],
    ['none of another port', '0100007F:0051', '01', []],
    ['none that has ended', '0100007F:0050', '06', []],
  ])('gives for a port of 127.0.0.1 %s', (_what, remote, state, users) => {
    expect([...usersConnected(80, [row('0100007F:9C40', remote, state, 7)])]).toEqual(users);
  });
});
