import { describe, expect, it } from '@jest/globals';
import { MAX_CHECK_BYTES } from '../../../src/sidecar/envoy/check/check-call.ts';
import { framed } from '../../../src/sidecar/envoy/grpc/grpc-messages.ts';
import { HELD_BYTES } from '../../../src/sidecar/envoy/limits.ts';
import { ACCESS_LOG_PATH } from '../../../src/sidecar/envoy/proto.ts';
import type { ExtAuthzServerOptions } from '../../../src/sidecar/envoy/server-options.ts';
import { Flag } from '../../../src/sidecar/http2/frame.ts';
import { heldBytes } from '../../costs.ts';
import { frame, type RawClient, reset } from '../http2/raw-client.ts';
import { ask, data, requestOf } from '../http2/requests.ts';
import { until } from '../../until.ts';
import { entryOf, messageBytes } from './access-log-samples.ts';
import type { OneHandler } from './handlers.ts';
import { checkBegun, done, FIRST_STREAM, rawStage, wholeCheck } from './raw-checks.ts';
import { readAsEnvoy } from './protos.ts';

const serving = rawStage();

const never: OneHandler = () => new Promise(() => {});
const LARGEST = framed(Buffer.alloc(MAX_CHECK_BYTES));
const MIB = 1_048_576;
/** Frames of an unknown type are ignored. */
const frameOfNothing = (bytes: number): Buffer => frame(0xee, { payload: Buffer.alloc(bytes) });

/** Content in frames of `size` bytes. */
const inFrames = (stream: number, bytes: Buffer, { size = 16_384, ends = true } = {}): readonly Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => {
    const isLast = ends && (n + 1) * size >= bytes.length;
    return data(stream, bytes.subarray(n * size, (n + 1) * size), isLast ? Flag.endStream : 0);
  });
const begin = (client: RawClient, stream: number, bytes: number): Promise<void> =>
  client.send(checkBegun(stream), ...inFrames(stream, LARGEST.subarray(0, bytes), { ends: false }));
const answerOf = (client: RawClient, stream: number): string => client.content(stream).subarray(5).toString();
const reasonOf = (client: RawClient, stream: number): string | undefined =>
  readAsEnvoy(client.content(stream).subarray(5)).status?.message;
const isServed = async (client: RawClient, stream: number): Promise<void> => {
  await client.send(wholeCheck(stream, Buffer.from('small')));
  await client.until((one) => one.content(stream).length > 0);
  expect(answerOf(client, stream)).toBe('done 5');
};

const statusOf = (client: RawClient, stream: number): string =>
  client
    .of(stream)
    .map(({ payload }) => payload.toString('latin1'))
    .join(' ');

describe('AuthorizationServer and the memory of messages', () => {
  it('denies incomplete checks beyond its budget, from one connection or many, and serves complete checks', async () => {
    const { server, client } = await serving();
    const before = await heldBytes();
    const clients = await Promise.all([1, 2, 3].map(client));
    const streams = Array.from({ length: 8 }, (_, n) => FIRST_STREAM + 2 * n);
    for (const one of clients) for (const stream of streams) await begin(one, stream, 4 * MIB);
    for (const one of clients) expect(await one.settled()).toBe(true);
    expect(server.heldBytes).toBeLessThanOrEqual(HELD_BYTES.unfinishedChecks);
    // The last chunk of each connection, and what was received of it, are not counted.
    expect((await heldBytes()) - before).toBeLessThan(HELD_BYTES.unfinishedChecks + 16 * MIB);
    const refused = clients.flatMap((one) =>
      streams.filter((stream) => one.content(stream).length > 0).map((stream) => reasonOf(one, stream)),
    );
    expect(refused.length).toBeGreaterThanOrEqual(24 - 8);
    expect(new Set(refused)).toEqual(new Set(['overloaded']));
    await isServed(await client(), FIRST_STREAM);
    for (const one of clients) one.close();
    await until(() => server.heldBytes === 0);
  });

  it('denies waiting checks beyond its budget', async () => {
    const { server, client } = await serving(never);
    const one = await client();
    const streams = Array.from({ length: 20 }, (_, n) => FIRST_STREAM + 2 * n);
    for (const stream of streams) await one.send(checkBegun(stream), ...inFrames(stream, LARGEST));
    expect(await one.settled()).toBe(true);
    expect(server.heldBytes).toBeLessThanOrEqual(HELD_BYTES.all);
    expect(server.inFlight).toBeGreaterThan(12);
    const refused = streams.filter((stream) => one.content(stream).length > 0);
    expect(refused.length).toBe(20 - server.inFlight);
    expect(new Set(refused.map((stream) => reasonOf(one, stream)))).toEqual(new Set(['overloaded']));
    one.close();
    await until(() => server.heldBytes === 0);
  });

  it.each([16_384, 1_000, 7])(
    'accepts the largest message on an idle server, in frames of %i bytes',
    async (size) => {
      const { server, client } = await serving();
      const one = await client();
      await one.send(checkBegun(FIRST_STREAM));
      for (let sent = 0; sent < LARGEST.length; sent += 1_000 * size) {
        const ends = sent + 1_000 * size >= LARGEST.length;
        await one.send(...inFrames(FIRST_STREAM, LARGEST.subarray(sent, sent + 1_000 * size), { size, ends }));
      }
      await one.until(() => one.content(FIRST_STREAM).length > 0);
      expect(answerOf(one, FIRST_STREAM)).toBe(`done ${MAX_CHECK_BYTES}`);
      expect(server.heldBytes).toBe(0);
    },
    30_000,
  );

  it('counts held memory, not sent bytes, if a byte keeps a chunk alive', async () => {
    const { server, client } = await serving();
    const one = await client();

    const passed = frameOfNothing(16_384);
    await one.send(checkBegun(FIRST_STREAM), data(FIRST_STREAM, Buffer.of(0)), passed, passed, passed);
    expect(await one.settled()).toBe(true);
    expect(server.heldBytes).toBeGreaterThan(32_768);
    await one.send(reset(FIRST_STREAM));
    await until(() => server.heldBytes === 0);
  });

  it('does not keep a chunk for each of many small waiting checks', async () => {
    const { server, client } = await serving(never, { maxInFlight: 4_000 });
    const one = await client();
    const passed = frameOfNothing(16_384);
    const before = await heldBytes();
    for (let n = 0; n < 1_000; n += 1) {
      await one.send(wholeCheck(FIRST_STREAM + 2 * n, Buffer.alloc(1_000)), passed, passed, passed);
    }
    expect(await one.settled()).toBe(true);
    expect([server.inFlight, server.heldBytes]).toEqual([1_000, 1_000_000]);
    expect((await heldBytes()) - before).toBeLessThan(256 * 65_536 + 8 * MIB);
  });

  it.each<[string, (client: RawClient) => Promise<unknown>, Partial<ExtAuthzServerOptions>, OneHandler]>([
    ['was answered', (one) => one.send(checkBegun(3), ...inFrames(3, LARGEST)), {}, done],
    ['was reset before its end', async (one) => [await begin(one, 3, MIB), await one.send(reset(3))], {}, done],
    ['was reset while it waits', (one) => one.send(checkBegun(3), ...inFrames(3, LARGEST), reset(3)), {}, never],
    [
      'was too large',
      (one) => one.send(checkBegun(3), ...inFrames(3, framed(Buffer.alloc(MAX_CHECK_BYTES + 1)))),
      {},
      done,
    ],
    ['was none', (one) => one.send(checkBegun(3), ...inFrames(3, Buffer.alloc(100_000, 1))), {}, done],
    ['was past its deadline before its end', (one) => begin(one, 3, MIB), { maxCheckMs: 30 }, done],
    [
      'was past its deadline while it waited',
      (one) => one.send(checkBegun(3), ...inFrames(3, LARGEST)),
      { maxCheckMs: 30 },
      never,
    ],
    [
      "exceeded its agent's rate",
      (one) => one.send(checkBegun(3), ...inFrames(3, LARGEST)),
      { admit: () => null },
      done,
    ],
    [
      'met a fault',
      (one) => one.send(checkBegun(3), ...inFrames(3, LARGEST)),
      {},
      () => Promise.reject(new Error('a bug')),
    ],
    ['was invalid HTTP/2', async (one) => [await begin(one, 3, MIB), await one.send(data(2, 1))], {}, done],
    ['lost its connection', async (one) => [await begin(one, 3, MIB), await one.settled(), one.close()], {}, done],
  ])('releases all memory of a check that %s', async (_name, act, over, handler) => {
    const { server, client } = await serving(handler, over);
    const one = await client();
    await act(one);
    await one.settled();
    await until(() => server.heldBytes === 0 && server.inFlight === 0);
  });
});

describe('AuthorizationServer and the memory of access logs', () => {
  const LOG = requestOf(ACCESS_LOG_PATH, { 'content-type': 'application/grpc' });
  const message = framed(messageBytes(Array(7).fill(entryOf({ request: { path: 'a'.repeat(130_000) } })), 'g'));

  it('ends logs whose incomplete messages exceed the budget, and denies no check for them', async () => {
    const taken: unknown[] = [];
    const { server, client } = await serving(done, {
      accessLog: { ledger: null, opened: () => () => undefined, served: (call) => (taken.push(call), null) },
    });
    const one = await client();
    const streams = Array.from({ length: 40 }, (_, n) => FIRST_STREAM + 2 * n);
    for (const stream of streams) {
      await one.send(ask(stream, 0, LOG), ...inFrames(stream, message.subarray(0, 800_000), { ends: false }));
      expect(await one.settled()).toBe(true);
    }
    expect(server.heldBytes).toBeLessThanOrEqual(HELD_BYTES.accessLogs);
    const ended = streams.filter((stream) => statusOf(one, stream).includes('too much waits'));
    expect(ended.length).toBeGreaterThanOrEqual(15);
    expect(ended.length).toBeLessThan(40);
    await isServed(one, 1_001);
    const other = await client();
    await other.send(checkBegun(3), ...inFrames(3, LARGEST));
    await other.until(() => other.content(3).length > 0);
    expect(answerOf(other, 3)).toBe(`done ${MAX_CHECK_BYTES}`);
    // Remaining streams are still read.
    const on = streams.find((stream) => !ended.includes(stream)) ?? 0;
    await one.send(...inFrames(on, message.subarray(800_000), { ends: false }));
    await until(() => taken.length === 7);
    one.close();
    await until(() => server.heldBytes === 0);
  });

  it('counts what waits for a slow sink, and releases it', async () => {
    const { server, client } = await serving(done, {
      accessLog: { ledger: null, opened: () => () => undefined, served: () => new Promise(() => {}) },
    });
    const one = await client();
    const short = framed(messageBytes([entryOf({ request: { path: 'a'.repeat(60_000) } })], 'g'));
    const streams = Array.from({ length: 60 }, (_, n) => FIRST_STREAM + 2 * n);
    for (const stream of streams) {
      await one.send(
        ask(stream, 0, LOG),
        ...inFrames(stream, Buffer.concat([short, short, short, short]), { ends: false }),
      );
      expect(await one.settled()).toBe(true);
    }
    expect(server.heldBytes).toBeGreaterThan(60 * 60_000);
    expect(server.heldBytes).toBeLessThanOrEqual(HELD_BYTES.accessLogs);
    await isServed(one, 1_001);
  });

  it('holds nothing of a log without an incomplete message', async () => {
    const taken: unknown[] = [];
    const { server, client } = await serving(done, {
      accessLog: { ledger: null, opened: () => () => undefined, served: (call) => (taken.push(call), null) },
    });
    const one = await client();
    await one.send(ask(3, 0, LOG), ...inFrames(3, Buffer.concat([message, message]), { ends: false }));
    await until(() => taken.length === 14);
    await until(() => server.heldBytes === 0);
  });
});
