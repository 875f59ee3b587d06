import { writeFileSync } from 'node:fs';
import { SegmentLog } from '../../src/core/ledger/log/log.ts';
import type { LogSettings } from '../../src/core/ledger/log/log-settings.ts';
import { encoded } from '../builders/ledger-record.ts';
import { must } from '../builders/must.ts';
import { taskNumber } from '../builders/task.ts';
import { witnessKeyOf } from '../../src/core/ledger/proof/note-key.ts';
import { privateKeyOf, publicKeyOf } from '../core/ledger/keys.ts';
import { settingsIn } from '../core/ledger/log/logs.ts';

/** The ledger of the page for auditors. Nothing of it is random, so its bytes stand on the page. */
export interface WorkedLedger {
  readonly settings: LogSettings;
  /** The verifier key. */
  readonly key: string;
  /** Its checkpoints, of 4 and of 6 records. */
  readonly notes: readonly string[];
}

/** 1 Jan 2026. */
const START_MS = 1_767_225_600_000;

/** The record that task number `n` was completed. */
const endOf = (n: number, at: number): Uint8Array =>
  encoded({
    kind: 'end',
    at,
    task: taskNumber(n).id,
    state: 'completed',
    cause: 'operator.completed',
    note: '',
    by: 'operator',
  }).bytes;

/** The witness of the page, and the second checkpoint with its cosignature. */
export const workedWitness = {
  key: witnessKeyOf('witness.acme.test/one', publicKeyOf(privateKeyOf(Buffer.alloc(32, 2)))),
  privateKey: privateKeyOf(Buffer.alloc(32, 2)),
};

/** When it cosigned. */
export const WORKED_AT_SECONDS = 1_767_225_700;

/** Writes it: three records and a checkpoint, then one record and a checkpoint. Seed of its key: 32 bytes `01`. */
export function workedLedger(folder: string): WorkedLedger {
  const settings = settingsIn(folder);
  const pem = privateKeyOf(Buffer.alloc(32, 1)).export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(settings.keyFile, pem, { mode: 0o600 });
  let drawn = 0xa0;
  const clock = { ms: START_MS };
  const log = must(
    SegmentLog.open(settings, {
      nowMs: () => clock.ms,
      monotonicMs: () => clock.ms - START_MS + 500,
      randomBytes: (length) => Buffer.alloc(length, drawn++),
    }),
  );
  const append = (...numbers: readonly number[]): void => {
    for (const n of numbers) {
      clock.ms = START_MS + n * 1_000;
      const failure = log.append([{ bytes: endOf(n, clock.ms), outbox: n }], 'f'.repeat(32));
      if (failure !== null) throw new Error(failure.detail);
    }
  };
  const checkpoint = (): string => {
    clock.ms += 5_000;
    const made = log.checkpoint();
    if (made === null) throw new Error('no checkpoint');
    return must(made).note;
  };
  append(1, 2, 3);
  const first = checkpoint();
  append(9);
  const notes = [first, checkpoint()];
  log.close();
  return { settings, key: log.verifierKey, notes };
}
