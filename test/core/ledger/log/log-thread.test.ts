import { describe, expect, it } from '@jest/globals';
import { LogThread } from '../../../../src/core/ledger/log/log-thread.ts';
import { endRecord } from '../../../builders/ledger-record.ts';
import { must } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { until } from '../../../until.ts';
import { contents, settingsIn } from './logs.ts';

const folder = testFolders();

const opened = async (at: string): Promise<LogThread> =>
  must(
    await LogThread.open(
      { settings: settingsIn(at), fileId: 'none' },
      { onFatal: () => undefined, onCheckpoint: () => undefined },
    ),
  );

describe('LogThread', () => {
  it('ends once if it is closed twice at the same time, and both callers get the result', async () => {
    const at = folder();
    const thread = await opened(at);
    expect(await thread.appendRecords([endRecord(1)])).toBeNull();
    const results: unknown[] = [];
    for (let closes = 0; closes < 2; closes += 1) void thread.close().then((result) => results.push(result));
    await until(() => results.length === 2, { what: 'both results' });
    expect(results).toEqual([null, null]);
    expect(await thread.close()).toBeNull();
    expect(await thread.appendRecords([endRecord(2)])).toMatchObject({
      code: 'broken',
      detail: 'the ledger is closed',
    });
    expect(contents(settingsIn(at).folder).records).toHaveLength(2);
  });

  it('writes the batch that it has before it closes', async () => {
    const at = folder();
    const thread = await opened(at);
    const written = thread.appendRecords(Array.from({ length: 100 }, (_, n) => endRecord(n + 1)));
    const results: unknown[] = [];
    for (const asked of [written, thread.close()]) void asked.then((result) => results.push(result));
    await until(() => results.length === 2, { what: 'both results' });
    expect(results).toEqual([null, null]);
    expect(contents(settingsIn(at).folder).records).toHaveLength(101);
  });
});
