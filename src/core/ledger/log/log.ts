import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { signedCheckpoint } from '../proof/checkpoint.ts';
import { appendedAll, keptRange } from '../proof/compact-range.ts';
import { indexKeysOf } from '../index-key.ts';
import { leafBytes } from '../proof/leaf.ts';
import { leafHash, rootOf } from '../proof/merkle.ts';
import { noteKeyOf, noteKeyText } from '../proof/note-key.ts';
import { encodedRecord } from '../encoded-record.ts';
import type { LedgerRecord } from '../record.ts';
import type { CheckpointRecord, PrunedRecord } from '../log-record.ts';
import { failureOfSqlite } from '../../sqlite/sqlite-failure.ts';
import { isStoreFailure, storeFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { appendNote } from './checkpoint-file.ts';
import { lockFolder } from './folder-lock.ts';
import type { KeptCheckpoint } from './kept-checkpoints.ts';
import { logKeyAt } from './log-key.ts';
import type { LogPorts } from './log-ports.ts';
import type { LogSettings } from './log-settings.ts';
import type { LogState } from './log-state.ts';
import { logStart } from './log-start.ts';
import type { LogStart } from './log-start.ts';
import { discardBefore, prunedRecord, sizeOf } from './retention.ts';
import { mergeClosed } from './segment/closed-segment.ts';
import { Segment } from './segment/segment.ts';
import { keptSegments } from './segment/segment-ends.ts';
import { discardSegment, segmentPath } from './segment/segment-files.ts';
import { signedEndMs } from './signed-head.ts';
import type { WrittenLeaves } from './written-leaves.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

/** A record to append: canonical JSON, with its outbox number if it comes from an outbox. */
export interface IncomingRecord {
  readonly bytes: Uint8Array;
  readonly outbox: number | null;
}

/** A checkpoint just made. */
export interface MadeCheckpoint {
  readonly atMs: number;
  readonly size: number;
  readonly note: string;
  /** Whether the segment was closed: a new segment has begun. */
  readonly closesSegment: boolean;
  /** Why it could not be appended to the checkpoint file, or pruned files could not be deleted; `null` if all was done. */
  readonly problem: string | null;
}

/**
 * The log for its only writer: segments in a folder, one Merkle tree over all records, signed heads.
 *
 * Lifecycle: `open` verifies the tail since the last checkpoint, and that only segments pruned by a signed record are missing;
 * then `append` and `checkpoint` until `close`, which signs the last head. After a `broken` failure every call fails, and the
 * process must end.
 */
export class SegmentLog {
  readonly origin: string;
  readonly #settings: LogSettings;
  readonly #ports: LogPorts;
  readonly #key: KeyObject;
  readonly #boot: string;
  readonly #release: () => void;
  #segment: Segment;
  #state: LogState;
  /** The first record that is kept. */
  #first: number;
  /** Bytes of the closed segments. */
  #closedBytes: number;
  #segmentBytes: number;
  readonly #taken: Map<string, number>;
  /** Records since the last checkpoint, without those of checkpoints. */
  #news = 0;
  #broken: StoreFailure | null = null;
  #written: WrittenLeaves = { from: 0, leaves: [] };

  private constructor(
    { segment, first }: LogStart,
    parts: {
      readonly settings: LogSettings;
      readonly ports: LogPorts;
      readonly key: KeyObject;
      readonly release: () => void;
    },
  ) {
    this.#segment = segment;
    this.#settings = parts.settings;
    this.#ports = parts.ports;
    this.#key = parts.key;
    this.#release = parts.release;
    this.#first = first;
    mergeClosed(parts.settings.folder, segment.path);
    this.#closedBytes = sizeOf(parts.settings.folder, segment.path);
    this.#segmentBytes = segment.bytes();
    this.origin = segment.origin;
    this.#boot = Buffer.from(parts.ports.randomBytes(16)).toString('hex');
    this.#state = segment.state();
    this.#taken = new Map(segment.taken());
    this.#news = this.size - (segment.checkpoints.last()?.range.size ?? segment.carried.range.size);
  }

  /** Opens the log in a folder, or starts a new log. */
  static open(settings: LogSettings, ports: LogPorts): SegmentLog | StoreFailure {
    try {
      mkdirSync(settings.folder, { recursive: true, mode: 0o700 });
      const key = logKeyAt(settings.keyFile);
      if (isStoreFailure(key)) return key;
      const lock = lockFolder(settings.folder);
      if (isStoreFailure(lock)) return lock;
      const start = logStart(settings, key, ports);
      if (!isStoreFailure(start)) return new SegmentLog(start, { settings, ports, key, release: lock.release });
      lock.release();
      return start;
    } catch (error) {
      return openFailure(settings.folder, error);
    }
  }

  /** Number of records. */
  get size(): number {
    return this.#state.range.size;
  }

  /** The verifier key of its checkpoints, for pinning. */
  get verifierKey(): string {
    return noteKeyText(noteKeyOf(this.origin, createPublicKey(this.#key)));
  }

  /** Bytes of all segments as of the last checkpoint: reading the current size would take a file lock. */
  get bytes(): number {
    return this.#closedBytes + this.#segmentBytes;
  }

  /** The highest outbox number taken from a state file. */
  takenOf(fileId: string): number {
    return this.#taken.get(fileId) ?? 0;
  }

  /** What the last `append` or `checkpoint` wrote. */
  get written(): WrittenLeaves {
    return this.#written;
  }

  /** Appends a batch atomically; synced before it returns. Idempotent: outbox numbers already taken are skipped. */
  append(batch: readonly IncomingRecord[], fileId: string): StoreFailure | null {
    const taken = this.takenOf(fileId);
    const fresh = batch.filter(({ outbox }) => outbox === null || outbox > taken);
    const outbox = fresh.reduce((most, record) => Math.max(most, record.outbox ?? 0), taken);
    const failure = this.#write(
      fresh.map(({ bytes }) => bytes),
      {
        taken: outbox > taken ? new Map([[fileId, outbox]]) : new Map(),
        mono: Math.trunc(this.#ports.monotonicMs()),
      },
    );
    if (failure === null) this.#news += fresh.length;
    return failure;
  }

  /** Whether a checkpoint is due by number of records. */
  get isCheckpointDue(): boolean {
    return this.#news >= RECORDS_PER_CHECKPOINT;
  }

  /**
   * Signs the head over all records; `null` if nothing is new. If the segment is full, starts a new segment and prunes the oldest that
   * are due. INVARIANT: a prune is signed before any file is deleted.
   */
  checkpoint(): MadeCheckpoint | StoreFailure | null {
    if (this.#news === 0 || this.#broken !== null) return this.#broken;
    const atMs = this.#ports.nowMs();
    const mono = Math.trunc(this.#ports.monotonicMs());
    const isFull = this.#isFull(atMs);
    if (isStoreFailure(isFull)) return isFull;
    const pruned = isFull ? this.#due(atMs) : null;
    if (isStoreFailure(pruned)) return pruned;
    const before: readonly LedgerRecord[] = pruned === null ? [] : [pruned];
    const first = pruned === null ? this.#first : pruned.to + 1;
    const size = this.size + before.length + 1;
    // The header of the segment. Signed here, so that a change of it is detected.
    const of = { begun: this.#segment.createdMs, taken: Object.fromEntries(this.#taken) };
    const head: CheckpointRecord = { kind: 'checkpoint', at: atMs, task: null, size, first, ...of, ...this.#relayed() };
    const failure = this.#write([...before, head].map(mustEncode), { taken: new Map(), mono });
    if (failure !== null) return failure;
    const { range } = this.#state;
    const note = signedCheckpoint({ origin: this.origin, size, root: rootOf(range.nodes) }, this.#key);
    const kept = { atMs, range, note };
    const unkept = this.#guarded(() => this.#segment.keep(kept));
    if (unkept !== null) return unkept;
    this.#news = 0;
    this.#first = first;
    const problems = [this.#handOut(note), isFull ? this.#discard() : null];
    const segment = this.#segment;
    const untidy = isFull ? this.#rotate(kept) : null;
    if (untidy?.code === 'broken') return untidy;
    const problem = problems.filter((each) => each !== null).join('; ') || null;
    return { atMs, size, note, closesSegment: this.#segment !== segment, problem };
  }

  /** Signs the rest and releases the folder. Returns the failure if the last records are not covered by a checkpoint. */
  close(): StoreFailure | null {
    const last = this.#broken === null ? this.checkpoint() : this.#broken;
    this.#segment.close();
    this.#release();
    this.#broken ??= storeFailure('broken', 'the ledger is closed');
    return isStoreFailure(last) ? last : null;
  }

  /** @param mono monotonic time; that of a checkpoint is read with its wall-clock time, which reveals steps of the wall clock */
  #write(
    records: readonly Uint8Array[],
    { taken, mono }: { readonly taken: ReadonlyMap<string, number>; readonly mono: number },
  ): StoreFailure | null {
    const hashes: Uint8Array[] = [];
    let { head } = this.#state;
    const rows = records.map((bytes, index) => {
      const seq = this.size + index + 1;
      const leaf = leafBytes(bytes, { boot: this.#boot, mono, prev: seq === 1 ? null : head, seq });
      // `encodedRecord` leaves room for the frame.
      if ('problem' in leaf) throw new Error(`a record does not fit its leaf: ${leaf.problem}`);
      head = leafHash(leaf);
      hashes.push(head);
      return { seq, bytes: leaf, keys: indexKeysOf(bytes) };
    });
    const state = { range: keptRange(appendedAll(this.#state.range, hashes)), head };
    const failure = this.#guarded(() => this.#segment.append({ rows, state, taken }));
    if (failure !== null) return failure;
    this.#written = { from: this.#state.range.size, leaves: rows.map(({ bytes }) => bytes) };
    this.#state = state;
    for (const [file, outbox] of taken) this.#taken.set(file, outbox);
    return null;
  }

  /** INVARIANT: nothing is retried after an I/O error, because SQLite would go on acknowledging writes it may lose. */
  #guarded(work: () => void): StoreFailure | null {
    if (this.#broken !== null) return this.#broken;
    try {
      work();
      return null;
    } catch (error) {
      const failure = failureOfSqlite(error);
      if (failure === null) throw error;
      const named = storeFailure(failure.code, failure.detail.replaceAll('the state file', 'the ledger'));
      if (failure.code === 'broken') this.#broken = named;
      return named;
    }
  }

  #relayed(): Pick<CheckpointRecord, 'relayed'> {
    const { database } = this.#settings;
    const to = database === undefined ? 0 : this.takenOf(database);
    return database === undefined || to === 0 ? {} : { relayed: { database, to } };
  }

  #handOut(note: string): string | null {
    const { checkpointFile } = this.#settings;
    if (checkpointFile === null) return null;
    try {
      appendNote(checkpointFile, note);
      return null;
    } catch (error) {
      return `the checkpoint could not be appended to \`${checkpointFile}\`: ${errorCode(error) ?? 'unknown error'}`;
    }
  }

  #isFull(nowMs: number): boolean | StoreFailure {
    const { maxBytes, maxAgeMs } = this.#settings.segment;
    const failure = this.#guarded(() => {
      this.#segmentBytes = this.#segment.bytes();
    });
    return failure ?? (this.#segmentBytes >= maxBytes || nowMs - this.#segment.createdMs >= maxAgeMs);
  }

  /**
   * What to prune; `null` for nothing. INVARIANT: all of it still exists; otherwise the record would explain somebody else's
   * deletion. A log with missing segments is broken.
   */
  #due(nowMs: number): PrunedRecord | null | StoreFailure {
    const { folder, retain } = this.#settings;
    const key = noteKeyOf(this.origin, createPublicKey(this.#key));
    const segments = keptSegments(folder, { segment: this.#segment, first: this.#first });
    const due = isStoreFailure(segments)
      ? segments
      : prunedRecord(segments, { retain, nowMs, endMsOf: (segment) => signedEndMs(segment, key) });
    if (due === null || !isStoreFailure(due)) return due;
    // The file is locked by another process. The next checkpoint finds the segment full too and tries again.
    if (due.code === 'busy') return null;
    this.#broken = storeFailure('broken', due.detail);
    return this.#broken;
  }

  #discard(): string | null {
    const code = discardBefore(this.#settings.folder, this.#first);
    if (code === null) return null;
    return `records before ${this.#first} are pruned, but their files in \`${this.#settings.folder}\` could not be deleted: ${code}`;
  }

  /** Starts a new segment, after a checkpoint of all records. */
  #rotate(checkpoint: KeptCheckpoint): StoreFailure | null {
    const { folder } = this.#settings;
    // INVARIANT: a segment that another segment follows is indexed completely.
    const unindexed = this.#guarded(() => this.#segment.finishIndex());
    if (unindexed !== null) return unindexed;
    const path = segmentPath(folder, this.size);
    const next = Segment.open(path, {
      start: {
        origin: this.origin,
        carried: this.#state,
        createdMs: checkpoint.atMs,
        taken: this.#taken,
        checkpoint,
      },
    });
    if (next === 'unfinished') throw new Error('a segment was made and is not there');
    // Continue with the old segment: a disk without room for a new file may have room for more records. What is there of the new file
    // would be taken for a segment that lost its records.
    if (isStoreFailure(next)) {
      discardSegment(path);
      return null;
    }
    this.#segment.close();
    this.#segment = next;
    mergeClosed(folder, next.path);
    this.#closedBytes = sizeOf(folder, next.path);
    this.#segmentBytes = next.bytes();
    return null;
  }
}

function mustEncode(record: LedgerRecord): Uint8Array {
  const encoded = encodedRecord(record);
  if ('problem' in encoded) throw new Error(`a record of the ledger's own cannot be encoded: ${encoded.problem}`);
  return encoded.bytes;
}

/** Number of records after which a checkpoint is due. A batch is not split, so there may be more. */
const RECORDS_PER_CHECKPOINT = 1_000;

function openFailure(folder: string, error: unknown): StoreFailure {
  const failure = failureOfSqlite(error);
  const cause = failure === null ? (errorCode(error) ?? 'unknown error') : failure.detail;
  return storeFailure('unusable', `the ledger \`${folder}\` cannot be opened: ${cause}`);
}
