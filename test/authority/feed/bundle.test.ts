import { join } from 'node:path';
import { Client, credentials, status } from '@grpc/grpc-js';
import { describe, expect, it } from '@jest/globals';
import type { ServedBundle } from '../../../src/authority/feed/bundle-handler.ts';
import { methodOf } from '../../../src/core/fleet/service.ts';
import { BundleFeed, bundleDigestOf } from '../../../src/core/policy/bundle/bundle-feed.ts';
import { signedBundle } from '../../../src/core/policy/bundle/bundle.ts';
import { policySetFrom } from '../../../src/core/policy/loading/load.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { AuthorityLink } from '../../../src/sidecar/state/authority-link.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { compileHere, folderWith } from '../../builders/policy-folder.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { keyPair } from '../../core/policy/bundle/key-pair.ts';
import { until } from '../../until.ts';
import { heldSvid, serving, svidOf, trustDomain } from './serving.ts';
import { openSidecar } from '../../builders/sidecar-state.ts';

const folder = testFolders();
const closers = closedAfterEach();

const signer = await keyPair();
const thief = await keyPair();
const HOUR_MS = 3_600_000;
const signed = (serial: number, by = signer): Promise<string> =>
  signedBundle(
    folderWith(`@id("p${serial}") permit (principal, action, resource);\n`),
    { name: 'prod', version: `v${serial}`, serial, issuedAtMs: 1, expiresAtMs: Date.now() + HOUR_MS },
    by.key,
  );
const served = (text: string, serial = 1): ServedBundle => ({ serial, digest: bundleDigestOf(text), text });

async function authority(bundle: () => ServedBundle | null, change: Parameters<typeof serving>[1] = {}) {
  const started = await serving(folder(), { bundle, ...change });
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await started.close();
    isOpen = false;
  };
  closers.push(close);
  return { ...started, close };
}

/** A sidecar whose policies are the bundle of its authority. */
async function sidecar(targets: readonly string[]) {
  const state = openSidecar(targets);
  closers.push(() => state.close());
  const fetched: string[] = [];
  const feed = new BundleFeed({
    label: 'authority',
    fetch: async (etag) => {
      const found = await state.bundle.fetch(etag);
      fetched.push(isProblem(found) ? found.problem : found.kind);
      return found;
    },
    trust: () => ({ keys: signer.keys, name: 'prod', signatures: 1 }),
    keptIn: join(folder(), 'kept'),
    ports: systemPorts,
    load: (source) => policySetFrom(source, { compile: compileHere }),
  });
  /** Looks, and loads: the serial in force, and what was found wrong. */
  const followed = async () => {
    const looked = await feed.look();
    if (isProblem(looked)) return looked.problem;
    const loaded = await feed.load();
    return 'findings' in loaded ? loaded.findings.map(({ message }) => message) : (loaded.bundle?.serial ?? null);
  };
  return { feed, followed, fetched };
}

function link(place: ConstructorParameters<typeof AuthorityLink>[0]): AuthorityLink {
  const made = new AuthorityLink(place);
  closers.push(() => made.close());
  return made;
}

const bounds = { maxBytes: 16 * 1024 ** 2, timeoutMs: 30_000 };

// Those that mostly wait run concurrently; the others come after them.
describe('the signed policy bundle of an authority', () => {
  it.concurrent(
    'is in force at a sidecar that trusts its key, and is asked for only if another bundle was announced',
    async () => {
      let bundle = served(await signed(1));
      const { targets } = await authority(() => bundle);
      const { followed, fetched } = await sidecar(targets);
      expect(await followed()).toBe(1);
      expect([await followed(), fetched]).toEqual([1, ['bundle', 'unchanged']]);
      bundle = served(await signed(2), 2);
      await until(async () => (await followed()) === 2, { what: 'the next bundle' });
      expect(fetched.filter((kind) => kind === 'bundle')).toHaveLength(2);
    },
  );

  it.concurrent(
    'is refused if another key has signed it, or its serial is older, and the last good bundle stays',
    async () => {
      let bundle = served(await signed(2), 2);
      const { targets } = await authority(() => bundle);
      const { feed, followed } = await sidecar(targets);
      expect(await followed()).toBe(2);
      for (const [next, problem] of [
        [served(await signed(3, thief), 3), 'the bundle is signed with a key that is not trusted'],
        [served(await signed(1)), 'the bundle has the serial 1, and 2 was in force'],
      ] as const) {
        bundle = next;
        await until(async () => String(await followed()) === problem, { what: problem });
        expect(feed.inForce?.serial).toBe(2);
      }
      bundle = served(await signed(4), 4);
      await until(async () => (await followed()) === 4, { what: 'a good one' });
    },
  );

  it.concurrent('is not confirmed while no authority is followed, and stays in force', async () => {
    const bundle = served(await signed(1));
    const listen = [{ kind: 'unix', path: join(folder(), 'a.sock') }] as const;
    const { targets, close } = await authority(() => bundle, { listen });
    const { feed, followed } = await sidecar(targets);
    expect(await followed()).toBe(1);
    await close();
    const away = 'the bundle `authority` could not be fetched: no authority is followed';
    await until(async () => (await followed()) === away, { what: 'the end of the stream' });
    expect(feed.inForce?.serial).toBe(1);
    const again = await authority(() => bundle, { listen });
    await until(async () => (await followed()) === 1, { what: 'a new stream' });
    await again.close();
  });

  it.concurrent('is said to be missing if the authority has its policies from a folder', async () => {
    const { targets } = await authority(() => null);
    const { followed } = await sidecar(targets);
    expect(await followed()).toMatch(/the authority has none: set its `policies.bundle`/);
  });

  it('comes in parts if it is longer than a message, and no further than the sidecar takes', async () => {
    const text = 'x'.repeat(9 * 1024 ** 2);
    const { targets } = await authority(() => served(text));
    const one = link({ target: targets[0] ?? '', tls: null });
    expect((await one.bundle('', bounds)) === text).toBe(true);
    expect(await one.bundle(bundleDigestOf(text), bounds)).toBe('');
    expect(await one.bundle('', { ...bounds, maxBytes: 1024 })).toEqual({ problem: 'is larger than 1024 bytes' });
  });

  it('is sent to a bounded number of clients that do not read, who hold up others no longer than they stay', async () => {
    const text = 'x'.repeat(9 * 1024 ** 2);
    const { targets } = await authority(() => served(text));
    const { path, requestSerialize, responseDeserialize } = methodOf('Bundle');
    const clients = [1, 2].map(() => {
      const settings = { 'grpc.use_local_subchannel_pool': 1, 'grpc.max_receive_message_length': -1 };
      return new Client(targets[0] ?? '', credentials.createInsecure(), settings);
    });
    closers.push(() => clients.forEach((client) => client.close()));
    let refused = 0;
    const calls = clients.flatMap((client) =>
      Array.from({ length: 90 }, () => {
        // Nothing reads it.
        const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { digest: '' });
        call.on('error', () => undefined);
        call.on('status', ({ code }) => {
          if (code === status.RESOURCE_EXHAUSTED) refused += 1;
        });
        return call;
      }),
    );
    await until(() => refused === 180 - 128, { what: 'the refusals' });
    const one = link({ target: targets[0] ?? '', tls: null });
    expect(await one.bundle('', bounds)).toEqual({
      problem: expect.stringContaining('too many bundles are being sent'),
    });
    for (const call of calls) call.cancel();
    await until(async () => (await one.bundle('', bounds)) === text, { what: 'the bundle' });
  });

  it('is not sent to a client that no rule admits', async () => {
    const acme = await trustDomain('acme.test');
    const own = heldSvid(svidOf(await acme.svid('/remit', { ips: ['127.0.0.1'] }), acme));
    const listen = [{ kind: 'tcp', host: '127.0.0.1', port: 0 }] as const;
    const { targets } = await authority(() => served('text'), { listen, svid: own });
    const authorityId = own.current()?.id;
    if (authorityId === undefined) throw new Error('no svid');
    const as = async (path: string) =>
      link({ target: targets[0] ?? '', tls: { svid: svidOf(await acme.svid(path), acme), authorityId } });
    expect(await (await as('/ns/prod/sa/tools-1')).bundle('', bounds)).toBe('text');
    expect(await (await as('/ns/agents/sa/planner')).bundle('', bounds)).toEqual({
      problem: expect.stringMatching(/^could not be fetched: PERMISSION_DENIED/),
    });
  });
});
