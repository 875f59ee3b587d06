/** The ledgers and received logs that an investigation reads, as one. */
import { emittersIn, namingRecord } from '../../authority/records/named-log.ts';
import { emitterHistories } from '../../authority/records/emitter-history.ts';
import { chainText, receivedProof } from '../../authority/records/received-proof.ts';
import { receivedLogsIn } from '../../authority/records/received-logs.ts';
import type { ReceivedLog } from '../../authority/records/received-logs.ts';
import { SearchedReceived } from '../../authority/records/received-records.ts';
import { damageText } from '../../authority/records/placed-sections.ts';
import { byTime } from '../../authority/records/received-search.ts';
import type { JsonValue } from '../../core/ledger/canonical-json.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { proofOf } from '../../core/ledger/log/proof-of.ts';
import type { ProofOf } from '../../core/ledger/log/proof-of.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import { failureOfSqlite } from '../../core/sqlite/sqlite-failure.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import type { CommandIo } from '../command.ts';
import { openLedgerIn } from '../ledger/ledger-source.ts';
import { openedReceived, receivedFolderOf } from '../ledger/received-source.ts';
import { isCommandRefusal, sourceOf, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

/** A record that was found, and where. */
export interface PlacedRecord {
  readonly seq: number;
  /** When it was made, in milliseconds since the Unix epoch. */
  readonly at: number;
  readonly record: { readonly [name: string]: JsonValue };
  /** The leaf. */
  readonly bytes: Uint8Array;
  /** Origin of its log. */
  readonly log: string;
  /** Folder of its ledger; `null` in a received log. */
  readonly folder: string | null;
}

/** Which records a search gives, at most so many, by time. */
export interface PlacedOrder {
  readonly limit: number;
  readonly isNewestFirst: boolean;
}

interface OpenLedger {
  readonly folder: string;
  readonly log: LogReader;
}

/**
 * The ledgers and received logs that an investigation reads, as one. It verifies only what it proves; damage that it finds is in
 * `faults`.
 *
 * Lifecycle: made by `withSearchedLogs`, which closes it. Searches throw errors of the system and SQLite.
 */
export class SearchedLogs {
  readonly #ledgers: readonly OpenLedger[];
  readonly #received: SearchedReceived;
  /** The folder of the received records; `undefined` for none. */
  readonly #folder: string | undefined;
  readonly #faults = new Set<string>();
  #receivedLogs: ReadonlyMap<string, ReceivedLog> | null = null;

  constructor(ledgers: readonly OpenLedger[], received: SearchedReceived, folder: string | undefined) {
    this.#ledgers = ledgers;
    this.#received = received;
    this.#folder = folder;
  }

  /** The folders of the ledgers. */
  get folders(): readonly string[] {
    return this.#ledgers.map(({ folder }) => folder);
  }

  /** The damage that was found so far, each once. */
  get faults(): readonly string[] {
    return [...new Set([...this.#faults, ...this.#received.faults])];
  }

  /** Why parts of an index were not used: their records were read instead. */
  indexProblems(): readonly string[] {
    return [...this.#ledgers.flatMap(({ log }) => log.indexProblems()), ...this.#received.problems];
  }

  /** Notes the damaged files among the received records, by reading the heads of all sections. Throws the system's error. */
  findDamage(): void {
    this.#allReceived();
  }

  /** Notes damage: something that is not as it was written. */
  fault(what: string): void {
    this.#faults.add(what);
  }

  /** The matching records of all logs by time; a record in two ledgers, because a process took over from another, occurs once. */
  found(filter: RecordFilter, { limit, isNewestFirst }: PlacedOrder): readonly PlacedRecord[] {
    const own = this.#ledgers.flatMap(({ folder, log }) =>
      log
        .found(filter, { isNewestFirst })
        .take(limit)
        .map(({ seq, bytes }) => ({ seq, bytes, log: log.origin, folder }))
        .toArray(),
    );
    const others = this.#received
      .found(filter, { limit, isNewestFirst })
      .map(({ seq, bytes, log }) => ({ seq, bytes, log, folder: null }));
    const records = [...own, ...others].flatMap((found) => this.#placed(found) ?? []);
    return byTime(onceEach(records), { limit, isNewestFirst });
  }

  /** The first or last matching record; `null` if there is none. */
  one(filter: RecordFilter, { isNewestFirst }: Pick<PlacedOrder, 'isNewestFirst'>): PlacedRecord | null {
    return this.found(filter, { limit: 1, isNewestFirst })[0] ?? null;
  }

  /**
   * Proves a record under the checkpoint that covers it. The proof of a record of a sidecar is followed by that of the record which names the key of
   * its log.
   */
  proofOf({ seq, log, folder }: Pick<PlacedRecord, 'seq' | 'log' | 'folder'>): ProofOf {
    const home = this.#ledgers.find((ledger) => ledger.folder === folder);
    const proof = home === undefined ? this.#receivedProof(seq, log) : proofOf(home.log, seq);
    if (proof.kind === 'damaged') this.fault(`record ${seq} of \`${log}\` is under no checkpoint that it agrees with`);
    return proof;
  }

  close(): void {
    for (const { log } of this.#ledgers) log.close();
    this.#received.close();
  }

  /** The received logs as proofs need them: read at the first call. */
  #allReceived(): ReadonlyMap<string, ReceivedLog> {
    if (this.#receivedLogs !== null) return this.#receivedLogs;
    const read = this.#folder === undefined ? null : receivedLogsIn(this.#folder);
    for (const file of read?.damaged ?? []) this.fault(damageText(file));
    this.#receivedLogs = read?.logs ?? new Map<string, ReceivedLog>();
    return this.#receivedLogs;
  }

  #receivedProof(seq: number, origin: string): ProofOf {
    const home = this.#allReceived().get(origin);
    for (const { log } of home === undefined ? [] : this.#ledgers) {
      const naming = namingRecord(log, origin);
      if (home === undefined || naming === null) continue;
      const proof = receivedProof(home, seq, emitterHistories(emittersIn(log)).get(origin)?.pruned ?? null);
      if (proof.kind !== 'proof') return proof;
      const ofKey = proofOf(log, naming);
      return ofKey.kind === 'proof' ? { ...proof, text: chainText(proof.text, ofKey.text) } : ofKey;
    }
    return { kind: 'absent' };
  }

  #placed(found: Omit<PlacedRecord, 'at' | 'record'>): PlacedRecord | null {
    const leaf = leafFrom(found.bytes);
    if (isProblem(leaf)) {
      this.fault(`record ${found.seq} of \`${found.log}\` ${leaf.problem}`);
      return null;
    }
    const { at } = leaf.record;
    return { ...found, record: leaf.record, at: typeof at === 'number' ? at : 0 };
  }
}

function onceEach(records: readonly PlacedRecord[]): readonly PlacedRecord[] {
  const byContent = new Map<string, PlacedRecord>();
  for (const record of records) {
    const content = JSON.stringify(record.record);
    if (!byContent.has(content)) byContent.set(content, record);
  }
  return [...byContent.values()];
}

/** The options that name the logs. */
interface LogValues {
  readonly config?: string | undefined;
  readonly state?: string | undefined;
  readonly ledger?: string | undefined;
  readonly received?: string | undefined;
}

/** Opens the ledgers and received logs of the options, passes them to `use` and closes them. */
export async function withSearchedLogs<T>(
  values: LogValues,
  io: Pick<CommandIo, 'environment' | 'err'>,
  use: (logs: SearchedLogs) => Promise<T | CommandRefusal>,
): Promise<T | CommandRefusal> {
  const folders = await foldersOf(values, io);
  if (isCommandRefusal(folders)) return folders;
  const folder = await receivedFolderOf(values, io);
  if (isCommandRefusal(folder)) return folder;
  const received = folder === undefined ? SearchedReceived.none : openedReceived(folder);
  if (isCommandRefusal(received)) return received;
  const ledgers: OpenLedger[] = [];
  const logs = new SearchedLogs(ledgers, received, folder);
  try {
    for (const each of folders) {
      const log = openLedgerIn(each);
      if (isCommandRefusal(log)) return log;
      ledgers.push({ folder: each, log });
    }
    return await use(logs);
  } catch (error) {
    const why = failureOfSqlite(error)?.detail ?? errorCode(error);
    if (why === undefined) throw error;
    return taskRefusal(`the records cannot be read: ${why}`);
  } finally {
    logs.close();
  }
}

/** The folders of the ledgers: the named folder, else all that the configuration names. */
async function foldersOf(
  values: LogValues,
  io: Pick<CommandIo, 'environment'>,
): Promise<readonly string[] | CommandRefusal> {
  if (values.ledger !== undefined) return [values.ledger];
  const source = await sourceOf(values, io);
  return isCommandRefusal(source) ? source : [source.ledger, ...source.others];
}
