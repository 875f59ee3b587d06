import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { newRing, RingWriter } from '../../../../src/core/ledger/log/leaf-ring.ts';
import { LogPages } from '../../../../src/core/ledger/log/log-pages.ts';
import { readLog } from '../../../../src/core/ledger/log/log-reader.ts';
import { LogThread } from '../../../../src/core/ledger/log/log-thread.ts';
import { RecentLeaves } from '../../../../src/core/ledger/log/recent-leaves.ts';
import type { PackedLeaves } from '../../../../src/core/ledger/log/written-leaves.ts';
import { endRecord } from '../../../builders/ledger-record.ts';
import { must, mustFind } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { unpackedLeaves } from '../../../builders/unpacked-leaves.ts';
import { thoroughly } from '../../../thoroughly.ts';
import { incoming, mustOpenLog, settingsIn } from './logs.ts';
import { ModelLog } from './model-log.ts';

const folder = testFolders();

const batch = (from: number, count: number) => Array.from({ length: count }, (_, index) => endRecord(from + index));

const hexOf = (leaves: readonly Uint8Array[]): readonly string[] =>
  leaves.map((leaf) => Buffer.from(leaf).toString('hex'));

const storedIn = (logFolder: string): readonly string[] =>
  hexOf(mustFind(readLog(logFolder, (log) => [...log.leaves()].map(({ bytes }) => Buffer.from(bytes)))));

const leavesIn = (packed: PackedLeaves | null): readonly Uint8Array[] =>
  packed === null ? [] : unpackedLeaves(packed);

/** The leaves of a page as hex, and its checkpoint. */
const plain = (
  page: ReturnType<LogPages['after']>,
): { readonly leaves: readonly string[]; readonly checkpoint: string } => {
  const { leaves, checkpoint } = must(page);
  return { leaves: hexOf(leavesIn(leaves)), checkpoint };
};

/** Of a log whose files must not be read. */
const unread = {
  head: () => ({ problem: 'the files are read' }),
  after: () => ({ problem: 'the files are read' }),
  close: () => undefined,
};

describe('RecentLeaves', () => {
  it('gives the pages that the files give, up to a gap or the end of its ring, whatever leaves were added and are read', () => {
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
    // A small ring is full after a few records, and goes on at its start: what is on both sides of its end is two pages.
    const [small, large] = [1_500, 1_000_000];
    const room = fc.constantFrom(small, large);
    fc.assert(
      fc.property(steps, room, (all, bytes) => {
        const place = folder();
        const log = mustOpenLog(settingsIn(place));
        const pages = new LogPages(settingsIn(place).folder);
        const ring = newRing(bytes);
        const [writer, recent] = [new RingWriter(ring), new RecentLeaves(pages, ring)];
        let isWhole = true;
        const wrote = (checkpoint: string | null): void => {
          const parts = writer.write(log.written);
          isWhole &&= parts !== null;
          for (const part of parts ?? [null]) recent.wrote(part, part === null ? null : checkpoint);
        };
        let n = 0;
        for (const step of all) {
          if (step.of === 'append') {
            log.append(
              Array.from({ length: step.count }, () => incoming((n += 1))),
              'none',
            );
            wrote(null);
          } else if (step.of === 'missed') {
            log.append([incoming((n += 1))], 'none');
            recent.wrote(null, null);
            isWhole = false;
          } else if (step.of === 'checkpoint') {
            const made = log.checkpoint();
            if (made !== null) wrote(must(made).note);
          } else {
            const size = Math.max(0, log.size - step.back);
            const signed = Math.max(0, size - step.unsigned);
            const [own, stored] = [plain(recent.after(size, signed)), plain(pages.after(size, signed))];
            const isParted = !isWhole || bytes === small;
            const isEarly = isParted && own.leaves.length > 0 && own.leaves.length < stored.leaves.length;
            expect(own).toEqual(
              isEarly ? { leaves: stored.leaves.slice(0, own.leaves.length), checkpoint: '' } : stored,
            );
          }
        }
        recent.close();
        log.close();
      }),
      { numRuns: thoroughly(1_000, 100) },
    );
  });

  it('ships each record once, in order and byte for byte, whatever the pauses and the reconnects', () => {
    const length = fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 1, max: 400 }) },
      { weight: 1, arbitrary: fc.constantFrom(127, 128, 16_384, 65_535) },
    );
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          of: fc.constant('write' as const),
          lengths: fc.array(length, { minLength: 1, maxLength: 6 }),
          isSigned: fc.boolean(),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ of: fc.constant('miss' as const), lengths: fc.array(length, { maxLength: 3 }) }),
      },
      // The thread runs ahead of its messages.
      {
        weight: 4,
        arbitrary: fc.record({ of: fc.constant('hear' as const), messages: fc.integer({ min: 1, max: 8 }) }),
      },
      { weight: 6, arbitrary: fc.record({ of: fc.constant('send' as const), pages: fc.integer({ min: 1, max: 5 }) }) },
      { weight: 1, arbitrary: fc.record({ of: fc.constant('reconnect' as const), back: fc.nat(12) }) },
    );
    const room = fc.constantFrom(1_000, 3_000, 150_000, 400_000);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), room, (steps, bytes) => {
        const log = new ModelLog(bytes);
        for (const step of steps) {
          if (step.of === 'write') log.write(step.lengths, { isSigned: step.isSigned });
          else if (step.of === 'miss') log.miss(step.lengths);
          else if (step.of === 'hear') log.hear(step.messages);
          else if (step.of === 'send') log.send(step.pages);
          else log.reconnect(step.back);
        }
        log.hear(Infinity);
        log.send(Infinity);
        expect(log.received()).toEqual(log.stored());
      }),
      { numRuns: thoroughly(5_000, 500) },
    );
  });

  it('takes no part that lies outside of its ring or before the last part', () => {
    const ring = newRing(10_000);
    const recent = new RecentLeaves(unread, ring);
    const [part] = new RingWriter(ring).write({ from: 5, leaves: [new Uint8Array(10), new Uint8Array(10)] }) ?? [];
    if (part === undefined) throw new Error('no part');
    recent.wrote(part, null);
    expect(plain(recent.after(6, 6)).leaves).toEqual(['00'.repeat(10)]);
    for (const wrong of [
      { ...part, from: 7, offset: 9_990 },
      { ...part, from: 6 },
    ]) {
      recent.wrote(wrong, null);
      expect(recent.after(7, 7)).toEqual({ problem: 'the files are read' });
    }
  });

  it('gives back what was asked for, so that a reader that keeps up needs no file', () => {
    const ring = newRing(1_000);
    const [writer, recent] = [new RingWriter(ring), new RecentLeaves(unread, ring)];
    for (let size = 0; size < 100; size += 2) {
      const leaves = [new Uint8Array(150).fill(size), new Uint8Array(150).fill(size + 1)];
      const parts = writer.write({ from: size, leaves });
      for (const part of parts ?? [null]) recent.wrote(part, null);
      expect(plain(recent.after(size, size)).leaves).toEqual(hexOf(leaves));
    }
  });

  it('reads no file for what the thread of the log has handed out', async () => {
    const settings = settingsIn(folder());
    const ring = newRing();
    const recent = new RecentLeaves(unread, ring);
    const thread = must(
      await LogThread.open(
        { settings, fileId: 'none' },
        {
          onFatal: () => undefined,
          onCheckpoint: () => undefined,
          handOut: { ring, onWritten: (part, checkpoint) => recent.wrote(part, checkpoint) },
        },
      ),
    );
    expect(await thread.appendRecords(batch(1, 3))).toBeNull();
    expect(await thread.appendRecords(batch(4, 600))).toBeNull();
    await thread.close();
    const stored = storedIn(settings.folder);
    const read: string[] = [];
    let last = '';
    while (read.length < stored.length - 1) {
      const { leaves, checkpoint } = plain(recent.after(1 + read.length, 1));
      expect(leaves).not.toEqual([]);
      read.push(...leaves);
      last = checkpoint;
    }
    expect(read).toEqual(stored.slice(1));
    expect(last).toContain(`\n${stored.length}\n`);
    recent.close();
  });

  it('ships what a thread writes at the same time, through a ring that is often full', async () => {
    const settings = settingsIn(folder());
    const ring = newRing(20_000);
    const recent = new RecentLeaves(new LogPages(settings.folder), ring);
    let parts = 0;
    let gaps = 0;
    const thread = must(
      await LogThread.open(
        { settings, fileId: 'none' },
        {
          onFatal: () => undefined,
          onCheckpoint: () => undefined,
          handOut: {
            ring,
            onWritten: (part, checkpoint) => {
              if (part === null) gaps += 1;
              else parts += 1;
              recent.wrote(part, checkpoint);
            },
          },
        },
      ),
    );
    const read: string[] = [];
    const send = (): boolean => {
      const { leaves } = plain(recent.after(read.length, read.length));
      read.push(...leaves);
      return leaves.length > 0;
    };
    for (let round = 0; round < 120; round += 1) {
      const isWritten = thread.appendRecords(batch(1 + round * 10, 10 + (round % 7)));
      // Reads while the thread writes; each fourth round is a pause.
      if (round % 16 < 12) send();
      expect(await isWritten).toBeNull();
      if (round % 16 < 12) send();
    }
    await thread.close();
    while (send());
    expect(read).toEqual(storedIn(settings.folder));
    expect(Math.min(parts, gaps)).toBeGreaterThan(0);
    recent.close();
  });
});
