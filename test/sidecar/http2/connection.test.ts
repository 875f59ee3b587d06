import { connect } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { BOUNDS } from '../../../src/sidecar/http2/bounds.ts';
import { ErrorCode, Flag, FrameType, uint32 } from '../../../src/sidecar/http2/frame.ts';
import { Http2Setting, settingsBytes } from '../../../src/sidecar/http2/settings.ts';
import { indexed } from './hpack.ts';
import { frame, framesIn, PREFACE, reset, widened } from './raw-client.ts';
import { answer, noting, stage } from './stage.ts';
import { ask, data, requestOf, SHORT_REQUEST } from './requests.ts';

const { raw, serve } = stage();
const SETTINGS = frame(FrameType.settings);
const priority = (stream: number, dependsOn: number, length = 5): Buffer =>
  frame(FrameType.priority, {
    stream,
    payload: Buffer.concat([uint32(dependsOn), Buffer.of(0, 0, 0)]).subarray(0, length),
  });
const ping = (flags = 0, length = 8): Buffer =>
  frame(FrameType.ping, { flags, payload: Buffer.alloc(length, 'pingpong') });
const settings = (...noted: readonly (readonly [number, number])[]): Buffer =>
  frame(FrameType.settings, { payload: settingsBytes(noted) });
/** Answers each request with the number of its stream. */
const numbered = () => {
  let count = 0;
  return serve((stream) => {
    count += 1;
    const number = Buffer.from(`answer ${count}`);
    return { data: ({ length }) => stream.took(length), ended: () => answer(stream, number), closed: () => undefined };
  });
};
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A request with a small answer. */
const small = (stream: number): Buffer => ask(stream, Flag.endStream, requestOf('/small'));

describe('Http2Connection', () => {
  it('sends its settings at once', async () => {
    const client = await raw(await numbered(), Buffer.alloc(0));
    await client.until(({ frames }) => frames.length === 2);
    expect(client.frames.map(({ type, payload }) => [type, payload.toString('hex')])).toEqual([
      [FrameType.settings, '000300000400000400040000000600008000'],
      [FrameType.windowUpdate, (16 * 1_048_576 - 65_535).toString(16).padStart(8, '0')],
    ]);
  });

  it('answers the same however the bytes of a connection are split', async () => {
    const padded = data(3, Buffer.concat([Buffer.of(4), Buffer.alloc(9)]), Flag.padded | Flag.endStream);
    const refused = frame(FrameType.headers, { stream: 5, flags: Flag.endHeaders, payload: indexed(2) });
    const pieces = [
      PREFACE,
      settings([Http2Setting.initialWindowSize, 5], [0x77, 1]),
      ask(1),
      priority(9, 3),
      ping(),
      ask(3, 0),
      data(3, Buffer.alloc(100)),
      frame(0x99, { stream: 1, payload: Buffer.alloc(20) }),
      padded,
      refused,
      widened(1, 100),
      widened(0, 5),
      settings([Http2Setting.initialWindowSize, 1_000]),
      reset(5),
      ask(7),
      ping(Flag.ack),
    ];
    const trace = Buffer.concat(pieces);
    const answers: Buffer[] = [];
    for (const size of [trace.length, 100, 24, 10, 7, 3, 1]) {
      const { port } = await numbered();
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      for (let at = 0; at < trace.length; at += size) {
        socket.write(trace.subarray(at, at + size));
        // The other end is in this process and reads this within two turns.
        await turn();
        await turn();
      }
      while (!Buffer.concat(chunks).includes('answer 3')) await turn();
      socket.destroy();
      answers.push(Buffer.concat(chunks));
    }
    for (const one of answers) expect(framesIn(one)).toEqual(framesIn(answers[0] ?? Buffer.alloc(0)));
  });

  it.each<[string, Buffer]>([
    ['HTTP/1', Buffer.from('GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n')],
    ['TLS', Buffer.from('16030100a5010000a10303', 'hex')],
    ['a preface that is wrong at its end', Buffer.concat([PREFACE.subarray(0, 23), Buffer.of(0), SETTINGS, ask(1)])],
    ['no settings', Buffer.concat([PREFACE, ask(1)])],
    ['a ping before its settings', Buffer.concat([PREFACE, ping()])],
  ])('ends a connection that begins with %s', async (_name, opening) => {
    const client = await raw(await numbered(), opening);
    expect(await client.ended()).toEqual({ last: 0, code: ErrorCode.protocol });
    expect(client.of(1)).toEqual([]);
  });

  it.each<[string, Buffer, number]>([
    ['a frame of 16,385 bytes', frame(0, { stream: 1, payload: Buffer.alloc(16_385) }), ErrorCode.frameSize],
    ['settings of a stream', frame(FrameType.settings, { stream: 1 }), ErrorCode.protocol],
    ['half a setting', frame(FrameType.settings, { payload: Buffer.alloc(5) }), ErrorCode.frameSize],
    [
      'an acknowledgement of settings with content',
      frame(4, { flags: 1, payload: Buffer.alloc(6) }),
      ErrorCode.frameSize,
    ],
    ['an invalid value for push', settings([Http2Setting.enablePush, 2]), ErrorCode.protocol],
    ['frames that are too small', settings([Http2Setting.maxFrameSize, 16_383]), ErrorCode.protocol],
    ['frames that are too large', settings([Http2Setting.maxFrameSize, 2 ** 24]), ErrorCode.protocol],
    ['a ping of a stream', frame(FrameType.ping, { stream: 1, payload: Buffer.alloc(8) }), ErrorCode.protocol],
    ['a ping of 7 bytes', ping(0, 7), ErrorCode.frameSize],
    ['a priority of the connection', priority(0, 1), ErrorCode.protocol],
    ['a priority of 4 bytes on an idle stream', priority(9, 1, 4), ErrorCode.frameSize],
    ['a priority of an idle stream on itself', priority(9, 9), ErrorCode.protocol],
    ['a priority of a stream of the server on itself', priority(2, 2), ErrorCode.protocol],
    ['a reset of 5 bytes', frame(FrameType.reset, { stream: 1, payload: Buffer.alloc(5) }), ErrorCode.frameSize],
    ['a reset of the connection', reset(0), ErrorCode.protocol],
    ['a GOAWAY on a stream', frame(FrameType.goAway, { stream: 1, payload: Buffer.alloc(8) }), ErrorCode.protocol],
    ['a push', frame(FrameType.pushPromise, { stream: 1, payload: Buffer.alloc(4) }), ErrorCode.protocol],
  ])('ends a connection at %s, and reads nothing afterwards', async (_name, bytes, code) => {
    const { onStream, noted, eventsOf } = noting();
    const client = await raw(await serve(onStream));
    await client.send(ask(1), bytes, ask(3), ping(), bytes);
    expect(await client.ended()).toEqual({ last: 1, code });
    while (eventsOf('/') !== 'ended closed') await turn();
    // One stream of one path; one GOAWAY.
    expect([noted.size, client.of(3), client.frames.filter(({ type }) => type === FrameType.goAway).length]).toEqual([
      1,
      [],
      1,
    ]);
  });

  it.each<[string, Buffer, number]>([
    ['4 bytes', priority(1, 3, 4), ErrorCode.frameSize],
    ['itself', priority(1, 1), ErrorCode.protocol],
  ])('resets a stream whose priority is %s', async (_name, bytes, code) => {
    const client = await raw(await numbered());
    await client.send(ask(1, 0), bytes, ask(3));
    expect(await client.settled()).toBe(true);
    expect([client.resetCode(1), String(client.content(3))]).toEqual([code, 'answer 2']);
  });

  it('ignores a GOAWAY, priorities and unknown frames', async () => {
    const client = await raw(await numbered());
    const farewell = frame(FrameType.goAway, { payload: Buffer.concat([uint32(0), uint32(0), Buffer.alloc(100)]) });
    await client.send(
      priority(5, 3),
      priority(2, 1),
      farewell,
      frame(0xfa, { stream: 4, payload: Buffer.alloc(16_384) }),
      ask(1),
    );
    expect(await client.settled()).toBe(true);
    expect(String(client.content(1))).toBe('answer 1');
  });

  it('refuses a stream whose number was skipped', async () => {
    const client = await raw(await numbered());
    await client.send(ask(7), widened(3, 1), ask(5));
    expect((await client.ended())?.code).toBe(ErrorCode.streamClosed);
  });

  it('refuses the 1,025th stream as retryable, and accepts another stream for each that ends', async () => {
    const { onStream, noted } = noting();
    const client = await raw(await serve(onStream));
    const open = Array.from({ length: 1_026 }, (_, n) => ask(1 + 2 * n, 0, requestOf(`/${1 + 2 * n}`)));
    await client.send(...open);
    await client.settled();
    expect([noted.size, client.resetCode(2_047), client.resetCode(2_049), client.resetCode(2_051)]).toEqual([
      1_024,
      null,
      ErrorCode.refusedStream,
      ErrorCode.refusedStream,
    ]);
    await client.send(reset(1), ask(2_053, 0), ask(2_055, 0));
    await client.settled();
    expect([client.resetCode(2_053), client.resetCode(2_055)]).toEqual([null, ErrorCode.refusedStream]);
  });

  it('refuses streams while too many answer bytes wait, and accepts them once they were read', async () => {
    const large = Buffer.alloc(BOUNDS.heldBytes / 2);
    const { onStream } = noting({
      ended: ({ stream, path }) => answer(stream, path === '/' ? large : Buffer.from('small')),
    });
    const client = await raw(await serve(onStream));
    await client.send(ask(1), ask(3), small(5), ask(7), small(9));
    await client.settled();
    expect([5, 7, 9].map((stream) => client.resetCode(stream))).toEqual([null, null, ErrorCode.refusedStream]);
    // A stream reset by the client no longer waits.
    await client.send(reset(3), reset(7), small(11), ask(13), widened(0, 1_000));
    await client.settled();
    expect(String(client.content(11))).toBe('small');
    // Nor does one that was read: all of 64 MiB.
    await client.send(widened(0, 0x7000_0000), widened(1, large.length), widened(13, large.length));
    await client.until(() => client.received > 2 * large.length);
    await client.send(ask(15), ask(17), small(19));
    await client.settled();
    expect([client.resetCode(17), String(client.content(19))]).toEqual([null, 'small']);
  });

  it('ends all its streams if the client disconnects at any moment', async () => {
    const { onStream, noted, eventsOf } = noting();
    const { port } = await serve(onStream);
    for (const last of [ask(3, 0).subarray(0, 5), frame(1, { stream: 3, payload: SHORT_REQUEST }), Buffer.alloc(0)]) {
      for (const end of ['end', 'destroy', 'resetAndDestroy'] as const) {
        noted.clear();
        const client = await raw({ port });
        await client.send(ask(1), last);
        while (eventsOf('/') !== 'ended') await turn();
        client.socket[end]();
        while (eventsOf('/') !== 'ended closed') await turn();
      }
    }
  });
});
