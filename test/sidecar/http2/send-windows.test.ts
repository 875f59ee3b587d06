import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ErrorCode, Flag, FrameType } from '../../../src/sidecar/http2/frame.ts';
import { Http2Setting, settingsBytes } from '../../../src/sidecar/http2/settings.ts';
import { frame, PREFACE, type RawClient, widened } from './raw-client.ts';
import { answer, stage } from './stage.ts';
import { ask, requestOf } from './requests.ts';

const { raw, serve, session } = stage();

/** Bytes that each identify their position. */
const content = (length: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, at) => (at * 7 + (at >>> 8)) & 0xff));
const CONTENT = content(400_000);

/** Answers a numeric path with that many bytes. */
const sized = () =>
  serve((stream, { path }) => ({
    data: ({ length }) => stream.took(length),
    ended: () => answer(stream, CONTENT.subarray(0, Number(path.slice(1)))),
    closed: () => undefined,
  }));

/** Requests that many bytes. */
const askFor = (stream: number, bytes: number): Buffer => ask(stream, Flag.endStream, requestOf(`/${bytes}`));
const windowOf = (bytes: number): Buffer =>
  frame(FrameType.settings, { payload: settingsBytes([[Http2Setting.initialWindowSize, bytes]]) });

/** How many bytes of a stream arrived after sending something. */
const came = async (client: RawClient, stream: number, ...bytes: readonly Buffer[]): Promise<number> => {
  await client.send(...bytes);
  expect(await client.settled()).toBe(true);
  const got = client.content(stream);
  expect(got.equals(CONTENT.subarray(0, got.length))).toBe(true);
  return got.length;
};
const isDone = (client: RawClient, stream: number): boolean =>
  client.of(stream).some(({ type, flags }) => type === FrameType.headers && (flags & Flag.endStream) !== 0);

describe("a client's windows", () => {
  it('permit as many bytes as both stream and connection have, and the rest once there is room', async () => {
    const client = await raw(await sized());
    expect(await came(client, 1, askFor(1, 200_000))).toBe(65_535);
    // One of the two windows alone is not enough.
    expect(await came(client, 1, widened(1, 100_000))).toBe(65_535);
    expect(await came(client, 1, widened(0, 1))).toBe(65_536);
    expect(await came(client, 1, widened(0, 100_000))).toBe(165_535);
    expect(await came(client, 1, widened(0, 100_000))).toBe(165_535);
    expect(isDone(client, 1)).toBe(false);
    expect(await came(client, 1, widened(1, 100_000))).toBe(200_000);
    expect(isDone(client, 1)).toBe(true);
  });

  it('of 0 hold back content and trailers, but not headers', async () => {
    const client = await raw(await sized(), Buffer.concat([PREFACE, windowOf(0)]));
    expect(await came(client, 1, askFor(1, 5))).toBe(0);
    expect(client.of(1).map(({ type }) => type)).toEqual([FrameType.headers]);
    expect(await came(client, 1, widened(1, 4))).toBe(4);
    expect(isDone(client, 1)).toBe(false);
    expect(await came(client, 1, widened(1, 1))).toBe(5);
    expect(isDone(client, 1)).toBe(true);
    expect(await came(client, 3, askFor(3, 0))).toBe(0);
    expect(isDone(client, 3)).toBe(true);
  });

  it('change with the settings at any time, even below zero', async () => {
    const client = await raw(await sized(), Buffer.concat([PREFACE, windowOf(100)]));
    expect(await came(client, 1, askFor(1, 1_000))).toBe(100);
    // 100 were sent of a window of 20: it is now -80.
    expect(await came(client, 1, windowOf(20))).toBe(100);
    expect(await came(client, 1, widened(1, 80))).toBe(100);
    expect(await came(client, 1, widened(1, 5))).toBe(105);
    expect(await came(client, 1, windowOf(30))).toBe(115);
    // Where a setting occurs more than once, the last one wins.
    const twice = frame(FrameType.settings, {
      payload: settingsBytes([
        [Http2Setting.initialWindowSize, 0x7fff_ffff],
        [Http2Setting.initialWindowSize, 31],
      ]),
    });
    expect(await came(client, 1, twice)).toBe(116);
    expect(await came(client, 3, askFor(3, 1_000))).toBe(31);
  });

  it('may have at most 2^31 - 1 bytes', async () => {
    const client = await raw(await sized());
    // Both windows are used up; that of the stream is full again afterwards.
    expect(await came(client, 1, askFor(1, 100_000), widened(1, 0x7fff_ffff))).toBe(65_535);
    expect(await came(client, 1, widened(1, 1))).toBe(65_535);
    expect(client.resetCode(1)).toBe(ErrorCode.flowControl);
    expect(await came(client, 1, widened(0, 0x7fff_ffff))).toBe(65_535);
    await client.send(widened(0, 1));
    expect((await client.ended())?.code).toBe(ErrorCode.flowControl);
  });

  it.each<[string, readonly Buffer[], number]>([
    ['of the connection beyond that', [widened(0, 0x7fff_ffff)], ErrorCode.flowControl],
    [
      'of a stream by settings',
      [askFor(1, 400_000), widened(1, 0x7fff_0000), windowOf(0x7fff_ffff)],
      ErrorCode.flowControl,
    ],
    ['of settings beyond that', [windowOf(0x8000_0000)], ErrorCode.flowControl],
    ['of the connection by 0', [widened(0, 0)], ErrorCode.protocol],
    ['of an idle stream', [widened(7, 1)], ErrorCode.protocol],
    ['of a stream of the server', [widened(2, 1)], ErrorCode.protocol],
    ['in 3 bytes', [frame(FrameType.windowUpdate, { payload: Buffer.alloc(3) })], ErrorCode.frameSize],
  ])('end the connection: %s', async (_name, bytes, code) => {
    const client = await raw(await sized());
    await client.send(...bytes);
    expect((await client.ended())?.code).toBe(code);
  });

  it('of 0 end a stream, and are no error if it is closed', async () => {
    const client = await raw(await sized());
    await client.send(askFor(1, 100_000), widened(1, 0), askFor(3, 0), widened(3, 0));
    expect(await client.settled()).toBe(true);
    expect([client.resetCode(1), client.resetCode(3), isDone(client, 3)]).toEqual([ErrorCode.protocol, null, true]);
  });

  it('are shared by the streams in turn', async () => {
    const client = await raw(await sized(), Buffer.concat([PREFACE, windowOf(1_000_000)]));
    await client.send(...[1, 3, 5, 7].map((stream) => askFor(stream, 70_000)));
    await client.settled();
    expect([1, 3, 5, 7].map((stream) => client.content(stream).length)).toEqual([65_535, 0, 0, 0]);
    // The longest waiting stream comes first; one that has to wait again comes last.
    for (let n = 0; n < 8; n += 1) await client.send(widened(0, 10));
    await client.settled();
    expect([1, 3, 5, 7].map((stream) => client.content(stream).length)).toEqual([65_555, 20, 20, 20]);
  });

  it('stay balanced over any order of streams, windows and settings', async () => {
    const { port } = await sized();
    const step = fc.oneof(
      fc.record({ do: fc.constant('ask' as const), n: fc.nat(30_000) }),
      fc.record({ do: fc.constant('stream' as const), which: fc.nat(9), n: fc.integer({ min: 1, max: 20_000 }) }),
      fc.record({ do: fc.constant('connection' as const), n: fc.integer({ min: 1, max: 20_000 }) }),
      fc.record({ do: fc.constant('settings' as const), n: fc.nat(20_000) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        const client = await raw({ port }, Buffer.concat([PREFACE, windowOf(5_000)]));
        const streams: { readonly id: number; readonly length: number; window: number }[] = [];
        let connection = 65_535;
        let initial = 5_000;
        const got = (): number => streams.reduce((sum, { id }) => sum + client.content(id).length, 0);
        for (const one of steps) {
          if (one.do === 'ask') {
            streams.push({ id: 1 + 2 * streams.length, length: one.n, window: initial });
            await client.send(askFor(1 + 2 * (streams.length - 1), one.n));
          } else if (one.do === 'stream') {
            const stream = streams[one.which % Math.max(1, streams.length)];
            if (stream === undefined || isDone(client, stream.id)) continue;
            stream.window += one.n;
            await client.send(widened(stream.id, one.n));
          } else if (one.do === 'connection') {
            connection += one.n;
            await client.send(widened(0, one.n));
          } else {
            for (const stream of streams) stream.window += one.n - initial;
            initial = one.n;
            await client.send(windowOf(one.n));
          }
          expect(await client.settled()).toBe(true);
          for (const { id, length, window } of streams) {
            const bytes = await came(client, id);
            // Everything that can be sent was sent. A window may have been wider before than now.
            if (bytes < length) expect(bytes >= window || got() === connection).toBe(true);
            else expect(isDone(client, id)).toBe(true);
          }
          expect(got()).toBeLessThanOrEqual(connection);
        }
        await client.send(windowOf(0x7fff_ffff - 1_000_000), widened(0, 0x7fff_0000 - connection));
        expect(await client.settled()).toBe(true);
        for (const { id, length } of streams)
          expect([await came(client, id), isDone(client, id)]).toEqual([length, true]);
        client.close();
      }),
      { numRuns: 40 },
    );
  });

  it('of a slow client deliver every byte unchanged, over many streams', async () => {
    const { port } = await sized();
    const client = session({ port }, { settings: { initialWindowSize: 1_000 } });
    const expected = createHash('sha256').update(CONTENT.subarray(0, 90_000)).digest('hex');
    const digests = Array.from({ length: 40 }, async () => {
      const hash = createHash('sha256');
      for await (const chunk of client.request({ ':path': '/90000' })) {
        hash.update(chunk);
        await new Promise((resolve) => setImmediate(resolve));
      }
      return hash.digest('hex');
    });
    expect(new Set(await Promise.all(digests))).toEqual(new Set([expected]));
  });
});
