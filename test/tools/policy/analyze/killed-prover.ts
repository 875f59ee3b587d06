import { writeSync } from 'node:fs';
import { questionFolder } from '../../../../src/tools/policy/analyze/question-folder.ts';

/** `killed-prover.ts FOLDER [TIMES]`: makes folders for questions there and deletes all but the last, prints its path, and waits to be killed. */
const [within = '', times = '1'] = process.argv.slice(2);
let folder = await questionFolder(within);
for (let n = 1; n < Number(times); n += 1) {
  await folder.remove();
  folder = await questionFolder(within);
}
writeSync(1, folder.path);
setInterval(() => undefined, 60_000);
