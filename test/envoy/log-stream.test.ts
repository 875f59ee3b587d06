import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { framed } from '../../src/envoy/grpc-messages.ts';
import { ACCESS_LOG_PATH } from '../../src/envoy/proto.ts';
import { AuthorizationServer } from '../../src/envoy/server.ts';
import { RawClient } from '../http2/raw-client.ts';
import { ask, data, requestOf } from '../http2/requests.ts';
import { entryOf, messageBytes } from './access-log-samples.ts';
import { oneByOne } from './handlers.ts';
import { refuse } from './wire.ts';
import { must } from '../builders/must.ts';

const turns = async (): Promise<void> => {
  for (let n = 0; n < 50; n += 1) await new Promise((resolve) => setImmediate(resolve));
};
const MESSAGE = framed(messageBytes([entryOf()], 'g'));
const HALF = MESSAGE.subarray(0, 40);
const REST = MESSAGE.subarray(40);
const LOG = requestOf(ACCESS_LOG_PATH, { 'content-type': 'application/grpc' });
const textOf = (client: RawClient): string =>
  client
    .of(1)
    .map(({ payload }) => payload.toString('latin1'))
    .join(' ');

describe('timeouts of an access log', () => {
  const clock = { ms: 0 };
  let server: AuthorizationServer;
  let client: RawClient;
  let taken = 0;
  const elapse = async (ms: number): Promise<void> => {
    clock.ms += ms;
    jest.advanceTimersByTime(ms);
    await turns();
  };
  const sends = async (bytes: Buffer): Promise<void> => {
    await client.send(data(1, bytes));
    await client.settled();
    await turns();
  };
  beforeEach(async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance', 'hrtime', 'Date'] });
    taken = 0;
    server = new AuthorizationServer(
      oneByOne(() => Buffer.of(1)),
      {
        refuse,
        monotonicMs: () => clock.ms,
        accessLog: { opened: () => () => undefined, served: () => ((taken += 1), null) },
      },
    );
    const bound = must(await server.listen(['127.0.0.1:0']));
    client = await RawClient.to(Number(bound[0]?.split(':')[1]));
    await client.send(ask(1, 0, LOG));
    await client.settled();
  });
  afterEach(async () => {
    client.close();
    jest.useRealTimers();
    await server.close(0);
  });

  it('has 30 s for the rest of a message, however slowly it arrives', async () => {
    await sends(Buffer.concat([MESSAGE, HALF]));
    for (let n = 0; n < 29; n += 1) {
      await sends(REST.subarray(n, n + 1));
      await elapse(1_000);
    }
    expect([textOf(client), server.heldBytes > 0]).toEqual(['', true]);
    await elapse(1_000);
    expect(textOf(client)).toMatch(/the rest of a message did not come/);
    expect([server.heldBytes, taken]).toEqual([0, 1]);
  });

  it('may be silent between messages for any time', async () => {
    for (let n = 0; n < 5; n += 1) {
      await sends(HALF);
      await elapse(20_000);
      await sends(REST);
      await elapse(100_000);
    }
    expect([textOf(client), server.heldBytes, taken]).toEqual(['', 0, 5]);
  });
});
