import { describe, expect, it } from '@jest/globals';
import { Flag } from '../../../src/sidecar/http2/frame.ts';
import { heldBytes } from '../../costs.ts';
import { literal } from '../http2/hpack.ts';
import { frame, type RawClient } from '../http2/raw-client.ts';
import { ask, data, requestOf } from '../http2/requests.ts';
import { until } from '../../until.ts';
import { checkBegun, done, FIRST_STREAM, rawStage, wholeCheck } from './raw-checks.ts';
import { readAsEnvoy } from './protos.ts';
import { refuse } from './wire.ts';

const serving = rawStage();

const streams = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => FIRST_STREAM + 2 * n);
const beginAll = (client: RawClient, count: number): Promise<void> =>
  client.send(...streams(count).map((stream) => checkBegun(stream)));
const reasonsOf = (client: RawClient, count: number): readonly (string | undefined)[] =>
  streams(count)
    .filter((stream) => client.content(stream).length > 0)
    .map((stream) => readAsEnvoy(client.content(stream).subarray(5)).status?.message);

describe('AuthorizationServer and open calls', () => {
  it('denies the oldest beyond 16,384, but none that waits for its answer', async () => {
    const answer: { now: () => void } = { now: () => undefined };
    const { server, client } = await serving((bytes) =>
      bytes.length === 5 ? done(bytes, never) : new Promise((resolve) => (answer.now = () => resolve(bytes))),
    );
    const first = await client();
    await first.send(wholeCheck(FIRST_STREAM, Buffer.from('waiting')));
    await until(() => server.inFlight === 1);
    const clients: RawClient[] = [];
    for (let n = 0; n < 17; n += 1) {
      const one = await client();
      await beginAll(one, 1_000);
      expect(await one.settled()).toBe(true);
      clients.push(one);
    }
    const oldest = clients[0] ?? first;
    await until(() => reasonsOf(oldest, 1_000).length === 17_000 - 16_384);
    expect(new Set(reasonsOf(oldest, 1_000))).toEqual(new Set(['overloaded']));
    expect(oldest.resetCode(FIRST_STREAM)).not.toBeNull();
    // A complete check is still served, and a waiting one is answered.
    await first.send(wholeCheck(FIRST_STREAM + 2, Buffer.from('whole')));
    await first.until((one) => one.content(FIRST_STREAM + 2).includes('done 5'));
    answer.now();
    await first.until((one) => one.content(FIRST_STREAM).includes('waiting'));
    expect(reasonsOf(oldest, 1_000).length).toBeLessThan(17_000 - 16_384 + 3);
  });

  it('answers thousands with the same deadline a few at a time', async () => {
    const clock = { ms: 0 };
    const answered = { inAll: 0, inTurn: 0, inOneTurn: 0 };
    const turn = (): void => {
      answered.inAll += answered.inTurn;
      answered.inOneTurn = Math.max(answered.inOneTurn, answered.inTurn);
      answered.inTurn = 0;
    };
    const { client } = await serving(done, {
      monotonicMs: () => clock.ms,
      refuse: (cause) => {
        if (cause === 'deadline') answered.inTurn += 1;
        return refuse(cause);
      },
    });
    const clients = await Promise.all(Array.from({ length: 16 }, client));
    for (const one of clients) await beginAll(one, 1_000);
    for (const one of clients) expect(await one.settled()).toBe(true);
    clock.ms = 60_001;
    await everyTurn(turn, () => until(() => answered.inAll === 16_000));
    expect(answered.inOneTurn).toBeLessThanOrEqual(256);
    for (const one of clients) await one.until(() => reasonsOf(one, 1_000).length === 1_000);
  });

  it('keeps no long trace context of an open call', async () => {
    const seen: (string | null)[] = [];
    const { client } = await serving((bytes, { traceparent }) => {
      seen.push(traceparent);
      return done(bytes, never);
    });
    const one = await client();
    const before = await heldBytes();
    await one.send(...streams(500).map((stream) => checkBegun(stream, traced(10_000))));
    expect(await one.settled()).toBe(true);
    expect(((await heldBytes()) - before) / 500).toBeLessThan(4_000);
    const message = data(2_001, Buffer.alloc(5), Flag.endStream);
    await one.send(checkBegun(2_001, traced(512)), message);
    await one.until(() => one.content(2_001).length > 0);
    expect(seen).toEqual(['a'.repeat(512)]);
  });
});

/** Runs `turn` in each turn of the event loop while `wait` is pending. */
async function everyTurn(turn: () => void, wait: () => Promise<unknown>): Promise<void> {
  let next: NodeJS.Immediate;
  const again = (): void => {
    turn();
    next = setImmediate(again);
  };
  next = setImmediate(again);
  try {
    await wait();
  } finally {
    clearImmediate(next);
  }
}

const traced = (length: number) => literal('traceparent', 'a'.repeat(length));
const isRefused = (client: RawClient, stream: number) => client.of(stream).length > 0;
const never = { traceparent: null, deadlineMs: 0, signal: { aborted: false } };

describe('AuthorizationServer and open health checks', () => {
  const HEALTH = requestOf('/grpc.health.v1.Health/Check', { 'content-type': 'application/grpc' });

  it('keeps only what each has sent', async () => {
    const { client } = await serving(done);
    const one = await client();
    const passed = frame(0xee, { payload: Buffer.alloc(16_384) });
    const before = await heldBytes();
    for (const stream of streams(400)) await one.send(ask(stream, 0, HEALTH), data(stream, 4), passed, passed, passed);
    expect(await one.settled()).toBe(true);
    expect(((await heldBytes()) - before) / 400).toBeLessThan(8_000);
  });

  it('refuses the oldest beyond 1,024', async () => {
    const { client } = await serving(done);
    const one = await client();
    const other = await client();
    await one.send(...streams(1_000).map((stream) => ask(stream, 0, HEALTH)));
    await one.settled();
    await other.send(...streams(50).map((stream) => ask(stream, 0, HEALTH)));
    await other.settled();
    expect(streams(1_000).filter((stream) => isRefused(one, stream))).toEqual(streams(26));
    await other.send(ask(201, 0, HEALTH), data(201, Buffer.alloc(5), Flag.endStream));
    await other.until(() => other.content(201).length > 0);
  });
});
