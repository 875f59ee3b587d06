import { describe, expect, it } from '@jest/globals';
import { checkpointInNote } from '../../../../src/core/ledger/proof/checkpoint.ts';
import { consistencyProblem } from '../../../../src/core/ledger/proof/consistency-proof.ts';
import { leafHash } from '../../../../src/core/ledger/proof/merkle.ts';
import { growthProof } from '../../../../src/core/ledger/log/growth-proof.ts';
import type { GrowthProof } from '../../../../src/core/ledger/log/growth-proof.ts';
import { readLog } from '../../../../src/core/ledger/log/log-reader.ts';
import { must, mustFind } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { diskLedger, segmentsOf, tamper } from '../../../cli/ledgers.ts';
import { naiveRoot } from '../naive-merkle.ts';
import { mustOpenLog, settingsIn } from './logs.ts';

const folder = testFolders();

/** Segments end with records 4, 8, 12, 16 and 20; 22 in all. */
const whole = diskLedger(folder(), 16);

const grown = (at: string, old: number, maxRecords?: number) => readLog(at, (log) => growthProof(log, old, maxRecords));

const leavesOf = (at: string): readonly Buffer[] =>
  must(mustFind(readLog(at, (log) => [...log.leaves()].map(({ bytes }) => leafHash(bytes)))));

/** What a verifier says that computes the old root from all leaves itself. */
const problemOf = (leaves: readonly Buffer[], { old, size, note, proof }: GrowthProof): string | null => {
  const { root } = must(checkpointInNote(note));
  return consistencyProblem({ oldSize: old, oldRoot: naiveRoot(leaves.slice(0, old)), size, root, proof });
};

describe('growthProof', () => {
  const leaves = leavesOf(whole.folder);

  it('proves the last checkpoint from each size', () => {
    for (let old = 1; old <= 22; old++) {
      const growth = mustFind(must(grown(whole.folder, old)));
      expect([old, growth.size, growth.last, problemOf(leaves, growth)]).toEqual([old, 22, 22, null]);
    }
    expect(grown(whole.folder, 22)).toMatchObject({ proof: [] });
  });

  it('from nothing is the last checkpoint without a proof', () => {
    expect(grown(whole.folder, 0)).toMatchObject({ old: 0, size: 22, last: 22, proof: [] });
  });

  it('proves a log that has grown by much in steps, each to a checkpoint', () => {
    for (const maxRecords of [1, 4, 5, 8]) {
      const sizes: number[] = [];
      for (let old = 1; old < 22;) {
        const growth = mustFind(must(grown(whole.folder, old, maxRecords)));
        expect(problemOf(leaves, growth)).toBeNull();
        old = growth.size;
        sizes.push(old);
      }
      expect(sizes).toEqual(
        { 1: [4, 8, 12, 16, 20, 22], 4: [4, 8, 12, 16, 20, 22], 5: [4, 8, 12, 16, 20, 22], 8: [8, 16, 22] }[maxRecords],
      );
    }
  });

  it('has none beyond the last checkpoint, without one, and from pruned records', () => {
    expect(grown(whole.folder, 23)).toEqual({ problem: 'the last checkpoint has 22 records, fewer than 23' });
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    expect(grown(settings.folder, 0)).toEqual({ problem: 'the ledger has no checkpoint yet' });
    log.close();
    const pruned = diskLedger(folder(), 9, { change: { retain: { maxBytes: 1, maxAgeMs: 86_400_000 } } });
    expect(grown(pruned.folder, 3)).toEqual({ problem: 'record 3 was pruned, from which a proof would begin' });
    expect(grown(pruned.folder, 9)).toMatchObject({ old: 9, size: 14 });
  });

  it('is not made of records that were changed', () => {
    const { folder: at } = diskLedger(folder(), 9);
    tamper(
      segmentsOf(at)[1] ?? '',
      `UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), '"at":1', '"at":2') AS BLOB) WHERE seq = 6`,
    );
    expect(grown(at, 4)).toEqual({ problem: expect.stringMatching(/^the ledger is damaged: /) });
    tamper(segmentsOf(at)[1] ?? '', 'DELETE FROM records WHERE seq = 7');
    expect(grown(at, 4)).toEqual({ problem: 'record 7 is missing' });
  });
});
