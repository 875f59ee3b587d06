import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FrameType } from '../../../src/sidecar/http2/frame.ts';
import { Outgoing } from '../../../src/sidecar/http2/outgoing.ts';
import { heldBytes } from '../../costs.ts';
import { framesIn } from './raw-client.ts';

let server: Server;
/** Both ends of a connection; nobody reads the far one. */
let near: Socket;
let far: Socket;
beforeEach(async () => {
  server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connected = once(server, 'connection');
  far = connect((server.address() as AddressInfo).port, '127.0.0.1');
  far.pause();
  near = (await connected)[0] as Socket;
});
afterEach(() => {
  near.destroy();
  far.destroy();
  server.close();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));
/** A payload whose bytes each identify their frame. */
const payload = (n: number, length: number): Buffer => Buffer.alloc(length, `${n}.`);

/** Writes until the system accepts no more, at once and a while later. */
const blocked = async (outgoing: Outgoing): Promise<number> => {
  let count = 0;
  for (let turns = 0; turns < 50; turns += 1) {
    for (; outgoing.waiting === 0; count += 1) {
      outgoing.frame(FrameType.data, 0, count, payload(count, 16_384));
      outgoing.flush();
      turns = 0;
    }
    await turn();
  }
  return count;
};

/** Reads now and then until the other end closes; returns everything. */
const readSlowly = async (socket: Socket): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    socket.pause();
    setImmediate(() => socket.resume());
  });
  socket.resume();
  await once(socket, 'end');
  return Buffer.concat(chunks);
};

describe('Outgoing', () => {
  it('buffers frames until they are flushed, and passes on what has no room', async () => {
    const outgoing = new Outgoing(near);
    expect(outgoing.isEmpty).toBe(true);
    outgoing.frame(FrameType.ping, 1, 0, payload(1, 8));
    expect([outgoing.isEmpty, near.bytesWritten]).toEqual([false, 0]);
    outgoing.flush();
    expect([outgoing.isEmpty, near.bytesWritten]).toEqual([true, 17]);
    outgoing.flush();
    for (let n = 0; n < 5; n += 1) outgoing.frame(FrameType.data, 0, 1, payload(n, 16_384));
    expect([outgoing.isEmpty, near.bytesWritten]).toEqual([false, 17 + 4 * 16_393]);
  });

  it('sends every byte unchanged to a slower reader, however it buffers', async () => {
    const outgoing = new Outgoing(near);
    let count = await blocked(outgoing);
    const whole = readSlowly(far);
    // Meanwhile some frames of any size are written at each turn, some of them flushed in the middle.
    for (let n = 0; n < 3_000; n += 1) {
      for (let frames = n % 4; frames > 0; frames -= 1) {
        outgoing.frame(FrameType.data, n & 0xff, count, payload(count, (count * 7_919) % 16_385));
        count += 1;
      }
      if (n % 3 !== 0) outgoing.flush();
      if (n % 10 === 0) await turn();
    }
    outgoing.flush();
    near.end();
    const { frames, rest } = framesIn(await whole);
    expect([frames.length, rest.length]).toEqual([count, 0]);
    expect(frames.every((one, n) => one.stream === n && one.payload.equals(payload(n, one.payload.length)))).toBe(true);
  });

  it('takes only the memory of waiting bytes, however small their pieces', async () => {
    const outgoing = new Outgoing(near);
    await blocked(outgoing);
    const before = await heldBytes();
    const waiting = outgoing.waiting;
    for (let n = 0; n < 5_000; n += 1) {
      outgoing.frame(FrameType.ping, 1, 0, payload(n, 8));
      outgoing.flush();
      if (n % 100 === 0) await turn();
    }
    expect(outgoing.waiting - waiting).toBe(5_000 * 17);
    // With a buffer for each frame it would be 320 MB; each write costs some hundred bytes beside its own.
    expect((await heldBytes()) - before).toBeLessThan(5_000_000);
  });

  it('drops what is written after the end of its socket', async () => {
    const outgoing = new Outgoing(near);
    near.end();
    for (let n = 0; n < 20; n += 1) outgoing.frame(FrameType.data, 0, 1, payload(n, 16_384));
    outgoing.flush();
    near.destroy();
    outgoing.frame(FrameType.ping, 0, 0, payload(1, 8));
    outgoing.flush();
    expect([outgoing.isEmpty, outgoing.waiting]).toEqual([true, 0]);
  });
});
