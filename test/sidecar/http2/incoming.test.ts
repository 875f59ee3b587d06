import { describe, expect, it } from '@jest/globals';
import { ErrorCode, Flag, FrameType } from '../../../src/sidecar/http2/frame.ts';
import { headerBlock } from '../../../src/sidecar/http2/header-block.ts';
import { Incoming } from '../../../src/sidecar/http2/incoming.ts';
import type { AnswerableStream } from '../../../src/sidecar/http2/stream.ts';
import { frame, type RawClient, reset } from './raw-client.ts';
import { stage } from './stage.ts';
import { SHORT_REQUEST } from './requests.ts';

const { raw, serve } = stage();
const BEGIN = frame(FrameType.headers, { stream: 1, flags: Flag.endHeaders, payload: SHORT_REQUEST });
const data = (bytes: Buffer | string, flags = 0): Buffer =>
  frame(FrameType.data, { stream: 1, flags, payload: Buffer.from(bytes) });

/** A started stream, its reader, and how often `onClosed` was called. */
const begun = async () => {
  const read: { incoming: Incoming | null; stream: AnswerableStream | null; closed: number } = {
    incoming: null,
    stream: null,
    closed: 0,
  };
  const client = await raw(
    await serve((stream) => {
      read.stream = stream;
      return (read.incoming = new Incoming(stream, () => (read.closed += 1)));
    }),
  );
  await client.send(BEGIN);
  await client.settled();
  if (read.incoming === null || read.stream === null) throw new Error('no stream has begun');
  return { client, incoming: read.incoming, stream: read.stream, read };
};

const credit = ({ frames }: RawClient): number =>
  frames
    .filter(({ type, stream }) => type === FrameType.windowUpdate && stream === 1)
    .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);

describe('Incoming', () => {
  it('yields received data, and ends when the client half-closes', async () => {
    const { client, incoming, read } = await begun();
    const waits = incoming.next();
    await client.send(data('a'));
    expect(String((await waits).value)).toBe('a');
    await client.send(data('b'), data(''), data('cd', Flag.endStream));
    await client.settled();
    const pieces: string[] = [];
    for await (const piece of incoming) pieces.push(String(piece));
    expect([pieces, await incoming.next(), read.closed]).toEqual([['bcd'], { done: true, value: undefined }, 0]);
  });

  it('holds data received byte by byte without overhead', async () => {
    const { client, incoming } = await begun();
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at & 0xff));
    await client.send(...[...bytes].map((byte) => data(Buffer.of(byte))));
    await client.settled();
    const { value = Buffer.alloc(0) } = await incoming.next();
    expect(value.equals(bytes)).toBe(true);
    // The largest piece, doubled as often as needed.
    expect(value.buffer.byteLength).toBeLessThanOrEqual(4 * bytes.length);
  });

  it('opens the window only when the reader asks for more', async () => {
    const { client, incoming } = await begun();
    await client.send(...Array.from({ length: 16 }, () => data(Buffer.alloc(16_384))));
    await client.settled();
    expect([(await incoming.next()).value?.length, credit(client)]).toEqual([256 * 1_024, 0]);
    const waits = incoming.next();
    await client.until(() => credit(client) === 256 * 1_024);
    await client.send(data('more'));
    expect(String((await waits).value)).toBe('more');
  });

  it.each<[string, (client: RawClient, stream: AnswerableStream) => unknown]>([
    ['is reset by the client', (client) => client.send(reset(1))],
    ['is reset here', (_client, stream) => stream.reset(ErrorCode.cancel)],
    ['is gone with its connection', (client) => client.close()],
  ])('ends if the stream %s, and reports that once', async (_how, end) => {
    const { client, incoming, read, stream } = await begun();
    await client.send(data('there'));
    await client.settled();
    end(client, stream);
    while (read.closed === 0) await new Promise((resolve) => setImmediate(resolve));
    const pieces: string[] = [];
    for await (const piece of incoming) pieces.push(String(piece));
    expect([pieces, read.closed]).toEqual([['there'], 1]);
  });

  it('wakes a waiting reader if the stream is over', async () => {
    const { client, incoming } = await begun();
    const waits = incoming.next();
    await client.send(reset(1));
    expect(await waits).toEqual({ done: true, value: undefined });
  });

  it.each<[string, (incoming: Incoming) => Promise<void>]>([
    [
      'leaves',
      async (incoming) => {
        for await (const piece of incoming) if (piece.length > 0) break;
      },
    ],
    [
      'throws',
      async (incoming) => {
        const failing = async (): Promise<void> => {
          for await (const piece of incoming) throw new Error(`a fault at ${piece.length} bytes`);
        };
        await expect(failing()).rejects.toThrow('a fault');
      },
    ],
  ])('keeps nothing for a reader that %s while its client goes on', async (_how, read) => {
    const { client, incoming, stream } = await begun();
    await client.send(data('first'), data('second'));
    await client.settled();
    await read(incoming);
    // Ten times the window: it is received but not kept.
    for (let n = 0; n < 160; n += 1) {
      await client.send(data(Buffer.alloc(16_384)));
      await client.settled();
    }
    expect(credit(client)).toBeGreaterThan(160 * 16_384 - 128 * 1_024);
    expect(await incoming.next()).toEqual({ done: true, value: undefined });
    await client.send(data('', Flag.endStream));
    await client.settled();
    stream.respond(headerBlock({ ':status': '200' }), { ends: true });
    expect(await client.settled()).toBe(true);
  });
});
