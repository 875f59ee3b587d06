import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { timelineFrom } from '../../../src/core/ledger/timeline.ts';
import { recordsOfTask } from '../../../src/authority/records/task-records.ts';
import type { SegmentLog } from '../../../src/core/ledger/log/log.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { allowedUse } from '../../builders/ledger-record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { taskNumber } from '../../builders/task.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { must } from '../../builders/must.ts';

const folder = testFolders();

/** A use of task 1 at an instant. */
const useAt = (at: number) => {
  const record = JSON.parse(Buffer.from(allowedUse(1, at).bytes).toString('utf8'));
  return { ...allowedUse(1, at), bytes: Buffer.from(JSON.stringify({ ...record, decisionId: `use-${at}` })) };
};

describe('recordsOfTask, of several ledgers', () => {
  it('merges the records of all sidecars by time, waiting records last, each once', () => {
    const place = folder();
    const store = mustOpen(join(place, 'state.db'));
    const fileId = must(store.fileId());
    const folders = [1, 2].map((n) => join(place, `ledger-${n}`));
    const [one, other] = folders.map((each): SegmentLog => mustOpenLog(settingsIn(place, { folder: each })));
    store.appendRecords([10, 20, 50].map(useAt));
    const append = (log: SegmentLog | undefined, uses: readonly (readonly [at: number, outbox: number | null])[]) =>
      log?.append(
        uses.map(([at, outbox]) => ({ bytes: useAt(at).bytes, outbox })),
        fileId,
      );
    // The first process had committed both when it was killed, and the file still had both.
    append(one, [
      [10, 1],
      [15, null],
      [20, 2],
      [40, null],
    ]);
    append(other, [
      [10, 1],
      [20, 2],
      [30, null],
    ]);
    const instants = (of: readonly string[], limit = 100): readonly number[] => {
      const found = recordsOfTask({ folders: of, store }, taskNumber(1).id, limit);
      return isStoreFailure(found) ? [] : timelineFrom(found).map(({ at }) => at);
    };
    expect(instants(folders)).toEqual([10, 15, 20, 30, 40, 50]);
    expect(instants(folders.toReversed())).toEqual([10, 15, 20, 30, 40, 50]);
    expect(instants(folders, 3)).toEqual([10, 15, 20]);
    expect(instants([...folders, join(place, 'not-begun')])).toEqual([10, 15, 20, 30, 40, 50]);
    one?.close();
    other?.close();
    store.close();
  });
});
