import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type GrpcMethod, unread } from '../../../../src/sidecar/envoy/grpc/grpc-call.ts';
import { GrpcServer } from '../../../../src/sidecar/envoy/grpc/grpc-server.ts';
import { ErrorCode, Flag } from '../../../../src/sidecar/http2/frame.ts';
import { literal } from '../../http2/hpack.ts';
import { RawClient, reset, widened } from '../../http2/raw-client.ts';
import { ask, data, requestOf } from '../../http2/requests.ts';

const TYPE = { 'content-type': 'application/grpc' };
/** Timers of the server: connections have none after their prefaces. */
const timers = () => jest.getTimerCount();
const turns = async (): Promise<void> => {
  for (let n = 0; n < 50; n += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe('GrpcServer with calls answered before their clients half-close', () => {
  const clock = { ms: 0 };
  let server: GrpcServer;
  let client: RawClient;
  const elapse = async (ms: number): Promise<void> => {
    clock.ms += ms;
    jest.advanceTimersByTime(ms);
    await turns();
  };
  beforeEach(async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance', 'hrtime', 'Date'] });
    const large = Buffer.alloc(100_000);
    const methods = new Map<string, GrpcMethod>([
      [
        '/large',
        (call) => {
          call.end(large);
          return unread(call);
        },
      ],
    ]);
    server = new GrpcServer(methods, { monotonicMs: () => clock.ms });
    const bound = await server.listen('127.0.0.1:0');
    if (typeof bound !== 'string') throw new Error(bound.problem);
    client = await RawClient.to(Number(bound.split(':')[1]));
    await client.settled();
  });
  afterEach(async () => {
    client.close();
    jest.useRealTimers();
    await server.close(0);
  });

  it('resets each 200 ms later, with one timer for all', async () => {
    await client.send(...Array.from({ length: 100 }, (_, n) => ask(1 + 2 * n, 0)));
    await turns();
    expect(timers()).toBe(1);
    await elapse(199);
    expect(client.resetCode(1)).toBeNull();
    await elapse(1);
    expect([client.resetCode(1), client.resetCode(199), timers()]).toEqual([ErrorCode.none, ErrorCode.none, 0]);
  });

  it('does not wait for clients that have half-closed or disconnected', async () => {
    await client.send(ask(1, 0), ask(3, 0), ask(5, 0), data(1, 0, Flag.endStream), reset(3));
    await turns();
    await elapse(200);
    expect([1, 3, 5].map((stream) => client.resetCode(stream))).toEqual([null, null, ErrorCode.none]);
  });

  it('does not reset a stream whose client has not read the answer yet', async () => {
    await client.send(ask(1, 0, requestOf('/large', TYPE)));
    await turns();
    await elapse(1_000);
    expect(client.resetCode(1)).toBeNull();
    await client.send(widened(0, 100_000), widened(1, 100_000));
    await turns();
    expect(client.content(1).length).toBe(100_005);
    await elapse(200);
    expect(client.resetCode(1)).toBe(ErrorCode.none);
  });

  it('leaves no timer when it is closed', async () => {
    await client.send(ask(1, 0, Buffer.concat([requestOf('/none', TYPE), literal('x', 'y')])));
    await turns();
    expect(timers()).toBe(1);
    client.close();
    const closed = server.close(0);
    for (let n = 0; n < 10; n += 1) await elapse(1);
    await closed;
    expect(timers()).toBe(0);
  });
});
