import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../../src/dev/authority.ts';
import type { Down, Up } from '../../../src/core/fleet/messages.ts';
import { methodOf } from '../../../src/core/fleet/service.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { Follower } from '../../../src/sidecar/state/follower.ts';
import { SidecarFeed } from '../../../src/sidecar/state/sidecar-feed.ts';
import { svidOf } from '../../authority/feed/serving.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import { FaultProxy } from '../../fault-proxy.ts';
import { until } from '../../until.ts';

const folder = testFolders();
const closers = closedAfterEach();

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
    orders: false,
  },
};

type Call = ServerDuplexStream<Up, Down>;

/**
 * A follower of an authority that answers as a test says; times pass so many times as fast. Gives the streams that began, and the connections.
 *
 * @param names under how many names it is reached. Default 1
 */
async function followed(times: number, answer: (call: Call, up: Up) => void, names = 1) {
  const path = join(folder(), 'a.sock');
  const paths = Array.from({ length: names }, () => join(folder(), 'proxy.sock'));
  const proxies = await Promise.all(paths.map((at) => FaultProxy.startAt(at, path)));
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
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  let isFresh = false;
  const follower = new Follower({
    feed: new SidecarFeed({ instance: 'instance-1', maxCards: 10 }),
    targets: paths.map((at) => `unix:${at}`),
    answerTime: { boundMs: 250 },
    placeOf: (target) => ({ target, tls: null }),
    hello: () => ({ version: '0.2.0', policy_set: '', log: null }),
    status: () => ({ policy_set: '', policy_generation: 0, unacknowledged_records: 0, last_error: '' }),
    ports: { ...systemPorts, monotonicMs: () => times * performance.now() },
    after: (ms, act) => after(ms / times, act),
    onDown: ({ of }) => (isFresh ||= of === 'fresh'),
    onProblem: () => undefined,
  });
  closers.push(
    ...proxies.map((proxy) => () => proxy.close()),
    () => server.forceShutdown(),
    () => follower.close(),
  );
  follower.start();
  const connections = (): number => proxies.reduce((sum, { accepted }) => sum + accepted, 0);
  return { streams: () => streams, connections, isFresh: () => isFresh };
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

  it('waits as long after one answer, so that the fleet does not leave again and again', async () => {
    let began = 0;
    let pings = 0;
    const { streams } = await followed(10, (call, up) => {
      if (up.of === 'hello') began += 1;
      // Two streams without a word; then one whose first ping is answered, and the next ones after 4 s.
      if (began < 3) return;
      if (up.of === 'hello') call.write(welcome);
      if (up.of !== 'ping') return;
      pings += 1;
      setTimeout(() => fresh(call, up), pings === 1 ? 0 : 4_000 / 10);
    });
    await until(() => pings > 8, { what: 'pings of the third stream, or of more' });
    expect(streams()).toBe(3);
  });

  it('does not count the time in which this process did not run', async () => {
    let pings = 0;
    const { streams } = await followed(4, (call, up) => {
      if (up.of === 'hello') call.write(welcome);
      if (up.of !== 'ping') return;
      pings += 1;
      fresh(call, up);
      // For more than half a lease, and the answer is not read before it is over.
      if (pings === 3) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LEASE_MS / 4);
    });
    await until(() => pings > 6, { what: 'pings after that' });
    expect(streams()).toBe(1);
  });

  it('asks an authority again over the connection there is, if it has asked another authority meanwhile', async () => {
    const { streams, connections } = await followed(20, () => undefined, 2);
    await until(() => streams() >= 4, { what: 'a second stream at each' });
    expect(connections()).toBe(2);
  });

  it('leaves an authority that says nothing within half a lease', async () => {
    const { streams } = await followed(20, (call, up) => {
      if (up.of === 'hello') call.write(welcome);
    });
    await until(() => streams() > 1, { what: 'another stream' });
  });
});

/** Accepts every connection, and sends nothing. */
async function mute() {
  const sockets = new Set<Socket>();
  let [accepted, most] = [0, 0];
  const server = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    most = Math.max(most, sockets.size);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    socket.resume();
  });
  await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, accepted: () => accepted, most: () => most };
}

/** An answer is waited for in parts of this length. */
const SLICE_MS = 250;

describe('a follower of an authority that accepts connections and never answers (issue 37, found)', () => {
  it('tries with waits that grow to 5 s, each first answer bounded, and few connections at once', async () => {
    const { port, accepted, most } = await mute();
    const acme = await createAuthority('acme.test', systemPorts);
    const svid = svidOf(await acme.svid('/ns/prod/sa/tools'), acme);
    const authorityId = mustSpiffeId('spiffe://acme.test/remit');
    const target = `127.0.0.1:${port}`;
    const waits: number[] = [];
    const problems: (string | null)[] = [];
    const follower = new Follower({
      feed: new SidecarFeed({ instance: 'instance-1', maxCards: 10 }),
      targets: [target],
      answerTime: { boundMs: 250 },
      placeOf: () => ({ target, tls: { svid, authorityId } }),
      hello: () => ({ version: '0.2.0', policy_set: '', log: null }),
      status: () => ({ policy_set: '', policy_generation: 0, unacknowledged_records: 0, last_error: '' }),
      // Without jitter.
      ports: { ...systemPorts, randomBytes: (length) => new Uint8Array(length).fill(0xff) },
      // A fiftieth of each wait passes.
      after: (ms, act) => {
        waits.push(Math.round(ms));
        return after(ms / 50, act);
      },
      onDown: () => undefined,
      onProblem: (problem) => problems.push(problem),
    });
    closers.push(() => follower.close());
    follower.start();
    const retries = (): readonly number[] => waits.filter((ms) => ms !== SLICE_MS);
    await until(() => retries().length >= 10, { what: 'ten attempts' });
    follower.close();
    expect(retries().slice(0, 10)).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000]);
    const inVain = `the authority \`${target}\` cannot be followed: no answer in 2000 ms`;
    expect(new Set(problems)).toEqual(new Set([inVain]));
    // The one that is tried, and the one before it whose handshake may still end.
    expect(accepted()).toBeGreaterThanOrEqual(10);
    expect(most()).toBeLessThanOrEqual(3);
  });
});
