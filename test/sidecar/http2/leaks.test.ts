import { describe, expect, it } from '@jest/globals';
import { ErrorCode, FrameType } from '../../../src/sidecar/http2/frame.ts';
import { Incoming } from '../../../src/sidecar/http2/incoming.ts';
import { Http2Setting, settingsBytes } from '../../../src/sidecar/http2/settings.ts';
import type { AnswerableStream, StreamEvents } from '../../../src/sidecar/http2/stream.ts';
import { heldBytes } from '../../costs.ts';
import { thoroughly } from '../../thoroughly.ts';
import { indexed, literal } from './hpack.ts';
import { frame, PREFACE, type RawClient, reset, widened } from './raw-client.ts';
import { answer, stage } from './stage.ts';
import { ask, data, SHORT_REQUEST } from './requests.ts';

const { raw, serve } = stage();
const OPENING = Buffer.concat([
  PREFACE,
  frame(FrameType.settings, { payload: settingsBytes([[Http2Setting.initialWindowSize, 100]]) }),
]);

/** How a server handles a stream. */
type Treatment = (stream: AnswerableStream) => StreamEvents;
const CONTENT = Buffer.alloc(1_000);
/** Streams before it is weighed, streams that must add nothing, and the bytes of each: more than 16 MiB, the window of a connection. */
const [FIRST, MORE, BYTES] = thoroughly([5_000, 4_000, 2_000], [2_000, 2_000, 4_500]);
const answersLate: Treatment = (stream) => ({
  data: ({ length }) => stream.took(length),
  ended: () => void setImmediate(() => answer(stream, CONTENT)),
  closed: () => undefined,
});
const nothing: Treatment = () => ({ data: () => undefined, ended: () => undefined, closed: () => undefined });
const readsOn: Treatment = (stream) => {
  const incoming = new Incoming(stream, () => undefined);
  void (async () => {
    for await (const { length } of incoming) if (length > 0) await new Promise((resolve) => setImmediate(resolve));
    answer(stream, CONTENT);
  })();
  return incoming;
};
const leaves: Treatment = (stream) => {
  const incoming = new Incoming(stream, () => undefined);
  void (async () => {
    for await (const { length } of incoming) if (length > 0) break;
    stream.reset(ErrorCode.none);
  })();
  return incoming;
};
const faulty: Treatment = () => ({
  data: () => {
    throw new Error('a fault');
  },
  ended: () => undefined,
  closed: () => undefined,
});

/** How streams end: a name, the treatment, the bytes sent, and whether the server hands the stream over (default: yes). */
const ENDINGS: readonly (readonly [string, Treatment, (stream: number) => readonly Buffer[], isHanded?: boolean])[] = [
  [
    'was answered',
    answersLate,
    (stream) => [ask(stream, 0), data(stream, BYTES, 1), widened(stream, 1_000), widened(0, 1_000)],
  ],
  ['was reset by its client at once', nothing, (stream) => [ask(stream, 0), data(stream, BYTES), reset(stream)]],
  ['was reset while its answer waits', answersLate, (stream) => [ask(stream), reset(stream)]],
  ['was refused for what it did', nothing, (stream) => [ask(stream, 0), data(stream, BYTES), widened(stream, 0)]],
  ['was no request', nothing, (stream) => [ask(stream, 0, indexed(2))], false],
  [
    'had a wrong length',
    nothing,
    (stream) => [ask(stream, 1, Buffer.concat([SHORT_REQUEST, literal('content-length', '1')]))],
  ],
  [
    'had a reader',
    readsOn,
    (stream) => [
      ask(stream, 0),
      data(stream, BYTES),
      data(stream, BYTES, 1),
      widened(stream, 1_000),
      widened(0, 1_000),
    ],
  ],
  ['had a reader, and was reset', readsOn, (stream) => [ask(stream, 0), data(stream, BYTES), reset(stream)]],
  ['had a reader that left', leaves, (stream) => [ask(stream, 0), data(stream, BYTES)]],
  ['met a fault', faulty, (stream) => [ask(stream, 0), data(stream, BYTES)]],
];

/** Sends streams that end, hundreds at a time. None waits afterwards. */
const pass = async (
  client: RawClient,
  count: number,
  bytesOf: (stream: number) => readonly Buffer[],
): Promise<void> => {
  const AT_ONCE = 200;
  for (let n = 0; n < count; n += AT_ONCE) {
    await client.send(...Array.from({ length: AT_ONCE }, (_, index) => bytesOf(streamOf(client, n + index))).flat());
    expect(await client.settled()).toBe(true);
    for (let turns = 0; turns < 10; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(await client.settled()).toBe(true);
    client.frames.length = 0;
  }
  begun.set(client, (begun.get(client) ?? 0) + count);
};
const begun = new WeakMap<RawClient, number>();
const streamOf = (client: RawClient, n: number): number => 1 + 2 * ((begun.get(client) ?? 0) + n);

describe('an open connection', () => {
  it.each(ENDINGS)('keeps nothing of a stream that %s', async (_name, treatment, bytesOf, isHanded = true) => {
    const seen: WeakRef<AnswerableStream>[] = [];
    let handed = 0;
    const client = await raw(
      await serve((stream) => {
        seen.push(new WeakRef(stream));
        handed += 1;
        return treatment(stream);
      }),
      OPENING,
    );
    await pass(client, FIRST, bytesOf);
    seen.length = 0;
    const before = await heldBytes();
    await pass(client, MORE, bytesOf);
    const grown = (await heldBytes()) - before;
    // The last ones may still be in a register, or in what the collector has not visited again.
    expect(seen.filter((stream) => stream.deref() !== undefined).length).toBeLessThan(10);
    expect(grown).toBeLessThan(125 * MORE);
    // More has come than 16 MiB, and the accounts are even: the connection goes on.
    await client.send(ask(streamOf(client, 0)));
    expect(await client.settled()).toBe(true);
    // No stream was refused because earlier ones still counted as open.
    expect(handed).toBe((isHanded ? FIRST + MORE : 0) + 1);
  });
});

describe('an open stream', () => {
  it('keeps nothing of its head except what its listener keeps', async () => {
    let handed = 0;
    const client = await raw(
      await serve((stream) => {
        handed += 1;
        return nothing(stream);
      }),
      OPENING,
    );
    const block = Buffer.concat([SHORT_REQUEST, literal('x-large', 'a'.repeat(15_000))]);
    await client.send(ask(1, 0, block));
    await client.settled();
    const before = await heldBytes();
    for (let n = 1; n <= 500; n += 1) await client.send(ask(1 + 2 * n, 0, block));
    expect(await client.settled()).toBe(true);
    expect(((await heldBytes()) - before) / 500).toBeLessThan(4_000);
    expect(handed).toBe(501);
  });
});

describe('a closed connection', () => {
  it('leaves nothing behind, whatever was in progress', async () => {
    const seen: WeakRef<AnswerableStream>[] = [];
    const { port } = await serve((stream, { headers }) => {
      seen.push(new WeakRef(stream));
      return headers.has('x-late') ? answersLate(stream) : nothing(stream);
    });
    const round = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n += 1) {
        const client = await raw({ port }, OPENING);
        const late = Buffer.concat([SHORT_REQUEST, literal('x-late', '')]);
        await client.send(ask(1, 1, late), ask(3, 0), data(3, 16_384), ask(5, 0, late), ask(7).subarray(0, 10));
        await client.until(({ frames }) => frames.length > 2);
        if (n % 2 === 0) client.socket.resetAndDestroy();
        else client.close();
        while (!client.isClosed) await new Promise((resolve) => setImmediate(resolve));
      }
      for (let turns = 0; turns < 10; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    };
    await round(300);
    seen.length = 0;
    const before = await heldBytes();
    const handles = process.getActiveResourcesInfo().length;
    await round(300);
    expect(seen.length).toBeGreaterThanOrEqual(300);
    expect((await heldBytes()) - before).toBeLessThan(1_000_000);
    expect(seen.filter((stream) => stream.deref() !== undefined).length).toBeLessThan(10);
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(handles + 5);
  });
});
