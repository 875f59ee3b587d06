/** The program of the thread that makes the index by which records are found. */
import { statfsSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { indexReceived } from '../../../authority/records/received-index.ts';
import { indexLedger } from '../../../core/ledger/log/indexed-ledger.ts';
import { systemPorts } from '../../../core/runtime/ports.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';
import { yieldToOthers } from '../../../core/runtime/system/thread-priority.ts';
import type { IndexReport, IndexThreadInput } from './index-messages.ts';

// Entry point of the thread of `index-thread.ts`: it makes what is missing, and ends. It may be ended at any point: a part is there whole or not at all.

/** Records between two rests. */
const PACE_RECORDS = 256;
/** A rest is this many times as long as the work before it, so that a container with one processor has time for checks. */
const REST = 3;
const MAX_REST_MS = 1_000;
/** Share of the disk that must stay free for records. */
const MIN_FREE = 0.05;

// Given by `index-thread.ts` only.
const { of, folder, partRecords } = workerData as IndexThreadInput;

const say = (report: IndexReport): void =>
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(report);

const asleep = new Int32Array(new SharedArrayBuffer(4));
let unpaced = 0;
let beganMs = systemPorts.monotonicMs();

/** Rests after enough records. */
function pace(records = 1): void {
  unpaced += records;
  if (unpaced < PACE_RECORDS) return;
  unpaced = 0;
  Atomics.wait(asleep, 0, 0, Math.min(REST * (systemPorts.monotonicMs() - beganMs), MAX_REST_MS));
  beganMs = systemPorts.monotonicMs();
}

type Step = { readonly indexed: number; readonly left: number; readonly made: number } | Problem;

function roomProblem(): Problem | null {
  const { bavail, blocks } = statfsSync(folder);
  return bavail < blocks * MIN_FREE
    ? { problem: `less than ${MIN_FREE * 100} % of the disk of \`${folder}\` is free` }
    : null;
}

/** Makes what is missing: all of it, or a part of that of a ledger. */
function step(): Step {
  const full = roomProblem();
  if (full !== null) return full;
  const suffix = Buffer.from(systemPorts.randomBytes(4)).toString('hex');
  if (of === 'received') return receivedStep(suffix);
  const done = indexLedger(folder, { nowMs: systemPorts.nowMs(), suffix, partRecords, onRecord: pace, maxParts: 1 });
  if (isStoreFailure(done)) return { problem: done.detail };
  return done ?? { indexed: 0, left: 0, made: 0 };
}

function receivedStep(suffix: string): Step {
  let full: Problem | null = null;
  const onPack = ({ indexed, left }: { readonly indexed: number; readonly left: number }): boolean => {
    say({ indexed, left });
    full = roomProblem();
    return full === null;
  };
  const done = indexReceived(folder, { suffix, packRecords: partRecords, onRecords: pace, onPack });
  return full ?? done;
}

function stepped(): Step {
  try {
    return step();
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return { problem: `the index of \`${folder}\` cannot be made: ${code}` };
  }
}

yieldToOthers();
for (let leftBefore = Number.POSITIVE_INFINITY; ;) {
  const done = stepped();
  say(isProblem(done) ? { problem: done.problem } : { indexed: done.indexed, left: done.left });
  // A part that cannot be used, of records that were tampered with, is made again each time.
  if (isProblem(done) || done.made === 0 || done.left >= leftBefore) break;
  leftBefore = done.left;
}
