import { writeSync } from 'node:fs';
import { mustOpen } from '../../builders/state-file.ts';
import { taskNumber } from '../../builders/task.ts';

/** `killed-spender.ts FILE LIMIT`: spends calls of task 1 one after another. Once one is refused, prints how many it spent, and why. */
const [file = '', limit = '0'] = process.argv.slice(2);
const store = mustOpen(file, { access: 'write' });
writeSync(1, 'ready\n');
let spent = 0;
for (;;) {
  const problem = store.spend(taskNumber(1), 'digest-1', [{ kind: 'calls', limit: Number(limit) }]);
  if (problem === null) spent++;
  else if (typeof problem === 'string' || problem.code !== 'busy') {
    writeSync(1, `${spent} ${typeof problem === 'string' ? problem : problem.code}\n`);
    break;
  }
}
store.close();
