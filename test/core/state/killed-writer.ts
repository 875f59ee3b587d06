import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { openStore } from '../../../src/authority/state/sqlite/open-store.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { agreeing } from '../../builders/state-file.ts';
import { livePair } from './pair-life.ts';

/**
 * `killed-writer.ts FILE FIRST PAIRS`: takes pairs of tasks through all their steps, from number FIRST on, until it is killed
 * or has done PAIRS of them, and prints `opened` and what `livePair` says.
 */

const [file = '', first = '1', pairs = 'Infinity'] = process.argv.slice(2);
const say = (line: string): void => void writeSync(1, `${line}\n`);

const store = openStore(file, { ...agreeing(), randomBytes });
if (isStoreFailure(store)) {
  say(`unopened ${store.code}`);
} else {
  say('opened');
  for (let pair = Number(first); pair < Number(first) + Number(pairs); pair++) {
    livePair(store, pair, say);
  }
  store.close();
}
