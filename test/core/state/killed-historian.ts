import { writeSync } from 'node:fs';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { issuer, taskNumber } from '../../builders/task.ts';

/**
 * `killed-historian.ts FILE MINE OTHER`: adds a use with the label MINE unless the history has OTHER, repeatedly, until one of the two is
 * in it. Prints which one.
 */
const [file = '', mine = '', other = ''] = process.argv.slice(2);
const store = mustOpen(file, { access: 'write' });
writeSync(1, 'ready\n');
const task = taskNumber(1);
for (;;) {
  const state = store.useStateOf(issuer, task.id, 'digest-1');
  if (state === undefined || isStoreFailure(state)) continue;
  const { history } = state;
  if (history.labels.includes(other)) {
    writeSync(1, 'forbidden\n');
    break;
  }
  const entry = { version: history.version, action: `act.${mine}`, labels: [mine] };
  if (store.spend(task, 'digest-1', [], entry) === null) {
    writeSync(1, 'allowed\n');
    break;
  }
}
store.close();
