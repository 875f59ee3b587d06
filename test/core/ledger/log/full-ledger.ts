import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { incoming, mustOpenLog, settingsIn } from './logs.ts';

/** `full-ledger.ts FOLDER`: makes two checkpoints, of which each finds the segment full, and prints what became of them. */
const [folder = ''] = process.argv.slice(2);
const log = mustOpenLog(settingsIn(folder, { segment: { maxBytes: 1, maxAgeMs: 3_600_000 } }));
for (const n of [1, 2]) {
  log.append([incoming(n)], 'f'.repeat(32));
  const made = log.checkpoint();
  if (made === null || isStoreFailure(made)) console.log(`failed ${made?.detail ?? 'no checkpoint'}`);
  else console.log(`checkpoint ${made.size} ${made.closesSegment ? 'new' : 'old'} segment`);
}
const failure = log.close();
console.log(failure === null ? 'closed' : `unclosed ${failure.detail}`);
