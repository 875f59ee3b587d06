import { writeSync } from 'node:fs';
import { mustOpen, taskNumber, tokenNumber } from './samples.ts';

/** Writes and ends task after task until it is killed, and prints the number of each once its end is acknowledged. */
const store = mustOpen(process.argv[2] ?? '');
for (let n = 1; ; n++) {
  store.insertTask(taskNumber(n), tokenNumber(n), []);
  store.applyTaskEvent(taskNumber(n), { kind: 'complete', cause: '' }, 'operator');
  writeSync(1, `${n}\n`);
}
