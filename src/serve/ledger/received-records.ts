import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ReceivedRecords } from '../../authority/feed/received-records.ts';
import type { Config } from '../../core/config/config.ts';
import { recordsPlaceOf } from '../../core/config/records.ts';
import type { RecordsConfig } from '../../core/config/records.ts';
import { openEmitterFile } from '../../authority/records/emitter-file.ts';
import { pruneReceived } from '../../authority/records/received-retention.ts';
import type { ReceivedRetention, RetentionServices } from '../../authority/records/received-retention.ts';
import { Receiver } from '../../authority/records/receiver.ts';
import { bucketArchive, bytesOf, folderArchive } from '../../authority/records/record-archive.ts';
import { keptApart } from '../../authority/records/kept-apart.ts';
import { RecordFiles } from '../../authority/records/record-files.ts';
import { RecordObjects } from '../../authority/records/record-objects.ts';
import type { RecordStore } from '../../authority/records/record-store.ts';
import type { EmitterRecord } from '../../core/ledger/log-record.ts';
import type { LedgerWriter } from '../../core/ledger/writer.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { repeatedly } from '../../core/runtime/repeatedly.ts';
import { after } from '../../core/runtime/timers.ts';
import { lockFile } from '../../core/sqlite/file-lock.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { Database, DatabaseGuard } from '../../authority/state/postgres/database.ts';
import type { Faults } from '../../core/telemetry/faults.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';
import type { Closers } from '../closers.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import { IndexThread } from './indexing/index-thread.ts';
import type { IndexTiming } from './indexing/index-thread.ts';
import { isStartProblem } from '../start-problem.ts';
import type { StartProblem } from '../start-problem.ts';

/** Dependencies of what receives the records of sidecars. */
export interface ReceivingServices {
  /** The ledger of this process. */
  readonly writer: Pick<LedgerWriter, 'durable'>;
  /** Id of this authority among its replicas; `null` if it has none. */
  readonly replica: string | null;
  /** The guard of the state's database. Default: none. */
  readonly guard?: DatabaseGuard | undefined;
  readonly ports: Ports;
  readonly faults: Faults;
  readonly metrics: Metrics;
  readonly log: (line: string) => void;
  readonly closers: Pick<Closers, 'push'>;
  /** How often old records are looked for. Default an hour. */
  readonly pruneEveryMs?: number;
  /** When the index is made. Default that of `IndexThread`. */
  readonly indexTiming?: Partial<IndexTiming>;
}

const PRUNE_MS = 3_600_000;
const DAY_MS = 86_400_000;
const GIB = 1024 ** 3;

const retainOf = ({ retainDays, retainGiB }: RecordsConfig): ReceivedRetention => ({
  maxAgeMs: retainDays * DAY_MS,
  maxBytes: retainGiB === null ? null : retainGiB * GIB,
});

/** Opens the place of a configuration for the records of sidecars. On a problem what is open is closed by the closers. */
export async function openReceivedRecords(
  config: Pick<Config, 'records' | 'state' | 'ledger' | 'trustDomains' | 'durability'>,
  services: ReceivingServices,
): Promise<ReceivedRecords | StartProblem> {
  const { writer, replica, guard, ports, faults, metrics, log, closers, pruneEveryMs = PRUNE_MS } = services;
  const database = await openRecordsDatabase(config, { guard, closers });
  const store = await openStore(config, { ...services, database });
  if (isStartProblem(store)) return store;
  const memory = { nowMs: ports.nowMs, recordsMs: retainOf(config.records).maxAgeMs };
  const heads =
    database === null || replica === null || store.headsFile !== null
      ? openEmitterFile(store.headsFile ?? join(dirname(config.ledger.folder), 'emitters.db'), memory)
      : (await import('../../authority/state/postgres/emitter-heads.ts')).emitterHeads(database, {
          id: replica,
          ...memory,
        });
  if (isStoreFailure(heads)) return { problem: heads.detail };
  closers.push(() => heads.close());
  const record = async (emitter: EmitterRecord): Promise<boolean> => {
    const isWritten = await writer.durable(emitter);
    if (isWritten) metrics.emitterEvents.of({ event: emitter.event }).inc();
    return isWritten;
  };
  const receiver = new Receiver({
    store: store.records,
    heads,
    record,
    ports,
    after,
    onFault: (problem) => {
      if (problem !== null) metrics.receivedFailures.of({ what: 'keep' }).inc();
      faults.set('received records', problem);
    },
  });
  closers.push(async () => {
    const problem = await receiver.close();
    if (problem !== null) log(`received records: ${problem}`);
  });
  const problem = await receiver.start();
  if (problem !== null) return { problem };
  const prune = async (): Promise<void> => {
    if (!heads.isFirst()) return;
    const pruned = await pruneReceived({ ...store, retain: retainOf(config.records), nowMs: ports.nowMs, record });
    faults.set('retention of received records', isProblem(pruned) ? pruned.problem : null);
    if (isProblem(pruned)) metrics.receivedFailures.of({ what: 'delete' }).inc();
    if (!isProblem(pruned) && pruned.objects > 0) {
      log(`received records: deleted ${pruned.objects} of the oldest files or objects, ${pruned.bytes} bytes`);
    }
  };
  closers.push(
    repeatedly(prune, { everyMs: pruneEveryMs, after, onFault: (fault) => log(`received records: ${fault}`) }),
  );
  metrics.beforeScrape(() => {
    const { logs, waitingBytes } = receiver.status;
    metrics.receivedLogs.of({}).set(logs);
    metrics.receivedWaiting.of({}).set(waitingBytes);
  });
  return { receiver, trustDomain: config.trustDomains[0] ?? 'none' };
}

/** Connections for records: a pool of their own, so that ending a task never waits for records. */
const MAX_CONNECTIONS = 4;

/** The database that all authorities share, if any. */
async function openRecordsDatabase(
  { state, durability }: Pick<Config, 'state' | 'durability'>,
  { guard, closers }: Pick<ReceivingServices, 'guard' | 'closers'>,
): Promise<Database | null> {
  if (state.kind !== 'postgres') return null;
  const { target } = state;
  const { Database } = await import('../../authority/state/postgres/database.ts');
  const database = new Database({ target, maxConnections: MAX_CONNECTIONS, hasQuorum: durability === 'quorum' });
  if (guard !== undefined) database.guardedBy(guard);
  closers.push(() => database.close());
  return database;
}

interface OpenStore extends Pick<RetentionServices, 'archive' | 'bytes'> {
  readonly records: RecordStore;
  /**
   * The file with how far each log is kept, if the store belongs to a single process; `null` if that is in the database, or in a file beside
   * the ledger.
   */
  readonly headsFile: string | null;
}

async function openStore(
  config: Pick<Config, 'records' | 'state' | 'ledger'>,
  services: ReceivingServices & { readonly database: Database | null },
): Promise<OpenStore | StartProblem> {
  const place = recordsPlaceOf(config);
  const {
    database,
    ports: { nowMs },
    closers,
  } = services;
  if (place.kind === 'file') {
    const opened = openFiles(place.folder, services);
    if (isStartProblem(opened) || !config.ledger.index) return opened;
    return { ...opened, records: keptIndexed(opened.records, place.folder, services) };
  }
  if (place.kind === 's3') {
    // Loaded here alone: it is large.
    const { S3Bucket } = await import('../../authority/records/s3-bucket.ts');
    const bucket = new S3Bucket(place.place);
    closers.push(() => bucket.close());
    const archive = bucketArchive(bucket);
    const records = new RecordObjects(bucket, { what: 'the object store', nowMs });
    return {
      records: keptApart(records, { ahead: records, nowMs }),
      archive,
      bytes: () => bytesOf(archive),
      headsFile: null,
    };
  }
  // The configuration allows it only with a database.
  if (database === null) return { problem: '`records: postgres` needs `state: postgres://…`' };
  const { MAX_OBJECT_BYTES, receivedBytes, receivedObjects } =
    await import('../../authority/state/postgres/received-objects.ts');
  const bucket = receivedObjects(database, nowMs);
  const records = new RecordObjects(bucket, { what: 'the database', nowMs, maxBytes: MAX_OBJECT_BYTES });
  return {
    records: keptApart(records, { ahead: records, nowMs }),
    archive: bucketArchive(bucket),
    bytes: () => receivedBytes(database),
    headsFile: null,
  };
}

function openFiles(
  folder: string,
  { ports, closers }: Pick<ReceivingServices, 'ports' | 'closers'>,
): OpenStore | StartProblem {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const lock = lockFile(join(folder, 'lock.db'));
    if (lock === null) return { problem: `the received records \`${folder}\` are in use by another process` };
    closers.push(() => lock.release());
    const [files, ahead] = [new RecordFiles(folder, ports), new RecordFiles(folder, ports)];
    for (const each of [files, ahead]) closers.push(() => each.close());
    const records = keptApart(files, { ahead, nowMs: ports.nowMs });
    const archive = folderArchive(folder);
    return { records, archive, bytes: () => bytesOf(archive), headsFile: join(folder, 'emitters.db') };
  } catch (error) {
    return { problem: `the received records \`${folder}\` cannot be opened: ${errorCode(error) ?? 'unknown error'}` };
  }
}

/** The same store, which is also indexed automatically, in a thread of its own. */
function keptIndexed(
  store: RecordStore,
  folder: string,
  { metrics, faults, closers, indexTiming: timing }: ReceivingServices,
): RecordStore {
  let records = 0;
  const growth = () => ({ records, closed: 0 });
  const index = new IndexThread({ of: 'received', folder }, { metrics, faults, growth, timing });
  closers.push(() => index.close());
  return {
    keep: async (sections) => {
      const problem = await store.keep(sections);
      if (problem === null) records += sections.reduce((sum, { leaves }) => sum + leaves.length, 0);
      return problem;
    },
  };
}
