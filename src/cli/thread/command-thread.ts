import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { ThreadInput, ThreadIo, ThreadMessage } from './thread-commands.ts';
import { programBeside } from '../../core/runtime/system/program-beside.ts';

/**
 * V8 lets the young generation of a process that makes much garbage grow to 64 MiB and more; its size is set at the start of a process
 * or of a thread. Measured with 1,000,000 records: a smaller thread takes no longer.
 */
const LIMITS = { maxYoungGenerationSizeMb: 12 };

/**
 * Lets the old generation grow by a half, not by the threefold, before a full collection: records that wait for their outcome come to lie there.
 * Alone it is worth 14 % of the memory of `remit learn` (195 MiB for 226, a ledger of 1,000,000 records), for 8 % more processor time.
 */
const GROWING = '--heap-growing-percent=50';

/**
 * Runs a command that reads many records in a thread with a small young generation, to its exit code. Rejects with the fault that ended it.
 */
export function runInThread(
  name: ThreadInput['name'],
  args: readonly string[],
  { out, err, progress, environment }: ThreadIo,
): Promise<number> {
  const input: ThreadInput = {
    name,
    args,
    environment: { ...environment },
    hasProgress: progress !== undefined,
  };
  setFlagsFromString(GROWING);
  return new Promise((resolve, reject) => {
    const worker = new Worker(programBeside(import.meta.url, 'command-worker'), {
      workerData: input,
      resourceLimits: LIMITS,
    });
    const lines = { out, err, progress: progress ?? ((): void => undefined) };
    worker.on('message', (message: ThreadMessage) => {
      if ('exit' in message) resolve(message.exit);
      else lines[message.to](message.line);
    });
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('its thread ended before the command did')));
  });
}
