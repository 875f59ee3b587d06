import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { drawn } from '../../drawn.ts';
import { thoroughly } from '../../thoroughly.ts';
import { ledgerProblem, spentIn } from './state-file.ts';
import { type Seen, seenAfter, seenOf, steps } from './steps.ts';
import { compiledOnce, writerWords } from './writer-process.ts';

const folder = testFolders();

const LANES = 3;
const KILLS = thoroughly(24, 8);
/** A writer is killed at one of its first acknowledgements, or within this time after it. */
const MAX_LINES = 60;
const MAX_DELAY_MS = 2;

const { seed, random } = drawn();
const environment = compiledOnce(folder());

/** Lets a writer work from a pair of tasks on, kills it, and returns what it acknowledged. */
async function killedWriter(file: string, firstPair: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, writerWords(file, String(firstPair)), {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [killAt, delayMs] = [random.whole(0, MAX_LINES - 1), random.between(0, MAX_DELAY_MS)];
  let output = '';
  let isDue = false;
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    if (isDue || output.split('\n').length <= killAt) return;
    isDue = true;
    setTimeout(() => child.kill('SIGKILL'), delayMs);
  });
  await once(child, 'close');
  return output.split('\n').slice(0, -1);
}

/** One file through many kills. What was seen after each kill must be seen after every later one. */
async function manyKills(file: string): Promise<{ readonly problems: readonly string[]; readonly steps: number }> {
  const kept = new Map<number, Seen>();
  const problems: string[] = [];
  let acknowledged = 0;
  let firstPair = 1;
  for (let kill = 1; kill <= KILLS; kill++) {
    const lines = await killedWriter(file, firstPair);
    if (lines.some((line) => !/^(?:opened|\d+ \d+)$/.test(line))) problems.push(`kill ${kill}: ${lines.join(', ')}`);
    const done = lines.filter((line) => line !== 'opened').length;
    acknowledged += done;
    const lastPair = firstPair + Math.floor(done / steps.length);
    const store = mustOpen(file);
    for (let pair = 1; pair <= lastPair; pair++) {
      const seen = seenOf(store, pair, (taskId) => spentIn(file, taskId));
      const before = kept.get(pair);
      const count = Math.min(steps.length, Math.max(0, done - (pair - firstPair) * steps.length));
      const possible = before === undefined ? [seenAfter(count), seenAfter(count + 1)] : [before];
      if (!possible.some((one) => JSON.stringify(one) === JSON.stringify(seen))) {
        problems.push(`kill ${kill}, pair ${pair}, ${count} steps acknowledged: ${JSON.stringify(seen)}`);
      }
      kept.set(pair, seen);
    }
    store.close();
    firstPair = lastPair + 1;
  }
  const ledger = ledgerProblem(file);
  return { problems: ledger === null ? problems : [...problems, ledger], steps: acknowledged };
}

describe('a writer killed at any moment', () => {
  it(`loses nothing that it acknowledged and brings nothing back, in ${LANES * KILLS} kills`, async () => {
    const lives = await Promise.all(Array.from({ length: LANES }, () => manyKills(join(folder(), 'state.db'))));
    expect({ seed, problems: lives.flatMap(({ problems }) => problems) }).toEqual({ seed, problems: [] });
    expect(lives.every((life) => life.steps > KILLS)).toBe(true);
  }, 900_000);
});
