import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fsyncSync, ftruncateSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { openStore } from '../../../src/authority/state/sqlite/open-store.ts';
import { livePair } from './pair-life.ts';
import { agreeing } from '../../builders/state-file.ts';

/**
 * `failing-writer.ts FOLDER CALL EVERY FIRST STRIDE [lasting]`: takes a pair of tasks through all its steps on a disk that fails at the
 * system call CALL number FIRST, on another that fails STRIDE calls later, and so on for as many as a life makes: each in a state
 * file of its own, all in one process. It runs under strace with `inject=CALL:error=…:when=EVERY+EVERY`, and makes calls in vain
 * until the next to fail is the one it wants. Where the disk goes on failing (`lasting`, with `when=EVERY+`) each life has a thread
 * of its own, since strace counts the calls of each thread. It prints `disk N`, then what `livePair` says; last `done CALLS`, how
 * many a life makes.
 */
const [folder = '', call = '', every = '', first = '', stride = '', lasting] = process.argv.slice(2);
const say = (line: string): void => void writeSync(1, `${line}\n`);

/** No file has this number or this name: without a fault the call is refused, and changes nothing. */
const [NO_FILE, NO_PATH] = [1_000_000, '/nowhere/at/all'];
const vainCalls: Readonly<Record<string, () => void>> = {
  fsync: () => fsyncSync(NO_FILE),
  pwrite64: () => writeSync(NO_FILE, Buffer.alloc(1), 0, 1, 0),
  ftruncate: () => ftruncateSync(NO_FILE, 1),
  unlink: () => unlinkSync(NO_PATH),
  rename: () => renameSync(NO_PATH, NO_PATH),
};

/** Makes a call in vain; whether it was one that is made to fail. */
function failsInVain(): boolean {
  try {
    vainCalls[call]?.();
  } catch (error) {
    return error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'ENOSPC');
  }
  throw new Error(`no call in vain for ${call}`);
}

/** Makes calls until one fails; their number. */
function callsUntilFault(): number {
  for (let count = 1; count <= Number(every); count++) if (failsInVain()) return count;
  throw new Error(`no fault in ${every} calls`);
}

/** Has the nth call of what follows fail, where EVERY are left until a fault. */
function failAt(n: number): void {
  for (let left = Number(every); left > n; left--) if (failsInVain()) throw new Error('a fault too early');
}

/** One life of a pair, whose nth call fails. */
function liveOnDisk(n: number): void {
  say(`disk ${n}`);
  const store = openStore(join(folder, `${n}.db`), { ...agreeing(), randomBytes });
  if (isStoreFailure(store)) return say(`unopened ${store.code}`);
  try {
    livePair(store, 1, say);
  } catch (error) {
    say(`threw ${String(error)}`);
  }
  store.close();
}

/** How many calls a life makes on a disk that does not fail. */
function callsOfLife(): number {
  const store = openStore(join(folder, 'sound.db'), { ...agreeing(), randomBytes });
  if (isStoreFailure(store)) throw new Error(store.detail);
  livePair(store, 1, (line) => {
    if (line.startsWith('failed')) throw new Error(`a life makes more than ${every} calls`);
  });
  store.close();
  return Number(every) - callsUntilFault();
}

if (!isMainThread) {
  const n = workerData as number;
  failAt(n);
  liveOnDisk(n);
} else {
  const calls = callsOfLife();
  for (let n = Number(first); n <= calls; n += Number(stride)) {
    if (lasting === undefined) {
      failAt(n);
      liveOnDisk(n);
      callsUntilFault();
    } else {
      await once(new Worker(import.meta.filename, { argv: process.argv.slice(2), workerData: n }), 'exit');
    }
  }
  say(`done ${calls}`);
}
