import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { framed } from '../../../../src/sidecar/envoy/grpc/grpc-messages.ts';
import { ACCESS_LOG_PATH } from '../../../../src/sidecar/envoy/proto.ts';
import { AuthorizationServer } from '../../../../src/sidecar/envoy/server.ts';
import { FrameType } from '../../../../src/sidecar/http2/frame.ts';
import { RawClient, reset } from '../../http2/raw-client.ts';
import { ask, data, requestOf } from '../../http2/requests.ts';
import { decided, entryOf, messageBytes, metadataOf } from '../access-log-samples.ts';
import { oneByOne } from '../handlers.ts';
import { refuse } from '../wire.ts';
import { must } from '../../../builders/must.ts';

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

/** A message about a call that the process with a ledger decided. */
const messageFor = (ledger: string): Buffer => {
  const { 'envoy.filters.http.ext_authz': values } = decided;
  const metadata = metadataOf({ 'envoy.filters.http.ext_authz': { ...values, ledger } });
  return framed(messageBytes([entryOf({ common: { metadata } })], 'g'));
};

describe('a stream of the access log', () => {
  const clock = { ms: 0 };
  let server: AuthorizationServer;
  let client: RawClient;
  let taken = 0;
  let left = 0;
  let ledger: string | null = null;
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
    [taken, left, ledger] = [0, 0, 'remit-1'];
    server = new AuthorizationServer(
      oneByOne(() => Buffer.of(1)),
      {
        refuse,
        monotonicMs: () => clock.ms,
        accessLog: {
          get ledger() {
            return ledger;
          },
          opened: () => () => void (left += 1),
          served: () => ((taken += 1), null),
        },
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

  it('is ended if it brings only what another process decided, and what still comes on it is read', async () => {
    await sends(MESSAGE);
    expect([textOf(client), taken]).toEqual(['', 1]);
    await sends(Buffer.concat([messageFor('remit-2'), MESSAGE]));
    expect(textOf(client)).toMatch(/grpc-status.?\W*0$/);
    await sends(messageFor('remit-2'));
    expect([taken, left]).toEqual([4, 0]);
    await client.send(reset(1));
    await client.settled();
    await turns();
    expect([server.heldBytes, left]).toEqual([0, 1]);
  });

  it('stays if it has brought what this process decided, as a log that all processes share', async () => {
    await sends(Buffer.concat([messageFor('remit-1'), messageFor('remit-2'), messageFor('remit-2')]));
    await elapse(60_000);
    expect([textOf(client), taken, left]).toEqual(['', 3, 0]);
  });

  it('stays at a process that has no others beside it', async () => {
    ledger = null;
    await sends(messageFor('remit-2'));
    await elapse(60_000);
    expect([textOf(client), taken, left]).toEqual(['', 1, 0]);
  });

  it('is reset if its client does not leave it', async () => {
    await sends(messageFor('remit-2'));
    await elapse(60_000);
    expect(left).toBe(1);
    expect(client.of(1).at(-1)?.type).toBe(FrameType.reset);
  });
});
