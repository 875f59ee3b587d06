/** The program of the thread that writes the log. */
import { parentPort } from 'node:worker_threads';
import { systemPorts } from '../../runtime/ports.ts';
import { collectOnceIdle } from '../../runtime/system/garbage.ts';
import { after } from '../../runtime/timers.ts';
import { isStoreFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { RingWriter } from './leaf-ring.ts';
import type { RingPart } from './leaf-ring.ts';
import { SegmentLog } from './log.ts';
import type { LogThreadMessage, LogRequest, LogThreadInput } from './log-messages.ts';
import { unpacked } from './segment/packed-records.ts';

// Entry point of the thread of `log-thread.ts`, which is the only writer of the ledger.

const CHECKPOINT_MS = 5_000;

const say = (message: LogThreadMessage): void =>
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(message);

// The thread starts before its log is known: the first message names the log.
parentPort?.once('message', (input: LogThreadInput) => {
  const log = SegmentLog.open(input.settings, systemPorts);
  if (!isStoreFailure(log)) return serve(log, input);
  say({ kind: 'unopened', failure: log });
  parentPort?.close();
});

function serve(open: SegmentLog, { fileId, ring }: LogThreadInput): void {
  const { origin, verifierKey } = open;
  const writer = ring && new RingWriter(ring);
  /** Only records that are on disk are shared. */
  const writtenBy = (failure: StoreFailure | null): readonly RingPart[] | null =>
    writer === null || failure !== null ? [] : writer.write(open.written);
  const checkpoint = (): void => {
    const made = open.checkpoint();
    if (made === null) return;
    say({ kind: 'checkpoint', made, written: writtenBy(isStoreFailure(made) ? made : null) });
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
    say({ kind: 'appended', failure, written: writtenBy(failure), size: open.size, bytes: open.bytes });
    if (open.isCheckpointDue) checkpoint();
  });
  collectOnceIdle({ after });
  say({ kind: 'opened', origin, verifierKey, taken: open.takenOf(fileId), size: open.size, bytes: open.bytes });
}
