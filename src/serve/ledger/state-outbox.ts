import type { Config } from '../../core/config/config.ts';
import type { EncodedRecord } from '../../core/ledger/encoded-record.ts';
import { LOST_COMMITS } from '../../core/fleet/fleet-report.ts';
import { missingRecords } from '../../core/ledger/relayed.ts';
import { recordsText } from '../../core/ledger/proof/verdict.ts';
import type { RecordRange } from '../../core/ledger/proof/verdict.ts';
import type { LedgerWriter } from '../../core/ledger/writer.ts';
import type { LogThread } from '../../core/ledger/log/log-thread.ts';
import { lostCommits } from '../../core/state/lost-commits.ts';
import { OutboxRelay } from '../../core/state/outbox-relay.ts';
import type { OutboxReader, SharedOutbox } from '../../core/state/outbox-relay.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { Upkeep } from '../../core/state/authority.ts';
import type { WaitingRecord } from '../../core/state/store-reader.ts';
import type { Log } from '../../core/telemetry/log.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { after } from '../../core/runtime/timers.ts';
import type { StartProblem } from '../start-problem.ts';

/** The outbox in which records wait for the ledger. */
export interface OutboxSource {
  readonly reader: OutboxReader & {
    /** Changes when the numbers restart. */
    fileId(): string | StoreFailure | Promise<string | StoreFailure>;
    outboxEnd(): number | StoreFailure | Promise<number | StoreFailure>;
    recordsOf(
      taskId: string,
      limit: number,
    ): readonly WaitingRecord[] | StoreFailure | Promise<readonly WaitingRecord[] | StoreFailure>;
  };
  readonly authority: Pick<Upkeep, 'forget'>;
  /**
   * Present if other processes take the same records into ledgers of their own: the number of the last record that survives a failover. Waits
   * for a standby, so it is not for the start.
   */
  readonly shared?: Pick<SharedOutbox, 'outboxEnd'> & {
    /** Announces to those processes that records are lost, if fewer than `taken` were written in that life of the database. */
    readonly declareLost: (
      detail: string,
      records: { readonly epoch: string; readonly taken: number },
    ) => Promise<null | StoreFailure>;
  };
}

/** The relay of the records of the state to the ledger. Records that a shared outbox no longer has are counted, and noted in a record. */
export function relayOf(
  { authority, reader, shared }: OutboxSource,
  {
    writer,
    thread,
    settings,
    fileId,
    services: { metrics, log, ports },
  }: {
    readonly writer: LedgerWriter;
    readonly thread: LogThread;
    readonly settings: Config['ledger'];
    readonly fileId: string;
    readonly services: { readonly metrics: Metrics; readonly log: Log; readonly ports: Pick<Ports, 'nowMs'> };
  },
): OutboxRelay {
  const missing = (records: RecordRange): EncodedRecord => {
    metrics.recordsMissing.of({}).inc(records.to - records.from + 1);
    const text = `ledger: ${recordsText(records)} missing of the database: other ledgers may have them`;
    log(text, 'records-missing', { ...records });
    return missingRecords(records, { database: fileId, atMs: ports.nowMs() });
  };
  const ledger = { name: thread.verifierKey, copies: settings.copies };
  return new OutboxRelay(writer, {
    reader,
    authority: { forget: (upTo) => authority.forget(upTo, ledger) },
    after,
    taken: thread.taken,
    ...(shared !== undefined && { shared: { outboxEnd: () => shared.outboxEnd(), missing } }),
  });
}

/**
 * Why the state is an earlier copy of itself; `null` if it is not. It is an earlier copy if the ledger has more of its records than it wrote.
 * Tasks that have ended since would be open again, and the ledger would skip its next records. A database announces this to the other
 * authorities, and may be replaced by the newer copy.
 */
export async function rolledBackProblem({
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
