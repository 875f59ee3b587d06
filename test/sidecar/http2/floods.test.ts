import { describe, expect, it } from '@jest/globals';
import { BOUNDS } from '../../../src/sidecar/http2/bounds.ts';
import { ErrorCode, Flag, FrameType } from '../../../src/sidecar/http2/frame.ts';
import { Http2Setting, settingsBytes } from '../../../src/sidecar/http2/settings.ts';
import { frame, PREFACE, type RawClient, widened } from './raw-client.ts';
import { flood, flooding, times } from './flooding.ts';
import { answer, noting, stage } from './stage.ts';
import { ask } from './requests.ts';

const on = stage();
const { raw } = on;
const serving = flooding(on);
const ping = frame(FrameType.ping, { payload: Buffer.alloc(8) });
const windowOf = (bytes: number, times = 1): Buffer =>
  frame(FrameType.settings, {
    payload: settingsBytes(Array.from({ length: times }, () => [Http2Setting.initialWindowSize, bytes] as const)),
  });

const ofType = ({ frames }: RawClient, type: number): number => frames.filter((one) => one.type === type).length;

/** How many frames without data are permitted by the frozen clock of these tests. Two more belong to every connection. */
const IDLE = BOUNDS.idleFrames.burst;

describe('a flood of frames without data', () => {
  it.each<[string, Buffer, readonly Buffer[], answers: number]>([
    ['pings', ping, [], IDLE],
    ['answers to pings', frame(FrameType.ping, { flags: Flag.ack, payload: Buffer.alloc(8) }), [], 0],
    ['settings', frame(FrameType.settings), [], IDLE],
    ['settings that change nothing, 2,730 a frame', windowOf(65_535, 2_730), [], IDLE],
    ['acknowledgements of settings', frame(FrameType.settings, { flags: Flag.ack }), [], 0],
    ['empty content', frame(FrameType.data, { stream: 1 }), [ask(1, 0)], 0],
    [
      'content that is only padding',
      frame(FrameType.data, {
        stream: 1,
        flags: Flag.padded,
        payload: Buffer.alloc(200, Buffer.concat([Buffer.of(199), Buffer.alloc(199)])),
      }),
      [ask(1, 0)],
      0,
    ],
    ['content of a stream that was reset', frame(FrameType.data, { stream: 1 }), [ask(1, 0), widened(1, 0)], 0],
    ['headers of a stream that was reset', ask(1), [ask(1, 0), widened(1, 0)], 0],
    ['priorities', frame(FrameType.priority, { stream: 1, payload: Buffer.alloc(5) }), [], 0],
    ['unknown frames', frame(0x42, { stream: 1, payload: Buffer.alloc(100) }), [], 0],
    ['farewells', frame(FrameType.goAway, { payload: Buffer.alloc(8) }), [], 0],
    ['windows of the connection', widened(0, 1), [], 0],
    ['windows of a stream', widened(1, 1), [ask(1, 0)], 0],
    ['windows of a stream that is over', widened(1, 1), [ask(1)], 0],
  ])('of %s ends only its connection, after at most as many answers', async (_name, bytes, before, answers) => {
    const { port, othersAreServed } = await serving();
    const client = await raw({ port });
    await client.send(...before);
    await flood(client, () => bytes, IDLE / 2);
    await othersAreServed();
    await flood(client, () => bytes, 2 * IDLE);
    expect((await client.ended())?.code).toBe(ErrorCode.enhanceYourCalm);
    await othersAreServed();
    const type = bytes.readUInt8(3);
    // Every connection also has one SETTINGS, one WINDOW_UPDATE and one acknowledgement.
    const came = ofType(client, type) - (type === FrameType.settings ? 2 : type === FrameType.windowUpdate ? 1 : 0);
    expect(type === FrameType.goAway ? came - 1 : came).toBeLessThanOrEqual(answers);
    expect(client.received).toBeLessThan(answers * 17 + 1_000);
  });

  it('does not end a connection that is kept alive over time', async () => {
    const { clock, port } = await serving();
    const client = await raw({ port });
    for (let n = 0; n < 30; n += 1) {
      await client.send(times(1_000, () => ping));
      clock.ms += 1_000;
      expect(await client.settled()).toBe(true);
    }
  });

  it('does not end a connection that also sends requests', async () => {
    const { port } = await serving();
    const client = await raw({ port });
    for (let n = 0; n < 2_000; n += 1) {
      await client.send(
        ask(1 + 2 * n),
        times(12, () => ping),
      );
    }
    expect(await client.settled()).toBe(true);
  });
});

describe('a flood of window updates', () => {
  it('by settings, with 1,024 waiting answers, is charged for each stream', async () => {
    const { onStream } = noting({ ended: ({ stream }) => answer(stream, Buffer.alloc(20_000)) });
    const { port, othersAreServed } = await serving(onStream);
    const client = await raw({ port }, Buffer.concat([PREFACE, windowOf(0)]));
    await client.send(
      widened(0, 0x7000_0000),
      times(1_024, (n) => ask(1 + 2 * n)),
    );
    expect(await client.settled()).toBe(true);
    const before = client.received;
    await flood(client, (n) => windowOf(n + 1), 5_000);
    await othersAreServed();
    expect((await client.ended())?.code).toBe(ErrorCode.enhanceYourCalm);
    // 75 KB of frames have 27 streams for each permitted frame. Without the charge it would be 10 bytes on each stream, 10,000 times.
    expect(client.received - before).toBeLessThan(IDLE * 10 + 20_000);
  });

  it('of one byte each, with 1,000 waiting streams, is answered with one byte each', async () => {
    const { onStream } = noting({ ended: ({ stream }) => answer(stream, Buffer.alloc(20_000)) });
    const { port, othersAreServed } = await serving(onStream);
    const client = await raw({ port });
    await client.send(times(1_000, (n) => ask(1 + 2 * n)));
    expect(await client.settled()).toBe(true);
    const before = client.received;
    await flood(client, () => widened(0, 1), 20_000);
    await othersAreServed();
    expect((await client.ended())?.code).toBe(ErrorCode.enhanceYourCalm);
    expect(client.received - before).toBeLessThan(IDLE * 10 + 1_000);
  });
});

describe('a flood of requests from a client that does not read', () => {
  it('causes only bounded writes, and others are served', async () => {
    let answered = 0;
    const large = Buffer.alloc(2_000);
    const { port, othersAreServed } = await serving((stream) => {
      return {
        data: () => undefined,
        ended: () => {
          answered += 1;
          answer(stream, large);
        },
        closed: () => undefined,
      };
    });
    const deaf = await raw({ port }, Buffer.concat([PREFACE, frame(FrameType.settings), widened(0, 0x7fff_0000)]));
    deaf.socket.pause();
    for (let n = 0; n < 2_000; n += 1) {
      deaf.socket.write(times(100, (index) => ask(1 + 2 * (100 * n + index))));
      if (n % 100 === 0) await othersAreServed();
    }
    // 400 MB were requested. The system accepts some megabytes; then come the bound and the answers to one read.
    expect(answered * 2_050).toBeLessThan(32 * 1_048_576);
    await othersAreServed();
  });
});
