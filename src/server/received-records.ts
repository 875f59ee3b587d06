import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ReceivedRecords } from '../authority/received-records.ts';
import type { Config } from '../config/config.ts';
import { recordsPlaceOf } from '../config/records.ts';
import { openEmitterFile } from '../ledger/received/emitter-file.ts';
import { Receiver } from '../ledger/received/receiver.ts';
import { RecordFiles } from '../ledger/received/record-files.ts';
import { RecordObjects } from '../ledger/received/record-objects.ts';
import type { RecordStore } from '../ledger/received/record-store.ts';
import type { LedgerWriter } from '../ledger/writer.ts';
import type { Ports } from '../runtime/ports.ts';
import { after } from '../runtime/timers.ts';
import { lockFile } from '../sqlite/file-lock.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { Faults } from '../telemetry/faults.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Closers } from './closers.ts';
import { codeOf, isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';

/** Dependencies of what receives the records of sidecars. */
export interface ReceivingServices {
  /** The ledger of this process. */
  readonly writer: Pick<LedgerWriter, 'durable'>;
  readonly ports: Ports;
  readonly faults: Faults;
  readonly metrics: Metrics;
  readonly log: (line: string) => void;
  readonly closers: Pick<Closers, 'push'>;
}

/** Opens the place of a configuration for the records of sidecars. On a problem what is open is closed by the closers. */
export async function openReceivedRecords(
  config: Pick<Config, 'records' | 'state' | 'ledger' | 'trustDomains'>,
  { writer, ports, faults, metrics, log, closers }: ReceivingServices,
): Promise<ReceivedRecords | StartProblem> {
  const store = await openStore(config, { ports, closers });
  if (isStartProblem(store)) return store;
  const heads = openEmitterFile(store.headsFile, ports);
  if (isStoreFailure(heads)) return { problem: heads.detail };
  closers.push(() => heads.close());
  const receiver = new Receiver({
    store: store.records,
    heads,
    record: async (record) => {
      const isWritten = await writer.durable(record);
      if (isWritten) metrics.emitterEvents.of({ event: record.event }).inc();
      return isWritten;
    },
    ports,
    after,
    onFault: (problem) => faults.set('received records', problem),
  });
  closers.push(async () => {
    const problem = await receiver.close();
    if (problem !== null) log(`received records: ${problem}`);
  });
  const problem = await receiver.start();
  if (problem !== null) return { problem };
  metrics.beforeScrape(() => {
    const { logs, waitingBytes } = receiver.status;
    metrics.receivedLogs.of({}).set(logs);
    metrics.receivedWaiting.of({}).set(waitingBytes);
  });
  return { receiver, trustDomain: config.trustDomains[0] ?? 'none' };
}

interface OpenStore {
  readonly records: RecordStore;
  /** The file that says how far each log is kept. */
  readonly headsFile: string;
}

async function openStore(
  config: Pick<Config, 'records' | 'state' | 'ledger'>,
  { ports, closers }: Pick<ReceivingServices, 'ports' | 'closers'>,
): Promise<OpenStore | StartProblem> {
  const place = recordsPlaceOf(config);
  if (place.kind === 's3') {
    // Loaded here alone: it is large.
    const { S3Bucket } = await import('../ledger/received/s3-bucket.ts');
    const records = new RecordObjects(new S3Bucket(place.place), ports);
    closers.push(() => records.close());
    return { records, headsFile: join(dirname(config.ledger.folder), 'emitters.db') };
  }
  const { folder } = place;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const lock = lockFile(join(folder, 'lock.db'), 'exclusive');
    if (lock === null) return { problem: `the received records \`${folder}\` are in use by another process` };
    closers.push(() => lock.release());
    const records = new RecordFiles(folder, ports);
    closers.push(() => records.close());
    return { records, headsFile: join(folder, 'emitters.db') };
  } catch (error) {
    return { problem: `the received records \`${folder}\` cannot be opened: ${codeOf(error)}` };
  }
}
