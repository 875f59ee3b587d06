import { parentPort, workerData } from 'node:worker_threads';
import { systemPorts } from '../../runtime/ports.ts';
import { after } from '../../runtime/timers.ts';
import { isStoreFailure } from '../../sqlite/store-failure.ts';
import { SegmentLog } from './log.ts';
import type { LogThreadMessage, LogRequest, LogThreadInput } from './log-messages.ts';
import { unpacked } from './packed-records.ts';

// Entry point of the thread of `log-thread.ts`, which is the only writer of the ledger.

const CHECKPOINT_MS = 5_000;

const { settings, fileId } = workerData as LogThreadInput;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
const say = (message: LogThreadMessage): void => parentPort?.postMessage(message);
const log = SegmentLog.open(settings, systemPorts);

if (isStoreFailure(log)) {
  say({ kind: 'unopened', failure: log });
  parentPort?.close();
} else {
  serve(log);
}

function serve(open: SegmentLog): void {
  const { origin, verifierKey } = open;
  const checkpoint = (): void => {
    const made = open.checkpoint();
    if (made !== null) say({ kind: 'checkpoint', made });
  };
  let cancel: (() => void) | null = null;
  const tick = (): void => {
    checkpoint();
    cancel = after(CHECKPOINT_MS, tick);
  };
  cancel = after(CHECKPOINT_MS, tick);
  // Sent by `log-thread.ts` only.
  parentPort?.on('message', (request: LogRequest) => {
    if (request.kind === 'close') {
      cancel?.();
      checkpoint();
      say({ kind: 'closed', failure: open.close() });
      parentPort?.close();
      return;
    }
    const failure = open.append(unpacked(request.records), fileId);
    say({ kind: 'appended', failure, size: open.size, bytes: open.bytes });
    if (open.isCheckpointDue) checkpoint();
  });
  say({ kind: 'opened', origin, verifierKey, taken: open.takenOf(fileId), size: open.size, bytes: open.bytes });
}
