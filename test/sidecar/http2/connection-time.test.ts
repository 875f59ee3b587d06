import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { FrameType } from '../../../src/sidecar/http2/frame.ts';
import { headerBlock } from '../../../src/sidecar/http2/header-block.ts';
import { Http2Setting, settingsBytes } from '../../../src/sidecar/http2/settings.ts';
import { frame, PREFACE, type RawClient, widened } from './raw-client.ts';
import { answer, noting, stage } from './stage.ts';
import { ask } from './requests.ts';

const { raw, serve } = stage();
const SETTINGS = frame(FrameType.settings);
const ping = (length = 8): Buffer => frame(FrameType.ping, { payload: Buffer.alloc(length) });
/** Windows large enough for everything. */
const WIDE = [
  widened(0, 0x7fff_0000),
  frame(FrameType.settings, { payload: settingsBytes([[Http2Setting.initialWindowSize, 0x7fff_0000]]) }),
];
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Whether the connection is still open shortly before a time, and closed afterwards. */
const endsAfter = async (client: RawClient, ms: number): Promise<boolean> => {
  jest.advanceTimersByTime(ms - 1);
  for (let n = 0; n < 100; n += 1) await turn();
  if (client.isClosed) return false;
  jest.advanceTimersByTime(1);
  await client.ended();
  return true;
};

/** A client that does not read, with so much of an answer on its way that the system accepts no more. */
const deaf = async (bytes: number, ...after: readonly Buffer[]) => {
  const { onStream, eventsOf } = noting({ ended: ({ stream }) => answer(stream, Buffer.alloc(bytes)) });
  const client = await raw(await serve(onStream));
  await client.settled();
  client.socket.pause();
  await client.send(...WIDE, ask(1), ...after);
  while (eventsOf('/') === '') await turn();
  for (let n = 0; n < 100; n += 1) await turn();
  return client;
};

describe('timeouts of Http2Connection', () => {
  beforeEach(() => {
    jest.useFakeTimers({
      doNotFake: ['setImmediate', 'clearImmediate', 'nextTick', 'queueMicrotask', 'performance', 'hrtime', 'Date'],
    });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['half a preface', PREFACE.subarray(0, 23)],
  ])('waits 10 s for a client that sends %s', async (_name, opening) => {
    const client = await raw(await serve(), opening);
    await client.until(({ frames }) => frames.length === 2);
    expect(await endsAfter(client, 10_000)).toBe(true);
  });

  it('reads a preface that came while the process stood still for longer', async () => {
    const client = await raw(await serve(), Buffer.alloc(0));
    await client.until(({ frames }) => frames.length === 2);
    // Timers run first after a pause, then sockets are read, then immediates run.
    await turn();
    client.socket.write(Buffer.concat([PREFACE, SETTINGS]));
    jest.advanceTimersByTime(10_000);
    expect(await client.settled()).toBe(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('leaves no timer however a connection ends', async () => {
    const { port, server } = await serve();
    const endings: readonly ((client: RawClient) => unknown)[] = [
      (client) => client.close(),
      (client) => client.socket.end(),
      (client) => client.socket.resetAndDestroy(),
      (client) => client.send(ping(7)),
      (client) => client.send(Buffer.alloc(24)),
    ];
    for (const opening of [Buffer.alloc(0), PREFACE, Buffer.concat([PREFACE, SETTINGS, ask(1, 0)])]) {
      for (const end of endings) {
        const client = await raw({ port }, opening);
        await client.until(({ frames }) => frames.length > 1);
        end(client);
        await client.ended();
      }
    }
    for (let n = 0; n < 10; n += 1) await turn();
    expect(jest.getTimerCount()).toBe(0);
    const closed = server.close(10_000);
    await turn();
    jest.advanceTimersByTime(20);
    await closed;
  });

  it('waits for ever once the preface was received', async () => {
    const client = await raw(await serve());
    await client.settled();
    jest.advanceTimersByTime(10_000_000);
    expect(await client.settled()).toBe(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('waits 30 s for a client that does not read, and reads nothing from it', async () => {
    const client = await deaf(32 * 1_048_576);
    // Now only the system accepts what the client sends.
    let taken = 0;
    for (; client.socket.writableLength === 0 && taken < 64; taken += 1) client.socket.write(Buffer.alloc(1_048_576));
    expect(taken).toBeLessThan(64);
    jest.advanceTimersByTime(29_999);
    for (let n = 0; n < 100; n += 1) await turn();
    expect(client.socket.destroyed).toBe(false);
    jest.advanceTimersByTime(1);
    await turn();
    await turn();
    client.socket.resume();
    await client.ended();
    expect(client.content(1).length).toBeLessThan(32 * 1_048_576);
  });

  it('continues if the client reads again in time', async () => {
    const client = await deaf(32 * 1_048_576);
    jest.advanceTimersByTime(29_999);
    client.socket.resume();
    expect(await client.settled()).toBe(true);
    expect(client.content(1).length).toBe(32 * 1_048_576);
    jest.advanceTimersByTime(100_000);
    expect(await client.settled()).toBe(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('waits a second for a client that does not read when it closes the connection', async () => {
    const client = await deaf(32 * 1_048_576, ping(7));
    jest.advanceTimersByTime(999);
    for (let n = 0; n < 100; n += 1) await turn();
    jest.advanceTimersByTime(1);
    await turn();
    await turn();
    client.socket.resume();
    expect(await client.ended()).toBe(null);
    expect(client.content(1).length).toBeLessThan(32 * 1_048_576);
  });

  it('waits a second for a client that does not read and has half-closed', async () => {
    const { noted, onStream } = noting({ ended: ({ stream }) => stream.respond(headerBlock({ ':status': '200' })) });
    const { port, listening } = await serve(onStream);
    const accepted = once(listening, 'connection');
    const client = await raw({ port });
    const [near] = (await accepted) as [Socket];
    client.socket.pause();
    await client.send(...WIDE, ask(1));
    // Not enough to stop reading from it, but more than the system accepts.
    for (let turns = 0; turns < 50; turns += 1) {
      if (near.writableLength === 0) {
        noted.get('/')?.stream.send(Buffer.alloc(16_384));
        turns = 0;
      }
      await turn();
    }
    client.socket.end();
    for (let n = 0; n < 100; n += 1) await turn();
    jest.advanceTimersByTime(999);
    expect(near.destroyed).toBe(false);
    jest.advanceTimersByTime(1);
    await turn();
    expect(near.destroyed).toBe(true);
  });
});
