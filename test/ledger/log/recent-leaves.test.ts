import { afterAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { LogPages } from '../../../src/ledger/log/log-pages.ts';
import { readLog } from '../../../src/ledger/log/log-reader.ts';
import { LogThread } from '../../../src/ledger/log/log-thread.ts';
import { RecentLeaves } from '../../../src/ledger/log/recent-leaves.ts';
import { packedLeaves, unpackedLeaves } from '../../../src/ledger/log/written-leaves.ts';
import type { PackedLeaves } from '../../../src/ledger/log/written-leaves.ts';
import { isProblem } from '../../../src/runtime/problem.ts';
import { isStoreFailure } from '../../../src/sqlite/store-failure.ts';
import { endRecord } from '../../builders/ledger-record.ts';
import { must, mustFind } from '../../builders/must.ts';
import { scratch } from '../../builders/scratch.ts';
import { thoroughly } from '../../thoroughly.ts';
import { incoming, mustOpenLog, settingsIn } from './logs.ts';

const { folder, remove } = scratch();
afterAll(remove);

const plain = (page: ReturnType<LogPages['after']>): unknown =>
  isProblem(page) ? page : { ...page, leaves: hexOf(leavesIn(page.leaves)) };

const batch = (from: number, count: number) => Array.from({ length: count }, (_, index) => endRecord(from + index));

const hexOf = (leaves: readonly Uint8Array[]): readonly string[] =>
  leaves.map((leaf) => Buffer.from(leaf).toString('hex'));

const leavesIn = (packed: PackedLeaves | null): readonly Uint8Array[] =>
  packed === null ? [] : unpackedLeaves(packed);

describe('RecentLeaves', () => {
  it('gives the pages that the files give, whatever it was told of and is asked for', () => {
    const steps = fc.array(
      fc.oneof(
        {
          weight: 3,
          arbitrary: fc.record({ of: fc.constant('append' as const), count: fc.integer({ min: 1, max: 4 }) }),
        },
        { weight: 1, arbitrary: fc.record({ of: fc.constant('checkpoint' as const) }) },
        // A write of which it is not known what came of it.
        { weight: 1, arbitrary: fc.record({ of: fc.constant('missed' as const) }) },
        {
          weight: 6,
          arbitrary: fc.record({ of: fc.constant('ask' as const), back: fc.nat(8), unsigned: fc.nat(6) }),
        },
      ),
      { maxLength: 40 },
    );
    // Little memory is full after a few records.
    const memory = fc.constantFrom(1_500, 1_000_000);
    fc.assert(
      fc.property(steps, memory, (all, maxBytes) => {
        const place = folder();
        const log = mustOpenLog(settingsIn(place));
        const pages = new LogPages(settingsIn(place).folder);
        const recent = new RecentLeaves(pages, maxBytes);
        let n = 0;
        for (const step of all) {
          if (step.of === 'append') {
            log.append(
              Array.from({ length: step.count }, () => incoming((n += 1))),
              'none',
            );
            recent.wrote(packedLeaves(log.written), null);
          } else if (step.of === 'missed') {
            log.append([incoming((n += 1))], 'none');
            recent.wrote(null, null);
          } else if (step.of === 'checkpoint') {
            const made = log.checkpoint();
            if (made !== null) recent.wrote(packedLeaves(log.written), must(made).note);
          } else {
            const size = Math.max(0, log.size - step.back);
            const signed = Math.max(0, size - step.unsigned);
            expect(plain(recent.after(size, signed))).toEqual(plain(pages.after(size, signed)));
          }
        }
        recent.close();
        log.close();
      }),
      { numRuns: thoroughly(1_000, 100) },
    );
  });

  it('reads no file for what the thread of the log has handed out', async () => {
    const place = folder();
    const settings = settingsIn(place);
    const written: PackedLeaves[] = [];
    const none = new LogPages(place);
    const recent = new RecentLeaves({
      head: () => none.head(),
      after: () => ({ problem: 'the files are read' }),
      close: () => none.close(),
    });
    const thread = await LogThread.open(
      { settings, fileId: 'none' },
      {
        onFatal: () => undefined,
        onCheckpoint: () => undefined,
        onWritten: (leaves, checkpoint) => {
          if (leaves !== null) written.push(leaves);
          recent.wrote(leaves, checkpoint);
        },
      },
    );
    if (isStoreFailure(thread)) throw new Error(thread.detail);
    expect(await thread.appendRecords(batch(1, 3))).toBeNull();
    expect(await thread.appendRecords(batch(4, 600))).toBeNull();
    await thread.close();
    const stored = mustFind(
      readLog(settings.folder, (log) => [...log.leaves()].map(({ bytes }) => Buffer.from(bytes))),
    );
    expect(hexOf(written.flatMap(leavesIn))).toEqual(hexOf(stored));
    const read: string[] = [];
    let last = '';
    while (read.length < stored.length - 1) {
      const page = recent.after(1 + read.length, 0);
      if (isProblem(page)) throw new Error(page.problem);
      expect(page.leaves).not.toBeNull();
      read.push(...hexOf(leavesIn(page.leaves)));
      last = page.checkpoint;
    }
    expect(read).toEqual(hexOf(stored.slice(1)));
    expect(last).toContain(`\n${stored.length}\n`);
    recent.close();
  });
});
