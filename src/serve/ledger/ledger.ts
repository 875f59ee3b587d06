import type { Config } from '../../core/config/config.ts';
import { statePathOf } from '../../core/config/state.ts';
import type { EncodedRecord } from '../../core/ledger/encoded-record.ts';
import { LOST_COMMITS } from '../../core/fleet/fleet-report.ts';
import { missingRecords } from '../../core/ledger/relayed.ts';
import { recordsText } from '../../core/ledger/proof/verdict.ts';
import type { RecordRange } from '../../core/ledger/proof/verdict.ts';
import { LedgerWriter } from '../../core/ledger/writer.ts';
import type { StoredRecord } from '../../core/ledger/timeline.ts';
import type { LoadingLogThread } from '../../core/ledger/log/log-thread.ts';
import { recordsOfTask } from '../../authority/records/task-records.ts';
import type { OutboxReader, SharedOutbox } from '../../core/state/outbox-relay.ts';
import { lostCommits } from '../../core/state/lost-commits.ts';
import { OutboxRelay } from '../../core/state/outbox-relay.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { Upkeep } from '../../core/state/authority.ts';
import type { WaitingRecord } from '../../core/state/store.ts';
import type { CheckpointNotice } from '../../core/telemetry/checkpoint-notice.ts';
import { recordMetrics } from '../../core/telemetry/metrics/record-metrics.ts';
import type { Faults } from '../../core/telemetry/faults.ts';
import type { Log } from '../../core/telemetry/log.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { after } from '../../core/runtime/timers.ts';
import type { Closers } from '../closers.ts';
import { LedgerGrowth, retainOf, roomLeft } from './ledger-room.ts';
import { measuredSink } from './measured-sink.ts';
import type { ShippedRecords } from './shipped-records.ts';
import type { StartProblem } from '../start-problem.ts';
import type { Waits } from '../waits.ts';

/** The ledger of one process: the thread that writes it, the queue in front of it, and the relay from the state file. */
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

/** Where records wait for the ledger. */
export interface OutboxSource {
  readonly reader: OutboxReader & {
    /** Changes where the numbers begin anew. */
    fileId(): string | StoreFailure | Promise<string | StoreFailure>;
    outboxEnd(): number | StoreFailure | Promise<number | StoreFailure>;
    recordsOf(
      taskId: string,
      limit: number,
    ): readonly WaitingRecord[] | StoreFailure | Promise<readonly WaitingRecord[] | StoreFailure>;
  };
  readonly authority: Pick<Upkeep, 'forget'>;
  /**
   * Present where other processes take the same records into ledgers of their own: the number of the last record that no failover takes
   * back. Waits for a standby, so it is not for the start.
   */
  readonly shared?: Pick<SharedOutbox, 'outboxEnd'> & {
    /** Says to those processes that records are lost, if fewer than `taken` were written in that life of the database. */
    readonly declareLost: (
      detail: string,
      records: { readonly epoch: string; readonly taken: number },
    ) => Promise<null | StoreFailure>;
  };
}

/** Dependencies and callbacks of the ledger. */
export interface LedgerServices {
  /** Opens the log. Whoever has started it also ends it. */
  readonly thread: LoadingLogThread;
  /** The state whose records are relayed; `null` at a sidecar, which has none. */
  readonly outbox: OutboxSource | null;
  /** Sends the records to an authority; `null` where this process is no sidecar. */
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
  /** The start waits for the newer copy of a database that is an older one. */
  readonly waits: Waits;
  /** Closing writes everything queued, signs the last checkpoint, and ends the thread. */
  readonly closers: Pick<Closers, 'push'>;
}

/** Stands for the state file where there is none. */
const NO_FILE = 'none';

/** Opens the ledger of a configuration, and relays the waiting records of the state file. */
export async function openLedger(
  { ledger: settings, trustDomains, state }: Pick<Config, 'ledger' | 'trustDomains' | 'state'>,
  {
    thread: loading,
    outbox,
    shipped,
    ports,
    metrics,
    log,
    faults,
    onFatal,
    onCheckpoint,
    onUsed,
    waits,
    closers,
  }: LedgerServices,
): Promise<Ledger | StartProblem> {
  const fileId = (await outbox?.reader.fileId()) ?? NO_FILE;
  if (isStoreFailure(fileId)) return { problem: fileId.detail };
  const retain = retainOf(settings);
  const growth = new LedgerGrowth();
  let unsignedSinceMs: number | null = null;
  // Closed after the log, whose last checkpoint is sent too.
  closers.push(() => shipped?.close());
  const thread = await loading.open(
    {
      settings: {
        ...settings,
        retain,
        trustDomain: trustDomains[0] ?? 'none',
        ...(outbox?.shared !== undefined && { database: fileId }),
      },
      fileId,
    },
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
          unsignedSinceMs = null;
          shipped?.signed();
          onCheckpoint(made);
        }
        faults.set('ledger checkpoint', problem);
      },
    },
  );
  if (isStoreFailure(thread)) return { problem: thread.detail, isTampered: thread.code === 'unfit' };
  closers.push(async () => {
    const failure = await thread.close();
    if (failure !== null) log(`ledger: ${failure.detail}`, 'fault', { what: 'ledger' });
  });
  const { taken } = thread;
  const older = outbox && { ...outbox, taken, fileId, state: statePathOf(state), folder: settings.folder };
  const rolledBack = older && (await waits.until(() => rolledBackProblem(older)));
  if (rolledBack !== null) return rolledBack;
  const count = recordMetrics(metrics);
  metrics.beforeScrape(() => {
    const { bytes } = thread.status;
    const room = roomLeft(settings.folder, { bytes, maxBytes: retain.maxBytes });
    const perSecond = growth.note(bytes, ports.monotonicMs());
    metrics.ledgerBytes.of({}).set(bytes);
    metrics.ledgerRoom.of({}).set(room);
    metrics.ledgerRoomSeconds.clear();
    // Without growth there is no time to predict.
    if (perSecond !== null && perSecond > 0) metrics.ledgerRoomSeconds.of({}).set(room / perSecond);
    metrics.ledgerUnsigned.of({}).set(unsignedSinceMs === null ? 0 : (ports.nowMs() - unsignedSinceMs) / 1000);
  });
  const writer = new LedgerWriter(measuredSink(thread, { metrics, ports }), {
    onCommitted: (batch) => {
      count(batch);
      unsignedSinceMs ??= ports.nowMs();
      relay?.committed(batch);
      shipped?.wrote(
        thread.status.size,
        batch.reduce((sum, { bytes }) => sum + bytes.length, 0),
      );
      onUsed(usedIn(batch));
    },
    ...(shipped === null ? {} : { refusal: (queued: number) => shipped.problem(queued) }),
  });
  const { origin, verifierKey } = thread;
  const missing = (records: RecordRange): EncodedRecord => {
    metrics.recordsMissing.of({}).inc(records.to - records.from + 1);
    log(`ledger: ${recordsText(records)} missing of the database: other ledgers may have them`, 'records-missing', {
      ...records,
    });
    return missingRecords(records, { database: fileId, atMs: ports.nowMs() });
  };
  const relayOf = ({ authority, reader, shared }: OutboxSource): OutboxRelay => {
    const ledger = { name: verifierKey, copies: settings.copies };
    return new OutboxRelay(writer, {
      reader,
      authority: { forget: (upTo) => authority.forget(upTo, ledger) },
      after,
      taken,
      ...(shared !== undefined && { shared: { outboxEnd: () => shared.outboxEnd(), missing } }),
    });
  };
  const relay = outbox && relayOf(outbox);
  closers.push(() => relay?.close());
  closers.push(async () => {
    await relay?.pump();
    return writer.close();
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
    notice: `ledger ${settings.folder}: ${thread.status.size} records; its checkpoints are verified with ${thread.verifierKey}`,
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

/**
 * Why the state is an earlier copy of itself; `null` where it is not. It is one where the ledger has more of its records than it wrote. Tasks
 * that have ended since would be open again, and the ledger would skip its next records. A database says so to the other authorities, and may be
 * replaced by the newer one.
 */
async function rolledBackProblem({
  reader,
  shared,
  taken,
  fileId,
  state,
  folder,
}: Pick<OutboxSource, 'reader' | 'shared'> & {
  readonly taken: number;
  readonly fileId: string;
  readonly state: string;
  readonly folder: string;
}): Promise<null | StartProblem> {
  const end = await reader.outboxEnd();
  if (isStoreFailure(end)) return { problem: end.detail, mayPass: shared !== undefined };
  if (end >= taken) return null;
  if (shared === undefined)
    return {
      problem: `the state file \`${state}\` is an earlier copy: it has written ${end} records, but the ledger \`${folder}\` has ${taken} of them, so a task that ended could be open in it. Move it away and restore it with \`remit restore --state-only\`, which ends its open tasks`,
    };
  if ((await reader.fileId()) !== fileId) return { problem: 'the database was restored: the process must start again' };
  const { detail } = lostCommits(`record ${taken}, which the ledger of an authority has`);
  await shared.declareLost(detail, { epoch: fileId, taken });
  return { problem: detail, mayPass: true, cause: LOST_COMMITS };
}

/** The tasks of allowed uses in a batch, each with the time of its last use. */
function usedIn(batch: Parameters<OutboxRelay['committed']>[0]): ReadonlyMap<string, number> {
  const used = new Map<string, number>();
  for (const { isAllowedUse, task, at } of batch) {
    if (isAllowedUse && task !== null) used.set(task, Math.max(at, used.get(task) ?? at));
  }
  return used;
}
