import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import type { Down, Up } from '../../../src/fleet/messages.ts';
import { methodOf } from '../../../src/fleet/service.ts';
import { systemPorts } from '../../../src/runtime/ports.ts';
import { after } from '../../../src/runtime/timers.ts';
import { Follower } from '../../../src/state/remote/follower.ts';
import { SidecarFeed } from '../../../src/state/remote/sidecar-feed.ts';
import { scratch } from '../../builders/scratch.ts';
import { until } from '../../until.ts';

const { folder, remove } = scratch();
afterAll(remove);
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const LEASE_MS = 5_000;
const welcome: Down = {
  of: 'welcome',
  welcome: {
    version: '0.2.0',
    position: { epoch: 'e', seq: 0, mark: '' },
    lease_ms: LEASE_MS,
    ping_ms: 1_000,
    digest_key: Buffer.alloc(32),
    issuer: 'https://issuer.acme.test',
    now_ms: 0,
  },
};

type Call = ServerDuplexStream<Up, Down>;

/** A follower of an authority that answers as a test says; times pass so many times as fast. Gives the streams that began. */
async function followed(times: number, answer: (call: Call, up: Up) => void) {
  const target = `unix:${join(folder(), 'a.sock')}`;
  const server = new Server();
  let streams = 0;
  server.addService(
    { Follow: methodOf('Follow') },
    {
      Follow: (call: Call) => {
        streams += 1;
        call.on('error', () => undefined).on('data', (up: Up) => answer(call, up));
      },
    },
  );
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(target, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  );
  let isFresh = false;
  const follower = new Follower({
    feed: new SidecarFeed({ instance: 'instance-1', maxCards: 10 }),
    targets: [target],
    answerTime: { boundMs: 250 },
    placeOf: () => ({ target, tls: null }),
    hello: () => ({ version: '0.2.0', policy_set: '', log: null }),
    status: () => ({ policy_set: '', policy_generation: 0, unacknowledged_records: 0, last_error: '' }),
    ports: { ...systemPorts, monotonicMs: () => times * performance.now() },
    after: (ms, act) => after(ms / times, act),
    onDown: ({ of }) => (isFresh ||= of === 'fresh'),
    onProblem: () => undefined,
  });
  closers.push(
    () => server.forceShutdown(),
    () => follower.close(),
  );
  follower.start();
  return { streams: () => streams, isFresh: () => isFresh };
}

/** The answer to a ping. */
const fresh = (call: Call, up: Up, seq = 0): void => {
  if (up.of === 'ping')
    call.write({ of: 'fresh', fresh: { n: up.ping.n, position: { epoch: 'e', seq, mark: '' }, now_ms: 0 } });
};

describe('a follower of a starved authority (issue 37, point 13)', () => {
  it('waits longer each time, so that an authority which needs 5 s for each stream is followed', async () => {
    const { isFresh } = await followed(20, (call, up) => {
      if (up.of === 'hello') setTimeout(() => call.write(welcome), 5_000 / 20);
      else fresh(call, up);
    });
    await until(isFresh, { what: 'an answer to a ping' });
  });

  it('keeps a stream that still brings something, although no ping is answered for more than a lease', async () => {
    const { streams, isFresh } = await followed(2, (call, up) => {
      if (up.of === 'hello') {
        call.write(welcome);
        const began = performance.now();
        let seq = 0;
        const more = setInterval(() => {
          call.write({ of: 'changes', changes: { from: seq, to: (seq += 1), cards: [], at: seq, gone: [], mark: '' } });
          if (performance.now() - began > (LEASE_MS + 1_000) / 2) call.on('data', (next: Up) => fresh(call, next, seq));
        }, 200);
        closers.push(() => clearInterval(more));
      }
    });
    await until(isFresh, { what: 'an answer to a ping' });
    expect(streams()).toBe(1);
  });

  it('leaves an authority that says nothing within half a lease', async () => {
    const { streams } = await followed(20, (call, up) => {
      if (up.of === 'hello') call.write(welcome);
    });
    await until(() => streams() > 1, { what: 'another stream' });
  });
});
