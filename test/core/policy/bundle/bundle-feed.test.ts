import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { signedBundle } from '../../../../src/core/policy/bundle/bundle.ts';
import { BundleFeed, bundleInFile } from '../../../../src/core/policy/bundle/bundle-feed.ts';
import type { FetchedBundle } from '../../../../src/core/policy/bundle/fetch.ts';
import { policySetFrom } from '../../../../src/core/policy/loading/load.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { systemDisk } from '../../../../src/core/policy/loading/source.ts';
import type { Problem } from '../../../../src/core/runtime/problem.ts';
import { compileHere, folderWith } from '../../../builders/policy-folder.ts';
import { keyPair } from './key-pair.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-bundle-'));
});
afterEach(() => rm(folder, { recursive: true }));

const signer = await keyPair();
const bundle = (
  serial: number,
  {
    id = 'p',
    name = 'prod',
    expiresAtMs = 1000,
    by = signer,
  }: { id?: string; name?: string; expiresAtMs?: number; by?: typeof signer } = {},
) =>
  signedBundle(
    folderWith(`@id("${id}") permit (principal, action, resource);\n`),
    { name, version: `v${serial}`, serial, issuedAtMs: 1, expiresAtMs },
    by.key,
  );

/** A feed of the given bundle, on a given clock; `restarted` returns another with the same disk. */
async function feedOf(keys = () => signer.keys) {
  const clock = { nowMs: 0 };
  const answer: { is: FetchedBundle | Problem; etags: (string | null)[] } = {
    is: { problem: 'is down' },
    etags: [],
  };
  const feed = new BundleFeed({
    label: 'b.jws',
    fetch: async (etag) => {
      answer.etags.push(etag);
      return answer.is;
    },
    trust: () => ({ keys: keys(), name: 'prod', signatures: 1 }),
    keptIn: join(folder, 'kept'),
    ports: { nowMs: () => clock.nowMs, randomBytes: systemPorts.randomBytes },
    load: (source) => policySetFrom(source, { compile: compileHere }),
  });
  await feed.restore();
  const publish = async (text: string, etag: string | null = null) => {
    answer.is = { kind: 'bundle', text, etag };
    await feed.look();
    const loaded = await feed.load();
    return 'findings' in loaded
      ? loaded.findings.map(({ file, message }) => `${file}: ${message}`)
      : loaded.expiresAtMs;
  };
  return { feed, answer, publish, clock };
}

describe('BundleFeed', () => {
  it('loads a bundle and newer bundles, and keeps the last in a file for its owner only', async () => {
    const { publish } = await feedOf();
    expect(await publish(await bundle(1))).toBe(1000);
    const second = await bundle(2, { expiresAtMs: 2000 });
    expect(await publish(second)).toBe(2000);
    expect(await readFile(join(folder, 'kept'), 'utf8')).toBe(second);
    expect((await stat(join(folder, 'kept'))).mode & 0o777).toBe(0o600);
  });

  it('verifies each bundle with the current keys, which a reload may have changed', async () => {
    const successor = await keyPair();
    let keys = signer.keys;
    const { publish } = await feedOf(() => keys);
    const first = await bundle(1);
    const second = await bundle(2, { by: successor });
    expect(await publish(first)).toBe(1000);
    expect(await publish(second)).toEqual([expect.stringMatching(/key|signature/)]);
    keys = successor.keys;
    expect(await publish(second)).toBe(1000);
    expect(await publish(await bundle(3))).toEqual([expect.stringMatching(/key|signature/)]);
  });

  it('refuses an older serial, and a used serial of another bundle', async () => {
    const { publish } = await feedOf();
    const first = await bundle(5);
    expect(await publish(first)).toBe(1000);
    expect(await publish(await bundle(4))).toEqual(['b.jws: the bundle has the serial 4, and 5 was in force']);
    expect(await publish(await bundle(5, { id: 'q' }))).toEqual([
      'b.jws: the bundle has the serial 5 of another bundle that was in force',
    ]);
    expect(await publish(first)).toBe(1000);
  });

  it('refuses an older serial after a restart too', async () => {
    await (await feedOf()).publish(await bundle(5));
    const { publish } = await feedOf();
    expect(await publish(await bundle(4))).toEqual(['b.jws: the bundle has the serial 4, and 5 was in force']);
    expect(await publish(await bundle(6))).toBe(1000);
  });

  it('refuses a bundle older than a bundle that another process has kept in the same file', async () => {
    const [one, other] = [await feedOf(), await feedOf()];
    const [first, second, third] = [await bundle(1), await bundle(2), await bundle(3)];
    expect([await one.publish(first), await other.publish(first)]).toEqual([1000, 1000]);
    expect(await one.publish(third)).toBe(1000);
    expect(await other.publish(second)).toEqual(['b.jws: the bundle has the serial 2, and 3 was in force']);
    expect(await readFile(join(folder, 'kept'), 'utf8')).toBe(third);
    expect(await Promise.all([one, other].map(({ publish }) => publish(third)))).toEqual([1000, 1000]);
  });

  it('keeps a whole file if two processes write at once', async () => {
    const feeds = [await feedOf(), await feedOf(), await feedOf()];
    for (let serial = 1; serial <= 5; serial += 1) {
      const text = await bundle(serial);
      expect(await Promise.all(feeds.map(({ publish }) => publish(text)))).toEqual([1000, 1000, 1000]);
      expect(await readFile(join(folder, 'kept'), 'utf8')).toBe(text);
    }
    expect(await readdir(folder)).toEqual(['kept']);
  });

  it('syncs the kept file, and after its rename the folder', async () => {
    const { publish } = await feedOf();
    const handle = await open(folder);
    // Each handle of the process has this prototype.
    const handles = Object.getPrototypeOf(handle) as FileHandle;
    const own = Object.getOwnPropertyDescriptor(handles, 'sync') ?? {};
    const synced: [isFolder: boolean, names: readonly string[]][] = [];
    const value = async function syncSeen(this: FileHandle): Promise<void> {
      synced.push([(await this.stat()).isDirectory(), await readdir(folder)]);
      await this.datasync();
    };
    Object.defineProperty(handles, 'sync', { ...own, value });
    try {
      expect(await publish(await bundle(1))).toBe(1000);
    } finally {
      Object.defineProperty(handles, 'sync', own);
      await handle.close();
    }
    expect(synced).toEqual([
      [false, [expect.stringMatching(/^kept\.[0-9a-f]{12}$/)]],
      [true, ['kept']],
    ]);
  });

  it('leaves nothing of a bundle that cannot be kept', async () => {
    const { publish } = await feedOf();
    await mkdir(join(folder, 'kept', 'x'), { recursive: true });
    expect(await publish(await bundle(1))).toEqual([expect.stringContaining('could not be kept in')]);
    expect(await readdir(folder)).toEqual(['kept']);
  });

  it('uses the kept bundle while the address does not answer', async () => {
    await (await feedOf()).publish(await bundle(5));
    const { feed } = await feedOf();
    expect(await feed.look()).toEqual({ problem: 'the bundle `b.jws` is down' });
    expect(await feed.load()).toMatchObject({ ready: true, expiresAtMs: 1000 });
  });

  it('falls back to the kept bundle if the fetched bundle is refused, once', async () => {
    await (await feedOf()).publish(await bundle(5));
    const { feed, publish } = await feedOf();
    expect(feed.fallBack()).toBe(false);
    expect(await publish(await bundle(4))).toEqual(['b.jws: the bundle has the serial 4, and 5 was in force']);
    expect(feed.fallBack()).toBe(true);
    expect(await feed.load()).toMatchObject({ ready: true });
    expect(feed.fallBack()).toBe(false);
  });

  it('has no set before the first bundle, and ignores a kept bundle that no key verifies', async () => {
    await writeFile(
      join(folder, 'kept'),
      await signedBundle(
        folderWith(''),
        { name: 'prod', version: 'v', serial: 9, issuedAtMs: 1, expiresAtMs: 2 },
        (await keyPair()).key,
      ),
    );
    const { feed } = await feedOf();
    expect(await feed.load()).toMatchObject({ findings: [{ message: 'the bundle has not been fetched yet' }] });
  });

  it('keeps the set in force if a newer bundle has expired, and loads an expired bundle only if there is none', async () => {
    const { publish, clock } = await feedOf();
    clock.nowMs = 1000;
    expect(await publish(await bundle(1))).toBe(1000);
    expect(await publish(await bundle(2))).toEqual(['b.jws: the bundle expired at 1970-01-01T00:00:01.000Z']);
    expect(await publish(await bundle(3, { expiresAtMs: 1001 }))).toBe(1001);
  });

  it('reports the findings of a signed bundle, whose serial does not count', async () => {
    const { publish } = await feedOf();
    const bad = await signedBundle(
      folderWith('permit (principal, action, resource);'),
      { name: 'prod', version: 'v', serial: 9, issuedAtMs: 1, expiresAtMs: 2 },
      signer.key,
    );
    expect(await publish(bad)).toEqual(['b.jws/a.cedar: the policy lacks an `@id`']);
    expect(await publish(await bundle(1))).toBe(1000);
  });

  it('refuses a bundle that cannot be kept', async () => {
    const { publish } = await feedOf();
    const text = await bundle(1);
    await rm(folder, { recursive: true });
    expect(await publish(text)).toEqual([`b.jws: the bundle could not be kept in \`${folder}/kept\`: ENOENT`]);
    await rm(folder, { recursive: true, force: true });
    folder = await mkdtemp(join(tmpdir(), 'remit-bundle-'));
  });

  it('asks with the ETag of the last answer', async () => {
    const { feed, answer, publish } = await feedOf();
    await publish(await bundle(1), '"one"');
    const stamp = await feed.look();
    answer.is = { kind: 'unchanged' };
    expect(await feed.look()).toBe(stamp);
    expect(answer.etags).toEqual([null, '"one"', '"one"']);
  });
});

describe('bundleInFile', () => {
  it('reads the file, or says why not', async () => {
    const file = join(folder, 'b.jws');
    expect(await bundleInFile(file, systemDisk)(null)).toEqual({ problem: 'could not be read: ENOENT' });
    await writeFile(file, 'x');
    expect(await bundleInFile(file, systemDisk)(null)).toEqual({ kind: 'bundle', text: 'x', etag: null });
    expect(await bundleInFile(folder, systemDisk)(null)).toEqual({
      problem: 'must be a regular file of at most 16777216 bytes',
    });
  });
});
