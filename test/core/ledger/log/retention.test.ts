import { cpSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { recordBytesIn } from '../../../../src/core/ledger/proof/leaf.ts';
import type { LedgerRecord } from '../../../../src/core/ledger/record.ts';
import { SegmentLog } from '../../../../src/core/ledger/log/log.ts';
import { readLog } from '../../../../src/core/ledger/log/log-reader.ts';
import type { LogSettings } from '../../../../src/core/ledger/log/log-settings.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { failureOf, incoming, mustOpenLog, portsAt, settingsIn } from './logs.ts';
import { verdictIn } from './verified.ts';
import { mustFind } from '../../../builders/must.ts';

const folder = testFolders();

const FILE = 'f'.repeat(32);
const DAY_MS = 86_400_000;
const START_MS = 1_767_225_600_000;

const segmentsOf = (at: string): readonly string[] =>
  readdirSync(at)
    .filter((name) => /^segment-\d{16}\.db$/.test(name))
    .toSorted();

/** A log with one segment a day, each with one record and what the end of the day adds. */
function dailyLog(days: number, retain: LogSettings['retain']) {
  const settings = settingsIn(folder(), { segment: { maxBytes: 1024 ** 3, maxAgeMs: DAY_MS }, retain });
  const clock = { nowMs: START_MS };
  const ports = { ...portsAt(0), nowMs: () => clock.nowMs };
  const opened = { log: mustOpenLog(settings, ports) };
  const day = () => {
    clock.nowMs += DAY_MS;
    expect(opened.log.append([incoming(clock.nowMs)], FILE)).toBeNull();
    return opened.log.checkpoint();
  };
  for (let n = 0; n < days; n++) day();
  const reopen = (): SegmentLog => (opened.log = mustOpenLog(settings, ports));
  return { settings, ports, opened, day, reopen, verifierKey: opened.log.verifierKey };
}

const verdictOf = ({ settings, verifierKey }: ReturnType<typeof dailyLog>) =>
  verdictIn(settings.folder, { key: verifierKey, anchors: settings.checkpointFile ?? '' });

const recordsIn = (at: string): readonly (LedgerRecord & { readonly seq: number })[] =>
  mustFind(
    readLog(at, (log) =>
      [...log.leaves()].map(({ seq, bytes }) =>
        Object.assign(JSON.parse(Buffer.from(recordBytesIn(bytes)).toString()) as LedgerRecord, { seq }),
      ),
    ),
  );

const keepAll = { maxBytes: 1024 ** 4, maxAgeMs: 400 * DAY_MS };
const threeDays = { maxBytes: 1024 ** 4, maxAgeMs: 3 * DAY_MS };

describe('pruned records', () => {
  it('are named by a signed record with their range, tree, age, size and rule', () => {
    const ledger = dailyLog(5, threeDays);
    const { settings, opened } = ledger;
    // On day 5, the record of day 1 is older than three days.
    const made = recordsIn(settings.folder);
    expect(made[0]?.seq).toBe(3);
    expect(made.filter(({ kind }) => kind === 'pruned')).toEqual([
      {
        kind: 'pruned',
        at: START_MS + 5 * DAY_MS,
        task: null,
        from: 1,
        to: 2,
        root: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/),
        segments: 1,
        bytes: expect.any(Number),
        newest: START_MS + DAY_MS,
        rules: ['age'],
        retainMs: 3 * DAY_MS,
        retainBytes: 1024 ** 4,
        seq: 10,
      },
    ]);
    // The checkpoint that signs it names the first record that is kept.
    expect(made.at(-1)).toMatchObject({ kind: 'checkpoint', size: 11, first: 3 });
    opened.log.close();
    expect(verdictOf(ledger)).toMatchObject({ kind: 'sound', size: 11, pruned: 2, prunedBy: 10, bare: null });
  });

  it('are pruned by size too, and each pruning record continues from the previous pruning record', () => {
    const ledger = dailyLog(1, { maxBytes: 1, maxAgeMs: 400 * DAY_MS });
    const last = () => recordsIn(ledger.settings.folder).findLast((record) => record.kind === 'pruned');
    for (const [from, to] of [
      [1, 2],
      [3, 5],
      [6, 8],
    ]) {
      ledger.day();
      expect(last()).toMatchObject({ from, to, rules: ['bytes'], retainBytes: 1 });
    }
    ledger.opened.log.close();
    expect(verdictOf(ledger)).toMatchObject({ kind: 'sound', pruned: 8, bare: null });
  });

  it('are deleted later if a process ended between signature and deletion', () => {
    const ledger = dailyLog(4, threeDays);
    const { settings } = ledger;
    const before = join(settings.folder, '../before');
    cpSync(settings.folder, before, { recursive: true });
    ledger.day();
    ledger.opened.log.close();
    const [gone = ''] = segmentsOf(before);
    expect(segmentsOf(settings.folder)).not.toContain(gone);
    cpSync(join(before, gone), join(settings.folder, gone));
    expect(verdictOf(ledger)).toMatchObject({ kind: 'sound', pruned: 0, bare: null });
    ledger.reopen().close();
    expect(segmentsOf(settings.folder)).not.toContain(gone);
    expect(verdictOf(ledger)).toMatchObject({ kind: 'sound', pruned: 2, bare: null });
  });

  it('are not pruned for a forged age or size', () => {
    const ledger = dailyLog(4, { maxBytes: 1024 ** 3, maxAgeMs: 400 * DAY_MS });
    const { settings } = ledger;
    for (const name of segmentsOf(settings.folder).slice(0, -1)) {
      const db = new DatabaseSync(join(settings.folder, name));
      db.exec('UPDATE log SET created_ms = 1; UPDATE checkpoints SET at_ms = 1');
      db.close();
    }
    // Sparse: larger than the retention, and nothing on disk.
    truncateSync(join(settings.folder, segmentsOf(settings.folder)[0] ?? ''), 4 * 1024 ** 3);
    ledger.day();
    ledger.opened.log.close();
    expect(recordsIn(settings.folder).some(({ kind }) => kind === 'pruned')).toBe(false);
    expect(segmentsOf(settings.folder)).toHaveLength(6);
  });

  it('are kept if their end is not signed, and the log stops', () => {
    const ledger = dailyLog(4, threeDays);
    const { settings } = ledger;
    const oldest = join(settings.folder, segmentsOf(settings.folder)[0] ?? '');
    const db = new DatabaseSync(oldest);
    db.exec('UPDATE checkpoints SET note = replace(note, char(10) || 2 || char(10), char(10) || 3 || char(10))');
    db.close();
    expect(failureOf(ledger.day())).toMatchObject({
      code: 'broken',
      detail: expect.stringContaining(`\`${oldest}\` is not signed to its end`),
    });
    expect(segmentsOf(settings.folder)).toHaveLength(5);
  });
});

describe('missing records that were not pruned', () => {
  const cases: readonly (readonly [string, (names: readonly string[]) => readonly string[], string])[] = [
    [
      'the three oldest segments',
      (names) => names.slice(0, 3),
      'records 1 to 6 are missing, and no signed record says that they were pruned',
    ],
    ['a segment in the middle', (names) => names.slice(2, 3), 'records 5 to 6 are missing'],
    ['the last closed segment', (names) => names.slice(-2, -1), 'records 15 to 16 are missing'],
    ['all but the current segment', (names) => names.slice(0, -1), 'records 1 to 16 are missing'],
  ];

  it.each(cases)('prevent a log from being continued: %s', (_name, which, said) => {
    const ledger = dailyLog(8, keepAll);
    const { settings, ports } = ledger;
    ledger.opened.log.close();
    for (const name of which(segmentsOf(settings.folder))) rmSync(join(settings.folder, name));
    const failure = failureOf(SegmentLog.open(settings, ports));
    expect(failure).toMatchObject({ code: 'unfit', detail: expect.stringContaining(`: ${said}; run`) });
    expect(failure.detail).toMatch(/restore the missing files, or move its folder away and keep it/);
    expect(verdictOf(ledger)).toMatchObject({ kind: 'broken', part: 'log', lost: expect.anything() });
  });

  it.each(cases)('stop a running log before it prunes anything: %s', (_name, which) => {
    const ledger = dailyLog(8, keepAll);
    const { settings } = ledger;
    for (const name of which(segmentsOf(settings.folder))) rmSync(join(settings.folder, name));
    const size = ledger.opened.log.size;
    expect(failureOf(ledger.day())).toMatchObject({ code: 'broken', detail: expect.stringMatching(/missing/) });
    expect(ledger.opened.log.size).toBe(size + 1);
    expect(ledger.opened.log.append([incoming(1)], FILE)).toMatchObject({ code: 'broken' });
  });

  it('are distinguished from pruned records', () => {
    const ledger = dailyLog(6, threeDays);
    const { settings, ports } = ledger;
    ledger.opened.log.close();
    const [oldest = ''] = segmentsOf(settings.folder);
    const { length } = segmentsOf(settings.folder);
    rmSync(join(settings.folder, oldest));
    expect(failureOf(SegmentLog.open(settings, ports)).detail).toContain(
      'records 5 to 6 are missing, and no signed record says that they were pruned',
    );
    expect(verdictOf(ledger)).toMatchObject({ kind: 'broken', lost: { from: 5, to: 6 } });
    expect(length).toBe(5);
  });

  it('are found by the checkpoint file if checkpoints were deleted with the end', () => {
    const ledger = dailyLog(2, keepAll);
    const { settings, ports } = ledger;
    ledger.opened.log.append([incoming(9), incoming(10)], FILE);
    ledger.opened.log.checkpoint();
    ledger.opened.log.close();
    const last = join(settings.folder, segmentsOf(settings.folder).at(-1) ?? '');
    const db = new DatabaseSync(last);
    db.exec('DELETE FROM checkpoints WHERE size > 4; DELETE FROM records WHERE seq > 4');
    db.exec('DELETE FROM index_blocks; DELETE FROM index_drawers; UPDATE log SET range = carried, head = carried_head');
    db.close();
    // Somebody who cannot sign writes other records with the same numbers.
    const forger = mustOpenLog({ ...settings, checkpointFile: null }, ports);
    forger.append([incoming(7), incoming(8), incoming(9)], FILE);
    forger.close();
    const again = new DatabaseSync(last);
    again.exec('DELETE FROM checkpoints WHERE size > 4');
    again.close();
    expect(failureOf(SegmentLog.open(settings, ports)).detail).toMatch(
      /its first 7 records do not match the checkpoint in `.*checkpoints\.txt`/,
    );
  });
});
