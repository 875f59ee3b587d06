import { describe, expect, it } from '@jest/globals';
import { durabilityProblems } from '../../../../src/authority/state/postgres/durability.ts';
import type { ServerFacts } from '../../../../src/authority/state/postgres/durability.ts';

const good: ServerFacts = {
  version: 170_010,
  encoding: 'UTF8',
  isStandby: false,
  fsync: 'on',
  fullPageWrites: 'on',
  synchronousCommit: 'on',
  standbyNames: 'ANY 1 (b, c)',
  synchronousStandbys: 2,
  nowMs: 1_000_000,
};

describe('durabilityProblems', () => {
  it('has none for a quorum, nor for one server without standbys', () => {
    expect(durabilityProblems(good, 'quorum', 1_004_000)).toEqual([]);
    const single = { ...good, standbyNames: '', synchronousStandbys: 0, synchronousCommit: 'local' };
    for (const durability of ['managed', 'single'] as const) {
      expect(durabilityProblems(single, durability, 1_000_000)).toEqual([]);
    }
  });

  it.each<readonly [string, Partial<ServerFacts>, string]>([
    ['an old version', { version: 140_012 }, 'PostgreSQL 14 is too old: 15 or later is required'],
    ['another encoding', { encoding: 'SQL_ASCII' }, 'the database has the encoding `SQL_ASCII`'],
    ['a standby', { isStandby: true }, 'the server is a standby'],
    ['no fsync', { fsync: 'off' }, '`fsync` is `off`: set it to `on`'],
    ['no full pages', { fullPageWrites: 'off' }, '`full_page_writes` is `off`'],
    ['commits that are not written', { synchronousCommit: 'off' }, '`synchronous_commit` is `off`'],
    ['commits of a single server', { synchronousCommit: 'local' }, '`synchronous_commit` is `local`'],
    [
      'standbys that may lose a commit',
      { synchronousCommit: 'remote_write' },
      '`synchronous_commit` is `remote_write`',
    ],
    ['no named standby', { standbyNames: '' }, '`synchronous_standby_names` is empty'],
    ['no connected standby', { synchronousStandbys: 0 }, 'no synchronous standby is connected'],
    [
      'standbys that are hidden',
      { synchronousStandbys: null },
      'the role may not see the standbys: `GRANT pg_monitor` to it',
    ],
    ['another time', { nowMs: 4_600_000 }, 'the clocks of this machine and of the database differ by 3600 s'],
  ])('tells %s, once', (_what, change, problem) => {
    expect(durabilityProblems({ ...good, ...change }, 'quorum', 1_000_000)).toEqual([expect.stringContaining(problem)]);
  });
});
