import { join } from 'node:path';
import { encodedRecord } from '../../../src/core/ledger/encoded-record.ts';
import { readLog } from '../../../src/core/ledger/log/log-reader.ts';
import type { SegmentLog } from '../../../src/core/ledger/log/log.ts';
import { emitterNameFrom } from '../../../src/authority/records/emitter.ts';
import type { EmitterName, LogPart } from '../../../src/authority/records/emitter.ts';
import { openEmitterFile } from '../../../src/authority/records/emitter-file.ts';
import { Receiver } from '../../../src/authority/records/receiver.ts';
import type { ReceivedStream, StreamRefusal } from '../../../src/authority/records/received-stream.ts';
import type { ReceiverServices } from '../../../src/authority/records/receiver.ts';
import { RecordFiles } from '../../../src/authority/records/record-files.ts';
import type { LedgerRecord } from '../../../src/core/ledger/record.ts';
import type { EmitterRecord } from '../../../src/core/ledger/log-record.ts';
import type { After } from '../../../src/core/runtime/timers.ts';
import { must, mustFind } from '../../builders/must.ts';
import { incoming, mustOpenLog, portsAt, settingsIn } from '../../core/ledger/log/logs.ts';

/** Timers that fire when the test says that their time has come. */
export class ManualTimers {
  nowMs = 0;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];

  readonly after: After = (delayMs, run) => {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((each) => each !== timer));
  };

  /** What runs now and is no timer. */
  running = 0;

  /** Lets time pass, and what it sets off come to rest. */
  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      await this.#rest();
      const [next] = this.#timers.toSorted((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.#timers = this.#timers.filter((each) => each !== next);
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = endMs;
    await this.#rest();
  }

  async #rest(): Promise<void> {
    do await new Promise((resolve) => setTimeout(resolve, 1));
    while (this.running > 0);
  }
}

/** A sidecar's log, with records added to it and a checkpoint at its end. */
export function sidecarLog(
  folder: string,
  size: number,
  { from = 1, to = size, trustDomain = 'acme.test' } = {},
): SegmentLog {
  const log = mustOpenLog(
    settingsIn(folder, { trustDomain, name: 'tools-7', keyFile: join(folder, 'tools-7.pem'), checkpointFile: null }),
    portsAt(1_000),
  );
  addRecords(log, { from, to });
  must(log.checkpoint());
  return log;
}

export function addRecords(log: SegmentLog, { from, to }: { readonly from: number; readonly to: number }): void {
  const records = Array.from({ length: to - from + 1 }, (_, index) => incoming(from + index));
  must(log.append(records, 'none'));
}

export const sidecarId = 'spiffe://acme.test/ns/tools/sa/tools-7';

export const nameOf = (log: SegmentLog, id: string = sidecarId): EmitterName =>
  must(emitterNameFrom({ origin: log.origin, verifierKey: log.verifierKey }, { id, trustDomain: 'acme.test' }));

/** All that the log in a folder has after a number of records, without a checkpoint. */
export const unsignedPart = (folder: string, from: number): LogPart => ({
  from,
  leaves: mustFind(readLog(join(folder, 'ledger'), (log) => [...log.leaves(from + 1)].map(({ bytes }) => bytes))),
  checkpoint: '',
});

/** What the log in a folder has after a number of records, up to its last checkpoint, as its emitter sends it. */
export function partFrom(folder: string, from: number): LogPart {
  const { leaves, notes } = mustFind(
    readLog(join(folder, 'ledger'), (log) => ({
      leaves: [...log.leaves(from + 1)].map(({ bytes }) => bytes),
      notes: [...log.checkpoints()].map(({ note }) => note),
    })),
  );
  const note = notes.at(-1) ?? '';
  const signed = Number(note.split('\n')[1]);
  return { from, leaves: leaves.slice(0, signed - from), checkpoint: note };
}

/** An authority that receives into `records` beside its own ledger. */
export async function authority(folder: string, change: Partial<ReceiverServices> = {}) {
  const timers = new ManualTimers();
  const log = mustOpenLog(settingsIn(folder), portsAt(1_000));
  const records = join(folder, 'records');
  const store = new RecordFiles(records, portsAt(1_000));
  const heads = must(openEmitterFile(join(records, 'emitters.db'), portsAt(1_000)));
  const faults: (string | null)[] = [];
  const used = change.store ?? store;
  let isStopped = false;
  const run: After = (delayMs, each) => (change.after ?? timers.after)(delayMs, () => isStopped || each());
  const receiver = new Receiver({
    heads,
    record: async (record: LedgerRecord) =>
      log.append([{ bytes: must(encodedRecord(record)).bytes, outbox: null }], 'none') === null,
    ports: { nowMs: () => 5_000, monotonicMs: () => timers.nowMs },
    onFault: (problem) => void faults.push(problem),
    ...change,
    after: run,
    store: {
      keep: async (sections) => {
        timers.running += 1;
        try {
          return await used.keep(sections);
        } finally {
          timers.running -= 1;
        }
      },
    },
  });
  expectNone(await receiver.start());
  const close = async (): Promise<void> => {
    await receiver.close();
    await store.close();
    await heads.close();
    must(log.checkpoint());
    log.close();
  };
  /** It does nothing more, and says nothing. */
  const stop = (): void => void (isStopped = true);
  return { receiver, timers, records, log, folder, faults, close, stop };
}

const expectNone = (problem: string | null): void => {
  if (problem !== null) throw new Error(problem);
};

/** A stream that must be accepted, with the sizes it is told are kept. */
export async function connected(receiver: Pick<Receiver, 'connect'>, name: EmitterName, size: number) {
  const kept: number[] = [];
  const over: string[] = [];
  const stream = await receiver.connect(name, size, {
    onKept: (each) => void kept.push(each),
    onOver: (problem) => void over.push(problem),
  });
  return { stream: must<ReceivedStream | StreamRefusal>(stream), kept, over };
}

/** The records of emitters in the ledger of an authority. */
export const emitterRecords = (folder: string): readonly EmitterRecord[] =>
  mustFind(
    readLog(join(folder, 'ledger'), (log) =>
      [...log.found({ kind: 'emitter' }, { isNewestFirst: false })].map(
        ({ bytes }) => (JSON.parse(Buffer.from(bytes).toString('utf8')) as { readonly record: EmitterRecord }).record,
      ),
    ),
  );
