import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ErrorCode, Flag, FrameType, uint32 } from '../../../src/sidecar/http2/frame.ts';
import { headerBlock } from '../../../src/sidecar/http2/header-block.ts';
import type { AnswerableStream, StreamEvents } from '../../../src/sidecar/http2/stream.ts';
import { indexed, Literal, literal } from './hpack.ts';
import { frame, PREFACE, RawClient } from './raw-client.ts';
import { answer, stage } from './stage.ts';
import { SHORT_REQUEST } from './requests.ts';

const { serve } = stage();
const turn = () => new Promise((resolve) => setImmediate(resolve));
const turns = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n += 1) await turn();
};

/** Events of streams, each one letter: `d`, `e` and `c`. */
const noted: string[] = [];
const CONTENT = Buffer.alloc(90_000, 97);
const OK = headerBlock({ ':status': '200' });

/** What a listener may do on an event. */
const DOINGS: readonly ((stream: AnswerableStream) => unknown)[] = [
  () => undefined,
  () => undefined,
  (stream) => answer(stream, CONTENT.subarray(0, 10)),
  (stream) => answer(stream, CONTENT),
  (stream) => stream.respond(OK, { ends: true }),
  (stream) => stream.respond(OK),
  (stream) => stream.send(CONTENT.subarray(0, 1_000)),
  (stream) => stream.reset(ErrorCode.cancel),
  (stream) => setImmediate(() => answer(stream, CONTENT)),
  (stream) => setImmediate(() => stream.reset(ErrorCode.none)),
  () => {
    throw new Error('a fault');
  },
];

/** Acts on each stream depending on its number and earlier events. */
const anything = (stream: AnswerableStream): StreamEvents => {
  const at = noted.push('') - 1;
  let seed = at * 7;
  const tell = (letter: string, bytes = 0): void => {
    noted[at] += letter;
    seed += 3;
    if (bytes > 0 && seed % 2 === 0) stream.took(bytes);
    DOINGS[seed % DOINGS.length]?.(stream);
  };
  if (at % 50 === 49) throw new Error('a fault');
  return { data: ({ length }) => tell('d', length), ended: () => tell('e'), closed: () => tell('c') };
};

const bytes = fc.uint8Array({ maxLength: 30 }).map((some) => Buffer.from(some));
/** A frame of any type: valid, nearly valid, or invalid. */
const wild = fc
  .tuple(fc.nat(10), fc.nat(255), fc.integer({ min: 0, max: 40 }), bytes)
  .map(([type, flags, stream, payload]) => frame(type, { flags, stream, payload }));

/** One action of a client. Its stream is counted back from the latest one. */
const step = fc.record({
  what: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom('ask', 'pieces', 'data', 'data', 'padded') },
    {
      weight: 8,
      arbitrary: fc.constantFrom('trailers', 'reset', 'widen', 'widenAll', 'window', 'ping', 'priority', 'new'),
    },
  ),
  back: fc.oneof(fc.nat(3), fc.nat(12)),
  n: fc.oneof(fc.nat(20), fc.nat(16_000), fc.constantFrom(65_535, 100_000, 0x7fff_ffff)),
  ends: fc.boolean(),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const CONTINUED = [literal('x-a', 'b', Literal.kept), literal('content-length', '3'), indexed(62), indexed(62)];

/** The bytes of a client that does all that, without an error that would end its connection, except for windows that overflow. */
function traceOf(steps: readonly Step[]): Buffer {
  const sent = [PREFACE, frame(FrameType.settings)];
  let last = 1;
  // Something is in the table from the first request on.
  sent.push(
    frame(FrameType.headers, {
      stream: 1,
      flags: Flag.endHeaders,
      payload: Buffer.concat([SHORT_REQUEST, literal('x-b', 'c', Literal.kept)]),
    }),
  );
  for (const { what, back, n, ends } of steps) {
    const stream = Math.max(1, last - 2 * back);
    const flags = ends ? Flag.endStream : 0;
    const begin = (endHeaders: number): Buffer => {
      last += 2;
      return frame(FrameType.headers, { stream: last, flags: flags | endHeaders, payload: SHORT_REQUEST });
    };
    const does: Record<typeof what, () => readonly Buffer[]> = {
      ask: () => [begin(Flag.endHeaders)],
      pieces: () => [
        begin(0),
        frame(9, { stream: last, payload: CONTINUED[n % 4] ?? SHORT_REQUEST }),
        frame(9, { stream: last, flags: Flag.endHeaders }),
      ],
      data: () => [frame(FrameType.data, { stream, flags, payload: Buffer.alloc(Math.min(n, 16_384)) })],
      padded: () => [
        frame(FrameType.data, {
          stream,
          flags: flags | Flag.padded,
          payload: Buffer.concat([Buffer.of(n % 250), Buffer.alloc((n % 300) + 250)]),
        }),
      ],
      // On a stream that was answered and has ended, they would be a connection error.
      trailers: () => [
        begin(Flag.endHeaders),
        frame(FrameType.headers, { stream: last, flags: Flag.endHeaders | flags, payload: indexed(62) }),
      ],
      reset: () => [frame(FrameType.reset, { stream, payload: uint32(n) })],
      widen: () => [frame(FrameType.windowUpdate, { stream, payload: uint32(n) })],
      widenAll: () => [frame(FrameType.windowUpdate, { payload: uint32(1 + (n % 100_000)) })],
      window: () => [frame(FrameType.settings, { payload: Buffer.concat([Buffer.of(0, 4), uint32(n % 200_000)]) })],
      ping: () => [frame(FrameType.ping, { payload: Buffer.alloc(8) })],
      priority: () => [
        frame(FrameType.priority, { stream, payload: Buffer.concat([uint32(ends ? stream : 0), Buffer.of(n & 0xff)]) }),
      ],
      new: () => [frame(0x10 + (n % 16), { stream, flags: n & 0xff, payload: Buffer.alloc(n % 100) })],
    };
    sent.push(...does[what]());
  }
  return Buffer.concat(sent);
}

const trace = fc.array(step, { maxLength: 60 }).map(traceOf);
const cuts = fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 6 });
const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });

/** Sends bytes in pieces, then checks the server. */
const endure = async (port: number, sent: Buffer, sizes: readonly number[]): Promise<void> => {
  noted.length = 0;
  const client = await RawClient.to(port, Buffer.alloc(0));
  for (let at = 0, n = 0; at < sent.length && !client.isClosed; n += 1) {
    const size = sizes[n % sizes.length] ?? 1;
    await client.send(sent.subarray(at, at + size));
    at += size;
  }
  await turns(6);
  client.close();
  // Others are served, and each stream was closed exactly once, as its last event.
  const other = await RawClient.to(port, Buffer.concat([PREFACE, frame(FrameType.settings)]));
  expect(await other.settled()).toBe(true);
  other.close();
  for (let tries = 0; tries < 100 && !noted.every((events) => events.endsWith('c')); tries += 1) await turn();
  for (const [at, events] of noted.entries())
    expect([at, events]).toEqual([at, expect.stringMatching(at % 50 === 49 ? /^$/ : /^d*e?c$/)]);
};

describe('Http2Server with random input', () => {
  const faults: unknown[] = [];
  const anyServer = () => serve(anything, { onFault: (error) => faults.push(error) });

  it('survives valid actions of a client in any order', async () => {
    const { port } = await anyServer();
    await fc.assert(
      fc.asyncProperty(trace, cuts, (sent, sizes) => endure(port, sent, sizes)),
      { numRuns: 600 },
    );
    // Only the errors thrown here were reported.
    expect(new Set(faults.map(String))).toEqual(new Set(['Error: a fault']));
  });

  it('survives them with damaged bytes', async () => {
    const { port } = await anyServer();
    await fc.assert(
      fc.asyncProperty(trace, cuts, damage, async (whole, sizes, damages) => {
        const sent = Buffer.from(whole);
        for (const [at, byte] of damages) sent[PREFACE.length + (at % (sent.length - PREFACE.length))] = byte;
        await endure(port, sent, sizes);
      }),
      { numRuns: 600 },
    );
    expect(new Set(faults.map(String))).toEqual(new Set(['Error: a fault']));
  });

  it('survives random frames and random bytes', async () => {
    const { port } = await anyServer();
    const opening = traceOf([]);
    const frames = fc.array(wild, { maxLength: 30 }).map((some) => Buffer.concat(some));
    await fc.assert(
      fc.asyncProperty(fc.oneof(frames, fc.uint8Array({ maxLength: 500 })), cuts, (some, sizes) =>
        endure(port, Buffer.concat([opening, some]), sizes),
      ),
      { numRuns: 600 },
    );
    expect(new Set(faults.map(String))).toEqual(new Set(['Error: a fault']));
  });

  it('survives connections that begin with random bytes', async () => {
    const { port } = await anyServer();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), fc.nat(24), async (noise, length) => {
        const client = await RawClient.to(port, Buffer.concat([PREFACE.subarray(0, length), noise]));
        await turns(3);
        client.close();
      }),
      { numRuns: 200 },
    );
    const other = await RawClient.to(port);
    expect(await other.settled()).toBe(true);
    other.close();
  });
});
