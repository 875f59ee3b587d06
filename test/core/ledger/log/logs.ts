import { join } from 'node:path';
import { recordBytesIn } from '../../../../src/core/ledger/proof/leaf.ts';
import { SegmentLog } from '../../../../src/core/ledger/log/log.ts';
import type { IncomingRecord } from '../../../../src/core/ledger/log/log.ts';
import type { LogPorts } from '../../../../src/core/ledger/log/log-ports.ts';
import { readLog } from '../../../../src/core/ledger/log/log-reader.ts';
import type { LogSettings } from '../../../../src/core/ledger/log/log-settings.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { endRecord } from '../../../builders/ledger-record.ts';
import { must } from '../../../builders/must.ts';

/** A log in a test folder, with segments so large and a retention so long that neither limit is reached. */
export const settingsIn = (folder: string, change: Partial<LogSettings> = {}): LogSettings => ({
  folder: join(folder, 'ledger'),
  trustDomain: 'acme.test',
  name: 'main',
  keyFile: join(folder, 'ledger-key.pem'),
  checkpointFile: join(folder, 'checkpoints.txt'),
  segment: { maxBytes: 1024 ** 3, maxAgeMs: 3_600_000 },
  retain: { maxBytes: 1024 ** 3, maxAgeMs: 86_400_000 },
  ...change,
});

let drawn = 0;

/** A clock that stands at `nowMs`, and unique random bytes. */
export const portsAt = (nowMs: number): LogPorts & { nowMs: () => number } => ({
  nowMs: () => nowMs,
  monotonicMs: () => nowMs + 0.5,
  randomBytes: (length) => {
    drawn += 1;
    return Buffer.from(String(drawn).padStart(length, '0').slice(-length));
  },
});

export const mustOpenLog = (settings: LogSettings, ports: LogPorts = portsAt(1_000)): SegmentLog =>
  must(SegmentLog.open(settings, ports));

/**
 * An incoming record of an end.
 * @param n number of its task, and its time
 */
export const incoming = (n: number, outbox: number | null = null): IncomingRecord => ({
  bytes: endRecord(n).bytes,
  outbox,
});

/** The content of a log: number and time of each record, and the notes. */
export const contents = (
  folder: string,
): { readonly records: readonly (readonly [number, string, number])[]; readonly notes: readonly string[] } => {
  const read = readLog(folder, (log) => ({
    records: [...log.leaves()].map(({ seq, bytes }) => {
      const record = JSON.parse(Buffer.from(recordBytesIn(bytes)).toString()) as { kind: string; at: number };
      return [seq, record.kind, record.at] as const;
    }),
    notes: [...log.checkpoints()].map(({ note }) => note),
  }));
  if (read === null || isStoreFailure(read)) throw new Error(read?.detail ?? 'there is no log');
  return read;
};

export const failureOf = (value: unknown): StoreFailure => {
  if (!isStoreFailure(value)) throw new Error('it did not fail');
  return value;
};
