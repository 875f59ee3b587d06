import { describe, expect, it } from '@jest/globals';
import { BOUNDS } from '../../../src/sidecar/http2/bounds.ts';
import { ErrorCode, Flag, FrameType, uint32 } from '../../../src/sidecar/http2/frame.ts';
import { flood, flooding, times } from './flooding.ts';
import { noting, stage } from './stage.ts';
import { indexed, Literal, literal, tableSize } from './hpack.ts';
import { frame, reset, widened } from './raw-client.ts';
import { ask } from './requests.ts';

const on = stage();
const { raw } = on;
const serving = flooding(on);

/** A request, and frames that have its stream reset. */
type Provocation = (stream: number) => Buffer;
const after = (stream: number, ...more: readonly Buffer[]): Buffer => Buffer.concat([ask(stream, 0), ...more]);

describe('a flood of resets', () => {
  const RESETS = BOUNDS.resets.burst;

  it.each<[string, Provocation]>([
    ['by the client', (stream) => Buffer.concat([ask(stream), reset(stream)])],
    ['by the client, of an incomplete request', (stream) => after(stream, reset(stream))],
    ['for a window update of 0', (stream) => after(stream, widened(stream, 0))],
    ['for a window that overflows', (stream) => after(stream, widened(stream, 0x7fff_ffff))],
    [
      'for a priority on itself',
      (stream) =>
        after(stream, frame(FrameType.priority, { stream, payload: Buffer.concat([uint32(stream), Buffer.of(1)]) })),
    ],
    [
      'for content after the end',
      (stream) => Buffer.concat([ask(stream), frame(FrameType.data, { stream, payload: Buffer.of(1) })]),
    ],
    [
      'for a second end',
      (stream) =>
        after(stream, ...Array.from({ length: 2 }, () => frame(FrameType.data, { stream, flags: Flag.endStream }))),
    ],
    ['for invalid trailers', (stream) => after(stream, ask(stream))],
    ['for an invalid request', (stream) => ask(stream, Flag.endStream, indexed(2))],
    [
      'for headers that are too large',
      (stream) =>
        ask(
          stream,
          Flag.endStream,
          Buffer.concat([
            tableSize(4_096),
            literal('a', 'b'.repeat(4_000), Literal.kept),
            ...Array.from({ length: 9 }, () => indexed(62)),
          ]),
        ),
    ],
  ])(
    '%s is permitted in a burst of 100,000, holds no memory, and ends its connection beyond that',
    async (_name, provoke) => {
      // Complete requests are not answered, so that they are open when they are reset.
      const { onStream, noted } = noting();
      const { port, othersAreServed } = await serving(onStream);
      const client = await raw({ port });
      // Answers are counted and not kept.
      client.keepsFrames = false;
      const isLarge = provoke(1).length > 1_000;
      const count = isLarge ? 5_000 : RESETS;
      await flood(client, (n) => provoke(1 + 2 * n), count / 2);
      await othersAreServed();
      await flood(client, (n) => provoke(1 + count + 2 * n), count / 2);
      client.keepsFrames = true;
      expect(await client.settled()).toBe(true);
      // A reset is 13 bytes: at most one byte comes back for each byte sent.
      expect(client.received).toBeLessThan(count * 13 + 10_000);
      if (!isLarge) await client.send(provoke(1 + 2 * count));
      const ended = isLarge ? ErrorCode.enhanceYourCalm : (await client.ended())?.code;
      expect(ended).toBe(ErrorCode.enhanceYourCalm);
      await othersAreServed();
      expect(noted.size).toBeLessThanOrEqual(1);
    },
  );

  it('of 20,000 a second is permitted for ever after a burst of 100,000', async () => {
    const { clock, port, othersAreServed } = await serving();
    const client = await raw({ port });
    let stream = 1;
    const resets = (count: number): Promise<void> =>
      flood(
        client,
        () => {
          stream += 2;
          return Buffer.concat([ask(stream), reset(stream)]);
        },
        count,
      );
    await resets(RESETS);
    for (let second = 0; second < 5; second += 1) {
      expect(await client.settled()).toBe(true);
      clock.ms += 1_000;
      await resets(20_000);
      await othersAreServed();
    }
    expect(await client.settled()).toBe(true);
    await resets(1_000);
    expect((await client.ended())?.code).toBe(ErrorCode.enhanceYourCalm);
  });

  it('on a full connection is refused, and keeps no memory', async () => {
    const { onStream, noted } = noting();
    const { port, othersAreServed } = await serving(onStream);
    const client = await raw({ port });
    await client.send(times(BOUNDS.streams, (n) => ask(1 + 2 * n, 0)));
    await flood(client, (n) => ask(2 * BOUNDS.streams + 1 + 2 * n), 20_000);
    await othersAreServed();
    expect(await client.settled()).toBe(true);
    const resets = client.frames.filter(({ type }) => type === FrameType.reset);
    expect([resets.length, noted.size]).toEqual([20_000, 1]);
  });
});
