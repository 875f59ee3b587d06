import type { Config } from '../../core/config/config.ts';
import { statePathOf } from '../../core/config/state.ts';
import { LedgerWriter } from '../../core/ledger/writer.ts';
import type { StoredRecord } from '../../core/ledger/timeline.ts';
import type { LoadingLogThread, LogThread } from '../../core/ledger/log/log-thread.ts';
import { recordsOfTask } from '../../authority/records/task-records.ts';
import { OutboxRelay } from '../../core/state/outbox-relay.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { CheckpointNotice } from '../../core/telemetry/checkpoint-notice.ts';
import { recordMetrics } from '../../core/telemetry/metrics/record-metrics.ts';
import type { Faults } from '../../core/telemetry/faults.ts';
import type { Log } from '../../core/telemetry/log.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { Closers } from '../closers.ts';
import { IndexThread } from './indexing/index-thread.ts';
import type { IndexTiming } from './indexing/index-thread.ts';
import { LedgerGrowth, retainOf, roomLeft } from './ledger-room.ts';
import { measuredSink } from './measured-sink.ts';
import type { ShippedRecords } from './shipped-records.ts';
import { Witnesses } from './witness/witness-thread.ts';
import { relayOf, rolledBackProblem } from './state-outbox.ts';
import type { OutboxSource } from './state-outbox.ts';
import type { StartProblem } from '../start-problem.ts';
import type { Waits } from '../waits.ts';

/** The ledger of a process: the thread that writes it, the queue in front of it, and the relay from the state file. */
export interface Ledger {
  readonly writer: LedgerWriter;
  /** Origin of its log. */
  readonly origin: string;
  /** Its folder, its size when opened, and its verifier key, in words. */
  readonly notice: string;
  /** Relays the records in the state file. Call it after each of its commits. */
  readonly relay: () => void;
  /** The first records of a task, in ledger order, including those still queued; at most `limit`. */
  readonly recordsOf: (taskId: string, limit: number) => Promise<readonly StoredRecord[] | StoreFailure>;
  /** Writes everything that is queued. */
  readonly flush: () => Promise<void>;
}

/** Dependencies and callbacks of the ledger. */
export interface LedgerServices {
  /** Opens the log. Its starter also ends it. */
  readonly thread: LoadingLogThread;
  /** The state whose records are relayed; `null` at a sidecar, which has none. */
  readonly outbox: OutboxSource | null;
  /** Sends the records to an authority; `null` if this process is no sidecar. */
  readonly shipped: ShippedRecords | null;
  readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs'>;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly faults: Faults;
  readonly onFatal: (detail: string) => void;
  /** Receives each signed checkpoint. */
  readonly onCheckpoint: (checkpoint: CheckpointNotice) => void;
  /** Receives the tasks of allowed uses once these are on disk, each with the time of its last use. It must not throw. */
  readonly onUsed: (used: ReadonlyMap<string, number>) => void;
  /** If the database is an older copy, the start waits for the newer copy. */
  readonly waits: Waits;
  /** When the index is made. Default that of `IndexThread`. */
  readonly indexTiming?: Partial<IndexTiming>;
  /** Closing writes everything queued, signs the last checkpoint, and ends the thread. */
  readonly closers: Pick<Closers, 'push'>;
}

/** The name used in place of a state file if there is none. */
const NO_FILE = 'none';

/** Opens the ledger of a configuration, and relays the waiting records of the state file. */
export async function openLedger(
  config: Pick<Config, 'ledger' | 'trustDomains' | 'state'>,
  services: LedgerServices,
): Promise<Ledger | StartProblem> {
  const { ledger: settings, state } = config;
  const { outbox, shipped, metrics, ports, onUsed, waits, closers } = services;
  const fileId = (await outbox?.reader.fileId()) ?? NO_FILE;
  if (isStoreFailure(fileId)) return { problem: fileId.detail };
  const retain = retainOf(settings);
  const unsigned = new UnsignedSince(ports);
  const thread = await openLog(config, services, { fileId, retain, unsigned });
  if (isStoreFailure(thread)) return { problem: thread.detail, isTampered: thread.code === 'unfit' };
  const { taken, origin, verifierKey } = thread;
  const older = outbox && { ...outbox, taken, fileId, state: statePathOf(state), folder: settings.folder };
  const rolledBack = older && (await waits.until(() => rolledBackProblem(older)));
  if (rolledBack !== null) return rolledBack;
  if (settings.index) keepIndexed(settings.folder, thread, services);
  measureLog(settings.folder, { thread, maxBytes: retain.maxBytes, unsigned, metrics, ports });
  const count = recordMetrics(metrics);
  const writer = new LedgerWriter(measuredSink(thread, { metrics, ports }), {
    onCommitted: (batch) => {
      count(batch);
      unsigned.wrote();
      relay?.committed(batch);
      shipped?.wrote(
        thread.status.size,
        batch.reduce((sum, { bytes }) => sum + bytes.length, 0),
      );
      onUsed(usedIn(batch));
    },
    ...(shipped === null ? {} : { refusal: (queued: number) => shipped.problem(queued) }),
  });
  const relay = outbox && relayOf(outbox, { writer, thread, settings, fileId, services });
  closers.push(() => relay?.close());
  closers.push(async () => {
    await relay?.pump();
    const problem = await writer.close();
    if (problem !== null) services.log(`ledger: ${problem}`, 'fault', { what: 'ledger' });
  });
  relay?.start();
  shipped?.start({ folder: settings.folder, origin, verifierKey, size: thread.status.size });
  const flush = async (): Promise<void> => {
    await relay?.pump();
    await writer.flush();
  };
  return {
    writer,
    origin,
    notice: `ledger ${settings.folder}: ${thread.status.size} records; its checkpoints are verified with ${verifierKey}`,
    relay: () => void relay?.pump(),
    flush,
    recordsOf: async (taskId, limit) => {
      await flush();
      // INVARIANT: read the outbox first, since a record leaves it only once a ledger has it.
      const waiting = outbox === null ? [] : await outbox.reader.recordsOf(taskId, limit);
      if (isStoreFailure(waiting)) return waiting;
      const store = { fileId: () => fileId, recordsOf: () => waiting };
      return recordsOfTask({ folders: [settings.folder, ...settings.others], store }, taskId, limit);
    },
  };
}

type Retain = ReturnType<typeof retainOf>;

/** Since when there have been records that no checkpoint covers. */
class UnsignedSince {
  readonly #ports: Pick<Ports, 'nowMs'>;
  #sinceMs: number | null = null;

  constructor(ports: Pick<Ports, 'nowMs'>) {
    this.#ports = ports;
  }

  wrote(): void {
    this.#sinceMs ??= this.#ports.nowMs();
  }

  signed(): void {
    this.#sinceMs = null;
  }

  get seconds(): number {
    return this.#sinceMs === null ? 0 : (this.#ports.nowMs() - this.#sinceMs) / 1000;
  }
}

/** Opens the log in its thread. It is closed before `shipped` and the witnesses, so that its last checkpoint is sent and cosigned too. */
async function openLog(
  { ledger: settings, trustDomains }: Pick<Config, 'ledger' | 'trustDomains'>,
  services: LedgerServices,
  { fileId, retain, unsigned }: { readonly fileId: string; readonly retain: Retain; readonly unsigned: UnsignedSince },
): Promise<LogThread | StoreFailure> {
  const { thread: loading, outbox, shipped, log, faults, onFatal, onCheckpoint, closers } = services;
  closers.push(() => shipped?.close());
  let cosigned: Witnesses | null = null;
  closers.push(() => cosigned?.close());
  const { witnesses, witnessEveryMs, witnessedFile, index: _index, ...others } = settings;
  const ofLog = {
    ...others,
    retain,
    trustDomain: trustDomains[0] ?? 'none',
    ...(outbox?.shared !== undefined && { database: fileId }),
  };
  const thread = await loading.open(
    { settings: ofLog, fileId },
    {
      onFatal: (failure) => onFatal(failure.detail),
      ...(shipped && {
        handOut: {
          ring: shipped.ring,
          onWritten: (written, checkpoint) => shipped.handedOut(written, checkpoint),
        },
      }),
      onCheckpoint: (made) => {
        const problem = isStoreFailure(made) ? made.detail : made.problem;
        if (!isStoreFailure(made)) {
          unsigned.signed();
          shipped?.signed();
          cosigned?.signed(made.size);
          onCheckpoint(made);
        }
        faults.set('ledger checkpoint', problem);
      },
    },
  );
  if (isStoreFailure(thread)) return thread;
  if (witnesses.length > 0) {
    const from = { folder: settings.folder, file: witnessedFile, everyMs: witnessEveryMs, witnesses };
    cosigned = new Witnesses(from, services);
  }
  closers.push(async () => {
    const failure = await thread.close();
    if (failure !== null) log(`ledger: ${failure.detail}`, 'fault', { what: 'ledger' });
  });
  return thread;
}

/** Indexes the log automatically, in a thread of its own. */
function keepIndexed(folder: string, thread: LogThread, services: LedgerServices): void {
  const { metrics, faults, closers, indexTiming: timing } = services;
  const growth = () => ({ records: thread.status.size, closed: thread.closedSegments });
  const index = new IndexThread({ of: 'ledger', folder }, { metrics, faults, growth, timing });
  closers.push(() => index.close());
}

/** Sets the metrics of the log before each scrape: its size, the room left, and how long its records wait for a checkpoint. */
function measureLog(
  folder: string,
  {
    thread,
    maxBytes,
    unsigned,
    metrics,
    ports,
  }: Pick<LedgerServices, 'metrics' | 'ports'> & {
    readonly thread: LogThread;
    readonly maxBytes: number;
    readonly unsigned: UnsignedSince;
  },
): void {
  const growth = new LedgerGrowth();
  metrics.beforeScrape(() => {
    const { bytes } = thread.status;
    const room = roomLeft(folder, { bytes, maxBytes });
    const perSecond = growth.note(bytes, ports.monotonicMs());
    metrics.ledgerBytes.of({}).set(bytes);
    metrics.ledgerRoom.of({}).set(room);
    metrics.ledgerRoomSeconds.clear();
    // Without growth there is no time to predict.
    if (perSecond !== null && perSecond > 0) metrics.ledgerRoomSeconds.of({}).set(room / perSecond);
    metrics.ledgerUnsigned.of({}).set(unsigned.seconds);
  });
}

/** The tasks of allowed uses in a batch, each with the time of its last use. */
function usedIn(batch: Parameters<OutboxRelay['committed']>[0]): ReadonlyMap<string, number> {
  const used = new Map<string, number>();
  for (const { isAllowedUse, task, at } of batch) {
    if (isAllowedUse && task !== null) used.set(task, Math.max(at, used.get(task) ?? at));
  }
  return used;
}
