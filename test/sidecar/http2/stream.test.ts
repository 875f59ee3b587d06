import { describe, expect, it } from '@jest/globals';
import { ErrorCode, Flag, FrameType } from '../../../src/sidecar/http2/frame.ts';
import { headerBlock } from '../../../src/sidecar/http2/header-block.ts';
import { literals } from './hpack.ts';
import { frame, type RawClient, reset, widened } from './raw-client.ts';
import { answer, noting, stage, type Noted } from './stage.ts';
import { ask, data, requestOf, SHORT_REQUEST } from './requests.ts';

const { raw, serve } = stage();
const END = Flag.endStream;

/** A request whose path is its stream number, with additional headers. */
const askOf = (
  stream: number,
  { flags = 0, more = {} }: { flags?: number; more?: Record<string, string> } = {},
): Buffer => ask(stream, flags, requestOf(`/${stream}`, more));
/** Content with padding, which also counts against the window. */
const padded = (stream: number, bytes: number, padding: number): Buffer =>
  data(stream, Buffer.concat([Buffer.of(padding), Buffer.alloc(bytes + padding)]), Flag.padded);
const trailers = (stream: number, payload = literals({ 'x-after': 'all' }), flags: number = END): Buffer =>
  frame(FrameType.headers, { stream, flags: Flag.endHeaders | flags, payload });
const length = (value: string) => ({ more: { 'content-length': value } });

/** The window credit received for a stream, or for the connection since its start. */
const credit = (client: RawClient, stream: number): number =>
  client
    .of(stream)
    .filter(({ type }) => type === FrameType.windowUpdate)
    .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), stream === 0 ? -(16 * 1_048_576 - 65_535) : 0);

const all = (noted: Noted): void => answer(noted.stream, Buffer.concat(noted.pieces));
const takes = ({ stream }: Noted, bytes: number): void => stream.took(bytes);

describe('Http2Stream', () => {
  it.each<[string, readonly Buffer[], string]>([
    ['a request without content', [askOf(1, { flags: END })], 'ended closed'],
    ['content in pieces', [askOf(1), data(1, 1), data(1, 2), data(1, 3, END)], 'data:1 data:2 data:3 ended closed'],
    ['content and an end by itself', [askOf(1), data(1, 1), data(1, 0, END)], 'data:1 ended closed'],
    ['content and trailers', [askOf(1), data(1, 1), trailers(1)], 'data:1 ended closed'],
    ['trailers alone', [askOf(1), trailers(1)], 'ended closed'],
    ['padding', [askOf(1), padded(1, 2, 255), padded(1, 0, 7), data(1, 0, END)], 'data:2 ended closed'],
    ['a correct length', [askOf(1, length('5')), data(1, 2), data(1, 3, END)], 'data:2 data:3 ended closed'],
    ['a correct length, padded', [askOf(1, length('2')), padded(1, 2, 9), trailers(1)], 'data:2 ended closed'],
    ['a length of 0 without content', [askOf(1, { ...length('0'), flags: END })], 'ended closed'],
    ['a reset', [askOf(1), data(1, 1), reset(1)], 'data:1 closed'],
    ['a reset at once', [askOf(1), reset(1)], 'closed'],
  ])('reports %s, and `closed` once and last', async (_name, bytes, events) => {
    const { eventsOf, onStream } = noting({ data: takes, ended: all });
    const client = await raw(await serve(onStream));
    await client.send(...bytes);
    expect(await client.settled()).toBe(true);
    expect([eventsOf('/1'), client.resetCode(1)]).toEqual([events, null]);
  });

  it.each<[string, readonly Buffer[], string, number]>([
    ['less than its length', [askOf(1, length('5')), data(1, 4, END)], 'data:4 closed', ErrorCode.protocol],
    ['more than its length', [askOf(1, length('5')), data(1, 6, END)], 'data:6 closed', ErrorCode.protocol],
    ['a length and nothing', [askOf(1, { ...length('1'), flags: END })], 'closed', ErrorCode.protocol],
    ['less, with trailers', [askOf(1, length('2')), data(1, 1), trailers(1)], 'data:1 closed', ErrorCode.protocol],
    ['two lengths', [askOf(1, length('1, 1')), data(1, 1, END)], 'data:1 closed', ErrorCode.protocol],
    ['an invalid length', [askOf(1, length('0x1')), data(1, 1, END)], 'data:1 closed', ErrorCode.protocol],
    ['trailers without END_STREAM', [askOf(1), trailers(1, undefined, 0)], 'closed', ErrorCode.protocol],
    ['trailers with a path', [askOf(1), trailers(1, SHORT_REQUEST)], 'closed', ErrorCode.protocol],
    ['content after its end', [askOf(1, { flags: END }), data(1, 1)], 'ended closed', ErrorCode.streamClosed],
    ['trailers after its end', [askOf(1, { flags: END }), trailers(1)], 'ended closed', ErrorCode.streamClosed],
    ['a second end', [askOf(1), data(1, 0, END), data(1, 0, END)], 'ended closed', ErrorCode.streamClosed],
  ])('ends a stream with %s, and no other', async (_name, bytes, events, code) => {
    // Ended requests are answered later, so that their streams are open.
    const { eventsOf, onStream } = noting({ ended: (noted) => noted.path === '/3' && all(noted) });
    const client = await raw(await serve(onStream));
    await client.send(...bytes, askOf(3), data(3, 3, END));
    expect(await client.settled()).toBe(true);
    expect([eventsOf('/1'), client.resetCode(1), String(client.content(3))]).toEqual([events, code, 'aaa']);
    // What was on its way when the client learned of the reset is not an error.
    await client.send(data(1, 1), trailers(1), widened(1, 1), reset(1));
    expect(await client.settled()).toBe(true);
  });

  it.each<[string, readonly Buffer[]]>([
    ['content on an idle stream', [data(3, 1)]],
    ['content on the connection', [data(0, 1)]],
    ['content on a stream of the server', [data(2, 1)]],
    ['a reset of an idle stream', [reset(3)]],
    ['more padding than frame', [data(1, Buffer.of(1), Flag.padded)]],
    ['padding without a length of it', [data(1, 0, Flag.padded)]],
  ])('treats %s as a connection error', async (_name, bytes) => {
    const client = await raw(await serve(noting().onStream));
    await client.send(askOf(1), ...bytes);
    expect(await client.ended()).toEqual({ last: 1, code: ErrorCode.protocol });
  });

  it('treats content on an answered and ended stream as a stream error', async () => {
    const client = await raw(await serve(noting({ ended: all }).onStream));
    await client.send(askOf(1, { flags: END }), data(1, 1));
    expect(await client.settled()).toBe(true);
    expect(client.resetCode(1)).toBe(ErrorCode.streamClosed);
    await client.send(trailers(1), askOf(3, { flags: END }), trailers(3));
    expect((await client.ended())?.code).toBe(ErrorCode.streamClosed);
  });
});

describe('the windows of Http2Stream', () => {
  it('permit 256 KiB of unconsumed data, and not a byte more', async () => {
    const { noted, onStream } = noting();
    const client = await raw(await serve(onStream));
    const pieces = Array.from({ length: 16 }, () => data(1, 16_384));
    await client.send(askOf(1), ...pieces, askOf(3));
    expect(await client.settled()).toBe(true);
    expect([credit(client, 1), client.resetCode(1)]).toEqual([0, null]);
    noted.get('/1')?.stream.took(200_000);
    await client.until(() => credit(client, 1) === 200_000);
    await client.send(...pieces.slice(0, 12), data(1, 200_000 - 12 * 16_384));
    expect(await client.settled()).toBe(true);
    expect(client.resetCode(1)).toBe(null);
    await client.send(data(1, 1), askOf(5), padded(5, 0, 1));
    expect(await client.settled()).toBe(true);
    expect([client.resetCode(1), client.resetCode(5)]).toEqual([ErrorCode.flowControl, null]);
  });

  it('credit the connection for unconsumed data of a closed stream, padding and late data', async () => {
    const { noted, onStream } = noting();
    const client = await raw(await serve(onStream));
    let sent = 0;
    for (let n = 0; n < 40; n += 1) {
      const stream = 1 + 2 * n;
      const pieces = Array.from({ length: 15 }, () => data(stream, 16_384));
      await client.send(
        askOf(stream),
        ...pieces,
        padded(stream, 0, 200),
        n % 2 === 0 ? reset(stream) : data(stream, 1),
      );
      await client.settled();
      if (n % 2 === 1) {
        noted.get(`/${stream}`)?.stream.reset(ErrorCode.cancel);
        await client.send(data(stream, 7));
        await client.settled();
      }
      sent += 15 * 16_384 + 201 + (n % 2 === 1 ? 8 : 0);
    }
    // Credited whenever half of the window is consumed; with 9.8 MB that is once.
    expect(credit(client, 0)).toBeGreaterThan(8 * 1_048_576 - 1);
    expect(credit(client, 0)).toBeLessThanOrEqual(sent);
  });

  it.each<[string, pieces: number, (stream: number) => readonly Buffer[]]>([
    ['data on a reset stream', 1, () => [data(1, 16_384)]],
    ['data after the end of a stream', 1, (stream) => [askOf(stream, { flags: END }), data(stream, 16_384)]],
    [
      'data beyond the window of a stream',
      17,
      (stream) => [askOf(stream), ...Array.from({ length: 17 }, () => data(stream, 16_384))],
    ],
    ['unconsumed data', 1, (stream) => [askOf(stream), data(stream, 16_384), reset(stream)]],
  ])('credit the connection for %s exactly once', async (_name, pieces, bytesOf) => {
    const client = await raw(await serve(noting().onStream));
    await client.send(askOf(1), widened(1, 0));
    // More than 16 MiB, none of which may be lost.
    const rounds = Math.ceil(1_500 / pieces);
    for (let n = 0; n < rounds; n += 1) await client.send(...bytesOf(3 + 2 * n));
    expect(await client.settled()).toBe(true);
    const sent = rounds * pieces * 16_384;
    expect(credit(client, 0)).toBeLessThanOrEqual(sent);
    expect(credit(client, 0)).toBeGreaterThan(sent - 8 * 1_048_576);
  });

  it('count padding, and credit it at once', async () => {
    const client = await raw(await serve(noting({ data: takes }).onStream));
    await client.send(askOf(1));
    // More than the 16 MiB of the connection and the 256 KiB of the stream.
    const ROUNDS = 700;
    for (let n = 0; n < ROUNDS; n += 1) await client.send(...Array.from({ length: 100 }, () => padded(1, 1, 255)));
    expect(await client.settled()).toBe(true);
    const sent = ROUNDS * 100 * 257;
    expect(sent - credit(client, 1)).toBeLessThan(128 * 1_024);
    // Nothing is credited twice.
    await client.send(reset(1));
    expect(await client.settled()).toBe(true);
    for (const stream of [0, 1]) expect(credit(client, stream)).toBeLessThanOrEqual(sent);
  });

  it('end a connection beyond 16 MiB of unconsumed data', async () => {
    const client = await raw(await serve(noting().onStream));
    for (let n = 0; n < 64; n += 1) {
      const stream = 1 + 2 * n;
      await client.send(askOf(stream), ...Array.from({ length: 16 }, () => data(stream, 16_384)));
    }
    expect(await client.settled()).toBe(true);
    await client.send(askOf(201), data(201, 1));
    expect((await client.ended())?.code).toBe(ErrorCode.flowControl);
  });

  it('get no credit for a stream that is half-closed', async () => {
    const { noted, onStream } = noting();
    const client = await raw(await serve(onStream));
    await client.send(askOf(1), ...Array.from({ length: 15 }, () => data(1, 16_384)), data(1, 0, END));
    await client.settled();
    noted.get('/1')?.stream.took(15 * 16_384);
    await client.settled();
    expect(credit(client, 1)).toBe(0);
  });
});

describe('the answer of Http2Stream', () => {
  it('may precede the end of a request, whose rest still arrives', async () => {
    const { eventsOf, onStream } = noting({ data: (noted) => all(noted) });
    const client = await raw(await serve(onStream));
    await client.send(askOf(1), data(1, 3));
    await client.settled();
    expect([String(client.content(1)), eventsOf('/1')]).toEqual(['aaa', 'data:3']);
    await client.send(data(1, 4), data(1, 5, END));
    await client.settled();
    expect([eventsOf('/1'), client.resetCode(1)]).toEqual(['data:3 data:4 data:5 ended closed', null]);
  });

  it('is ignored in the wrong order, twice, or on a closed stream', async () => {
    const block = headerBlock({ ':status': '200' });
    const everything = ({ stream }: Noted): void => {
      stream.respond(block);
      stream.send(Buffer.from('no'));
      stream.end(block);
      stream.took(1_000);
      stream.reset(ErrorCode.cancel);
    };
    const { noted, onStream } = noting({
      begun: ({ stream }) => {
        stream.send(Buffer.from('early'));
        stream.end(block);
      },
      ended: (one) => {
        all(one);
        expect(one.stream.isAnswerable).toBe(false);
        everything(one);
      },
      closed: everything,
    });
    const client = await raw(await serve(onStream));
    await client.send(askOf(1), data(1, 2, END), askOf(3), reset(3));
    await client.settled();
    for (const one of noted.values()) everything(one);
    expect(await client.settled()).toBe(true);
    expect(client.of(1).map(({ type }) => type)).toEqual([FrameType.headers, FrameType.data, FrameType.headers]);
    expect(client.of(3)).toEqual([]);
  });

  it('ends with a reset at any point, on that stream only', async () => {
    const { eventsOf, onStream } = noting({ ended: ({ stream }) => answer(stream, Buffer.alloc(100_000)) });
    const client = await raw(await serve(onStream));
    // Half of it waits for a window, of the stream or the connection, when it is reset.
    await client.send(askOf(1, { flags: END }), askOf(3, { flags: END }), reset(1), widened(1, 100_000), reset(3));
    await client.send(widened(0, 200_000), widened(3, 1), askOf(5, { flags: END }), widened(5, 100_000));
    await client.settled();
    expect([client.content(1).length, client.content(3).length, client.content(5).length]).toEqual([
      65_535, 0, 100_000,
    ]);
    // Neither content nor trailers follow a reset.
    expect([client.of(1).length, client.of(3).length]).toEqual([5, 1]);
    expect([eventsOf('/1'), eventsOf('/3'), eventsOf('/5')]).toEqual(['ended closed', 'ended closed', 'ended closed']);
  });
});
