import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { openLeaseFile } from '../../../src/serve/state/lease-file.ts';
import { serving } from '../../authority/feed/serving.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { must } from '../../builders/must.ts';
import { until } from '../../until.ts';

const folder = testFolders();

describe('openLeaseFile', () => {
  it('gives the longest lease that a process before may have given, until those are over', () => {
    const state = join(folder(), 'state.db');
    expect(openLeaseFile(state, { leaseMs: 30_000, suffix: 'a' }).longestMs).toBe(30_000);
    // Two restarts within these 30 s.
    expect(openLeaseFile(state, { leaseMs: 5_000, suffix: 'b' }).longestMs).toBe(30_000);
    const third = openLeaseFile(state, { leaseMs: 1_000, suffix: 'c' });
    expect(third.longestMs).toBe(30_000);
    third.formerAreOver();
    expect(openLeaseFile(state, { leaseMs: 500, suffix: 'd' }).longestMs).toBe(1_000);
    expect(statSync(`${state}.lease`).mode & 0o777).toBe(0o600);
  });

  it.each(['', 'soon\n', '-5\n', '5', '999999\n', '1e3\n'])('takes a file with `%j` for the longest lease', (text) => {
    const state = join(folder(), 'state.db');
    writeFileSync(`${state}.lease`, text);
    expect(openLeaseFile(state, { leaseMs: 5_000, suffix: 'a' }).longestMs).toBe(60_000);
    expect(readFileSync(`${state}.lease`, 'utf8')).toBe('60000\n');
  });

  it('throws if it cannot be read, since the lease of the process before is not known', () => {
    const state = join(folder(), 'state.db');
    mkdirSync(`${state}.lease`);
    expect(() => openLeaseFile(state, { leaseMs: 5_000, suffix: 'a' })).toThrow(/EISDIR/);
  });
});

describe('an authority that starts with a smaller lease than the process before', () => {
  it('enforces nothing until the leases of that process are over', async () => {
    const startedMs = performance.now();
    const authority = await serving(folder(), { leaseMs: 100, formerLeaseMs: 1_500 });
    try {
      await until(async () => must(await authority.enforced(['none'])).enforced, {
        what: 'the former leases are over',
      });
      expect(performance.now() - startedMs).toBeGreaterThanOrEqual(1_750);
    } finally {
      await authority.close();
    }
  });
});
