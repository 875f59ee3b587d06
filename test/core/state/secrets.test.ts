import { createHash, createHmac } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { secrets } from '../../../src/cli/secrets.ts';
import { SecretNotes } from '../../../src/core/state/secret-notes.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { commandRun } from '../../builders/command-run.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { must } from '../../builders/must.ts';

const folder = testFolders();

const seen = (n: number) => ({
  digest: `hmac-sha-256:${n}`,
  kind: 'api-key',
  place: 'header x-api-key',
  agent: 'a',
  action: 'b',
});

/** Reports sightings and writes those that are due. */
const noting = () => {
  const notes = new SecretNotes();
  return (store: Store, secretsSeen: readonly ReturnType<typeof seen>[]): void => {
    const due = notes.due(secretsSeen, store.nowMs());
    expect(due.length === 0 ? null : store.writeSecrets(due)).toBeNull();
  };
};

const numbers = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from }, (_, at) => from + at);
/** The numbers of the secrets in the inventory, in order. */
const digestsIn = (store: Store): readonly number[] => {
  const found = must(store.staticSecrets(20_000));
  return found.map(({ digest }) => Number(digest.split(':')[1])).toSorted((a, b) => a - b);
};

describe('the inventory of static secrets', () => {
  it('writes each secret at most once a minute, and counts the sightings in between', async () => {
    const file = join(folder(), 'state.db');
    let nowMs = 1_000_000;
    const note = noting();
    const store = mustOpen(file, { nowMs: () => nowMs });
    for (let n = 0; n < 5; n++) note(store, [seen(1)]);
    expect(store.staticSecrets(10)).toEqual([{ ...seen(1), firstSeenMs: 1_000_000, lastSeenMs: 1_000_000, count: 1 }]);
    nowMs += 60_000;
    note(store, [seen(1)]);
    expect(store.staticSecrets(10)).toMatchObject([{ firstSeenMs: 1_000_000, lastSeenMs: 1_060_000, count: 6 }]);
    store.close();
    const { code, out, err } = await commandRun(secrets.run, ['list', '--state', file]);
    expect([code, err]).toEqual([0, []]);
    expect(out.join('\n')).toMatch(/^hmac-sha-256:1 {2}api-key {2}header x-api-key {2}a {2}b {2}1970-.* {2}6$/);
  });

  it('writes at most ten new secrets a second, and lets the others wait', () => {
    let nowMs = 5_000_000;
    const note = noting();
    const store = mustOpen(join(folder(), 'state.db'), { nowMs: () => nowMs });
    for (let n = 0; n < 30; n++) note(store, [seen(n)]);
    expect(digestsIn(store)).toEqual(numbers(0, 10));
    nowMs += 999;
    note(store, [seen(10)]);
    expect(digestsIn(store)).toEqual(numbers(0, 10));
    nowMs += 1;
    note(
      store,
      Array.from({ length: 30 }, (_, n) => seen(n)),
    );
    expect(digestsIn(store)).toEqual(numbers(0, 20));
    store.close();
  });

  it('keeps 10,000 secrets, and deletes the least recently seen', () => {
    let nowMs = 5_000_000;
    const note = noting();
    const store = mustOpen(join(folder(), 'state.db'), { nowMs: () => nowMs });
    const noted = (from: number, count: number): void => {
      note(
        store,
        Array.from({ length: count }, (_, at) => seen(from + at)),
      );
      nowMs += 1000;
    };
    for (let n = 0; n < 10_000; n += 10) noted(n, 10);
    expect(digestsIn(store)).toEqual(numbers(0, 10_000));
    noted(0, 3);
    noted(10_000, 10);
    // Sightings within one second are equally old: seven of the first ten are deleted, and any three of the second.
    const kept = digestsIn(store);
    expect(kept).toHaveLength(10_000);
    expect(kept.filter((n) => n < 20)).toHaveLength(10);
    expect(kept.filter((n) => n < 10)).toEqual([0, 1, 2]);
    expect(kept.slice(10)).toEqual(numbers(20, 10_010));
    store.close();
  });
});

describe('Store.digestOf', () => {
  const key = new Uint8Array(32).fill(7);

  it('is an HMAC under a key made with the file, and stays the same after a restart', () => {
    const file = join(folder(), 'state.db');
    const expected = `hmac-sha-256:${createHmac('sha256', key).update('hunter2').digest('base64url')}`;
    const store = mustOpen(file, { randomBytes: () => key });
    expect(store.digestOf('hunter2')).toBe(expected);
    store.close();
    const again = mustOpen(file, { randomBytes: (length) => new Uint8Array(length) });
    expect(again.digestOf('hunter2')).toBe(expected);
    expect(again.digestOf('hunter3')).not.toBe(expected);
    again.close();
  });

  it('differs between state files, and is never the plain digest', () => {
    const [one, other] = [0, 1].map(() => mustOpen(join(folder(), 'state.db')));
    const digests = [one?.digestOf('hunter2'), other?.digestOf('hunter2')];
    expect(new Set(digests).size).toBe(2);
    const plain = createHash('sha256').update('hunter2').digest('base64url');
    for (const digest of digests) expect(digest).not.toContain(plain);
    one?.close();
    other?.close();
  });

  it('is the same wherever the file is open', () => {
    const file = join(folder(), 'state.db');
    const [one, other] = [mustOpen(file), mustOpen(file)];
    expect(one.digestOf('hunter2')).toBe(other.digestOf('hunter2'));
    one.close();
    other.close();
  });
});
