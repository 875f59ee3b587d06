import { afterAll, expect, it } from '@jest/globals';
import { tryRecords } from '../../../src/cli/limits/tried-records.ts';
import { LogReader } from '../../../src/core/ledger/log/log-reader.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { ledgerSource } from '../../../src/tools/learn/record-window.ts';
import { LimitTrial } from '../../../src/tools/policy/limits/limit-trial.ts';
import { folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { scratch } from '../../builders/scratch.ts';
import { observedUse } from '../../tools/learn/learning.ts';
import { ledgerOf } from '../observe/observing.ts';

const { folder, remove } = scratch();
const open: LogReader[] = [];
afterAll(() => {
  for (const log of open) log.close();
  remove();
});

const NOON = Date.UTC(2026, 10, 3, 12);
const SECOND_MS = 1_000;

/** A log with allowed uses at these seconds after noon. */
function logAt(...seconds: readonly number[]): LogReader {
  const would = { decision: 'allow', reason: null, detail: null, policyIds: ['p'] } as const;
  const uses = seconds.map((at) =>
    observedUse({ at: NOON + at * SECOND_MS, decisionId: `d${at}`, action: 'payments.list', would }),
  );
  const log = LogReader.open(ledgerOf(folder(), uses));
  if (log === null || isStoreFailure(log)) throw new Error('the ledger must open');
  open.push(log);
  return log;
}

it('reads the logs of several sidecars as one, in the order of their instants', async () => {
  const limits = `limits:\n  - { id: a-minute, agents: ['*'], per: [], window: 1m, calls: 1 }\n`;
  const set = await mustLoad(folderWith('@id("p") permit (principal, action, resource);', { limits }));
  const trial = new LimitTrial(set, () => null);
  // Log by log the minute of the first would have been over when the second begins.
  const sources = [logAt(0, 120), logAt(60, 121, 180), logAt()].map(ledgerSource);
  const span = { fromMs: NOON, toMs: NOON + 170 * SECOND_MS };
  const counts = await tryRecords([trial], sources, { span, onProgress: () => undefined });
  expect([counts.records, counts.foreign, trial.report().denied]).toEqual([4, 0, 1]);
  expect(trial.report().limits[0]?.keys).toEqual([
    { who: '[]', windows: 1, denied: 1, most: 1, first: { atMs: NOON + 121 * SECOND_MS, decisionId: 'd121' } },
  ]);
});
