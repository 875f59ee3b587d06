import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { secrets } from '../../src/commands/secrets.ts';
import { mustOpen, scratch } from './samples.ts';

const { folder, remove } = scratch();
afterAll(remove);

const seen = (n: number) => ({
  digest: `sha-256:${n}`,
  kind: 'api-key',
  place: 'header x-api-key',
  agent: 'a',
  action: 'b',
});

describe('Store.noteSecrets', () => {
  it('writes each secret once a minute at most, and counts what it did not write', async () => {
    const file = join(folder(), 'state.db');
    let nowMs = 1_000_000;
    const store = mustOpen(file, { nowMs: () => nowMs });
    for (let n = 0; n < 5; n++) store.noteSecrets([seen(1)]);
    expect(store.staticSecrets(10)).toEqual([{ ...seen(1), firstSeenMs: 1_000_000, lastSeenMs: 1_000_000, count: 1 }]);
    nowMs += 60_000;
    store.noteSecrets([seen(1)]);
    expect(store.staticSecrets(10)).toMatchObject([{ firstSeenMs: 1_000_000, lastSeenMs: 1_060_000, count: 6 }]);
    store.close();
    const out: string[] = [];
    const io = { out: (line: string) => out.push(line), err: (line: string) => out.push(line), environment: {} };
    expect(await secrets.run(['list', '--state', file], io as never)).toBe(0);
    expect(out.join('\n')).toMatch(/^sha-256:1 {2}api-key {2}header x-api-key {2}a {2}b {2}1970-.* {2}6$/);
  });

  it('writes ten new ones a second at most', () => {
    const store = mustOpen(join(folder(), 'state.db'));
    for (let n = 0; n < 30; n++) store.noteSecrets([seen(n)]);
    expect(store.staticSecrets(100)).toHaveLength(10);
    store.close();
  });
});
