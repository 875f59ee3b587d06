/** The program of the thread that has the checkpoints of the ledger cosigned. */
import { parentPort, workerData } from 'node:worker_threads';
import { readLog } from '../../../core/ledger/log/log-reader.ts';
import { witnessKeyFrom } from '../../../core/ledger/proof/note-key.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { systemPorts } from '../../../core/runtime/ports.ts';
import { after } from '../../../core/runtime/timers.ts';
import type { WitnessThreadInput, WitnessThreadMessage } from './witness-messages.ts';
import { pauseMs } from './witness-pause.ts';
import { visitWitness } from './witness-visit.ts';
import type { Witness } from './witness-visit.ts';
import { WitnessedFile } from './witnessed-file.ts';

// Entry point of the thread of `witness-thread.ts`: no check waits for it, for what it reads of the ledger, or for what it hashes.

/** How long the last visits may take, once the ledger is closed. */
const CLOSE_MS = 3_000;

// Given by `witness-thread.ts` only.
const { folder, file, witnesses, everyMs } = workerData as WitnessThreadInput;

const say = (message: WitnessThreadMessage): void =>
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(message);

const prunedNow = (): number | Problem => {
  const pruned = readLog(folder, (log) => log.carried.range.size);
  return isStoreFailure(pruned) ? { problem: pruned.detail } : (pruned ?? 0);
};
const kept = new WitnessedFile(file, prunedNow);

const keep = (note: string): void => {
  const problem = kept.keep(note);
  say({ kind: 'file', problem: problem === null ? null : `\`${file}\` grows: ${problem}` });
};

/** Visits a witness again and again. The returned function ends that with a last visit. */
function follow(witness: Witness, index: number): () => Promise<void> {
  const ending = new AbortController();
  let size: number | null = null;
  let failures = 0;
  let cancel: (() => void) | null = null;
  const visit = async (signal: AbortSignal): Promise<void> => {
    const state = await visitWitness(witness, size, { folder, keep, signal });
    // After a contradiction it is asked anew: it may have been set right.
    size = state.kind === 'contradicts' ? null : state.kind === 'cosigned' ? state.size : size;
    failures = state.kind === 'behind' ? failures + 1 : 0;
    say({ kind: 'visited', index, state });
    if (!ending.signal.aborted)
      cancel = after(pauseMs(state.kind, { failures, everyMs, random: systemPorts.randomBytes(1)[0] ?? 0 }), begin);
  };
  let underWay = Promise.resolve();
  const begin = (): void => {
    underWay = visit(ending.signal);
  };
  begin();
  return async () => {
    cancel?.();
    ending.abort();
    await underWay;
    await visit(AbortSignal.timeout(CLOSE_MS));
  };
}

const followed = witnesses.flatMap(({ url, key }, index) => {
  const read = witnessKeyFrom(key);
  return isProblem(read) ? [] : [follow({ url, key: read }, index)];
});

async function close(): Promise<void> {
  await Promise.all(followed.map((end) => end()));
  say({ kind: 'closed' });
  parentPort?.close();
}

parentPort?.once('message', () => void close());
