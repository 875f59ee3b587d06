import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { openStore } from '../../src/state/sqlite/sqlite-store.ts';
import { isStoreFailure } from '../../src/sqlite/store-failure.ts';
import { agreeing } from '../builders/state-file.ts';
import { steps } from './steps.ts';

/**
 * `killed-writer.ts FILE FIRST PAIRS`: takes pairs of tasks through all their steps, from number FIRST on, until it is killed
 * or has done PAIRS of them, and prints `PAIR STEP` once a step is acknowledged, `failed CODE` where one is not. What failed
 * as full or busy is tried again once; after `broken` every further step is tried all the same: none may be acknowledged.
 */

const [file = '', first = '1', pairs = 'Infinity'] = process.argv.slice(2);
const say = (line: string): void => void writeSync(1, `${line}\n`);

const store = openStore(file, { ...agreeing(), randomBytes });
if (isStoreFailure(store)) {
  say(`unopened ${store.code}`);
} else {
  say('opened');
  for (let pair = Number(first); pair < Number(first) + Number(pairs); pair++) {
    for (const [index, step] of steps.entries()) {
      let result = step.run(store, pair);
      if (isStoreFailure(result) && result.code !== 'broken') {
        say(`failed ${result.code}`);
        result = step.run(store, pair);
      }
      say(isStoreFailure(result) ? `failed ${result.code}` : `${pair} ${index}`);
    }
  }
  store.close();
}
