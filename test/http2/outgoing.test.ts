import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FrameType } from '../../src/http2/frame.ts';
import { Outgoing } from '../../src/http2/outgoing.ts';
import { heldBytes } from '../costs.ts';
import { framesIn } from './raw-client.ts';

let server: Server;
/** One end, which nobody reads, and the other. */
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
/** A payload of which each byte says in which frame it is. */
const payload = (n: number, length: number): Buffer => Buffer.alloc(length, `${n}.`);

/** Writes until the system takes no more, at once and a while later. */
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

/** Reads all that comes until the other end has ended, now and then. */
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
  it('gathers frames until they are flushed, and hands over what has no more room', async () => {
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

  it('sends every byte as it was given to a reader that is slower, however it gathers', async () => {
    const outgoing = new Outgoing(near);
    let count = await blocked(outgoing);
    const whole = readSlowly(far);
    // While that is read: at each turn some frames of any size, of which some are handed over in the middle.
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

  it('takes as much memory for what waits as that has bytes, in however small pieces it came', async () => {
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
    // With a buffer of its own for each it would be 320 MB; each write costs some hundred bytes beside its own.
    expect((await heldBytes()) - before).toBeLessThan(5_000_000);
  });

  it('drops what comes after the end of its socket', async () => {
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
