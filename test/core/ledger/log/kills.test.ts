import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { recordBytesIn } from '../../../../src/core/ledger/proof/leaf.ts';
import { readLog } from '../../../../src/core/ledger/log/log-reader.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustOpen } from '../../../builders/state-file.ts';
import { drawn } from '../../../drawn.ts';
import { thoroughly } from '../../../thoroughly.ts';
import { verdictIn } from './verified.ts';

const folder = testFolders();

const LANES = 2;
const KILLS = thoroughly(25, 8);
/** Length of paths, so that 250 records fill a block of the index, as some runs write. */
const LENGTH = 16_000;
const { seed, random } = drawn();
const script = join(import.meta.dirname, 'killed-ledger.ts');
const cache = join(folder(), 'compiled');
mkdirSync(cache);

/** Runs the writer on a folder, and kills it at one of its first acknowledgements, or lets it finish `rounds`. */
async function run(at: string, first: number, rounds: number | null): Promise<readonly string[]> {
  const words = ['--no-warnings', script, at, String(first), String(rounds ?? Infinity), String(LENGTH)];
  const child = spawn(process.execPath, words, {
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const killAt = random.whole(2, 201);
  const delayMs = random.between(0, 60);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    if (rounds === null && output.split('\n').length > killAt) setTimeout(() => child.kill('SIGKILL'), delayMs);
  });
  await once(child, 'close');
  return output.split('\n').slice(0, -1);
}

interface Held {
  readonly uses: ReadonlyMap<number, number>;
  readonly issued: readonly string[];
}

/** The content of the ledger, and the tasks in the state file. */
function heldIn(at: string): Held {
  const store = mustOpen(join(at, 'state.db'));
  const waiting = store.outbox(0, 1_000);
  const fileId = store.fileId();
  store.close();
  if (isStoreFailure(waiting) || isStoreFailure(fileId)) throw new Error('unread');
  const read = readLog(join(at, 'ledger'), (log) => {
    const records = [...log.leaves()].map(
      ({ bytes }) => JSON.parse(Buffer.from(recordBytesIn(bytes)).toString()) as Record<string, unknown>,
    );
    const taken = log.takenOf(fileId);
    const rest = waiting.filter(({ outbox }) => outbox > taken).map(({ task }) => String(task));
    return {
      uses: new Map(
        records
          .filter(({ kind }) => kind === 'use')
          .map(({ decisionId, at: when }) => [Number(String(decisionId).slice(4)), Number(when)] as const),
      ),
      issued: [...records.filter(({ kind }) => kind === 'end').map(({ task }) => String(task)), ...rest],
    };
  });
  if (read === null || isStoreFailure(read)) throw new Error('unread');
  return read;
}

const numbersOf = (lines: readonly string[], what: string): readonly number[] =>
  lines.filter((line) => line.startsWith(`${what} `)).map((line) => Number(line.split(' ')[1]));

/** One ledger through many kills. */
async function manyKills(
  at: string,
): Promise<{ readonly problems: readonly string[]; readonly lossesMs: readonly number[] }> {
  const problems: string[] = [];
  const lossesMs: number[] = [];
  const kept = new Set<number>();
  let first = 1;
  for (let kill = 1; kill <= KILLS; kill++) {
    const lines = await run(at, first, null);
    const key = lines[0]?.split(' ')[1] ?? '';
    if (!lines[0]?.startsWith('opened ')) problems.push(`kill ${kill}: ${lines[0]}`);
    if (lines.some((line) => /^(?:failed|fatal)/.test(line))) problems.push(`kill ${kill}: refused`);
    const { uses, issued } = heldIn(at);
    for (const id of [...kept, ...numbersOf(lines, 'durable')]) {
      if (!uses.has(id)) problems.push(`kill ${kill}: durable use ${id} is lost`);
      kept.add(id);
    }
    for (const n of numbersOf(lines, 'issued')) {
      const times = issued.filter((task) => Number(task.slice(-12)) === n).length;
      if (times !== 1) problems.push(`kill ${kill}: the record of task ${n} is there ${times} times`);
    }
    const batch = lines.filter((line) => line.startsWith('batch ')).map((line) => line.split(' ').slice(1).map(Number));
    const lost = batch.filter(([id = 0]) => !uses.has(id));
    const lastMs = batch.at(-1)?.[1] ?? 0;
    if (lost.length > 0) lossesMs.push(lastMs - (lost[0]?.[1] ?? lastMs));
    // Only the end is lost: nothing accepted later is present.
    const firstLost = lost[0]?.[0] ?? Infinity;
    if (batch.some(([id = 0]) => id > firstLost && uses.has(id))) problems.push(`kill ${kill}: a gap at ${firstLost}`);
    const verdict = verdictIn(join(at, 'ledger'), { key, anchors: join(at, 'checkpoints.txt') });
    if (verdict.kind !== 'sound') problems.push(`kill ${kill}: ${JSON.stringify(verdict)}`);
    first = Math.max(first, ...[...numbersOf(lines, 'batch')].map((id) => Math.floor(id / 10))) + 1;
  }
  const last = await run(at, first, 3);
  const verdict = verdictIn(join(at, 'ledger'), {
    key: last[0]?.split(' ')[1] ?? '',
    anchors: join(at, 'checkpoints.txt'),
  });
  if (last.at(-1) !== 'closed' || verdict.kind !== 'sound' || verdict.bare !== null)
    problems.push('the last one did not end well');
  return { problems, lossesMs };
}

describe('a ledger killed at any moment', () => {
  it(`keeps durable uses and issued tasks, once, and verifies, in ${LANES * KILLS} kills`, async () => {
    const lives = await Promise.all(Array.from({ length: LANES }, () => manyKills(folder())));
    expect({ seed, problems: lives.flatMap(({ problems }) => problems) }).toEqual({ seed, problems: [] });
    // The writer waits at most 50 ms and one commit, which takes long on a slow machine.
    const losses = lives.flatMap(({ lossesMs }) => lossesMs).toSorted((a, b) => a - b);
    expect(losses[Math.floor(losses.length / 2)] ?? 0).toBeLessThanOrEqual(500);
  }, 900_000);
});
