import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { signedCheckpoint } from '../../ledger/checkpoint.ts';
import { appended, emptyRange } from '../../ledger/compact-range.ts';
import { indexKeysOf } from '../../ledger/index-key.ts';
import { leafBytes } from '../../ledger/leaf.ts';
import { leafHash, rootOf } from '../../ledger/merkle.ts';
import { noteKeyOf, noteKeyText } from '../../ledger/note-key.ts';
import { encodedRecord } from '../../ledger/encoded-record.ts';
import type { LedgerRecord } from '../../ledger/record.ts';
import { failureOfSqlite, isStoreFailure, storeFailure } from '../store-failure.ts';
import type { StoreFailure } from '../store-failure.ts';
import { appendNote } from './checkpoint-file.ts';
import { lockFolder } from './folder-lock.ts';
import type { KeptCheckpoint } from './kept-checkpoints.ts';
import { logKeyAt } from './log-key.ts';
import type { LogSettings } from './log-settings.ts';
import type { LogState } from './log-state.ts';
import { pruneSegments, sizeOf } from './retention.ts';
import { Segment } from './segment.ts';
import { discardSegment, segmentPath, segmentsIn } from './segment-files.ts';
import { tailProblem } from './tail.ts';

/** Clock and randomness of a log. */
export interface LogPorts {
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  readonly randomBytes: (length: number) => Uint8Array;
}

/** A record to be taken into the log: canonical JSON, with its number in the outbox it comes from, if it does. */
export interface IncomingRecord {
  readonly bytes: Uint8Array;
  readonly outbox: number | null;
}

/** A checkpoint that was just made. */
export interface MadeCheckpoint {
  readonly atMs: number;
  readonly size: number;
  readonly note: string;
  /** Why it could not be handed outside; `null` where it was, or was not to be. */
  readonly problem: string | null;
}

/**
 * The log of one ledger, as its one writer has it: segments in a folder, one tree over all records, signed heads.
 *
 * Lifecycle: `open` proves the tail since the last checkpoint; `append` and `checkpoint` until `close`, which signs the last
 * head. After a failure that is `broken` every later call fails, and the process must end.
 */
export class Log {
  readonly origin: string;
  readonly #settings: LogSettings;
  readonly #ports: LogPorts;
  readonly #key: KeyObject;
  readonly #boot: string;
  readonly #release: () => void;
  #segment: Segment;
  #state: LogState;
  #first: number;
  /** Of the segments that are not written any more. */
  #closedBytes: number;
  #segmentBytes: number;
  readonly #taken: Map<string, number>;
  /** Records since the last checkpoint that are none of a checkpoint. */
  #news = 0;
  #broken: StoreFailure | null = null;

  private constructor(
    segment: Segment,
    parts: {
      readonly settings: LogSettings;
      readonly ports: LogPorts;
      readonly key: KeyObject;
      readonly release: () => void;
      readonly first: number;
    },
  ) {
    this.#segment = segment;
    this.#settings = parts.settings;
    this.#ports = parts.ports;
    this.#key = parts.key;
    this.#release = parts.release;
    this.#first = parts.first;
    this.#closedBytes = sizeOf(parts.settings.folder, segment.path);
    this.#segmentBytes = segment.bytes();
    this.origin = segment.origin;
    this.#boot = Buffer.from(parts.ports.randomBytes(16)).toString('hex');
    this.#state = segment.state();
    this.#taken = new Map(segment.taken());
    this.#news = this.size - (segment.checkpoints.last()?.range.size ?? segment.carried.range.size);
  }

  /** Opens the log of a folder, or begins it. */
  static open(settings: LogSettings, ports: LogPorts): Log | StoreFailure {
    try {
      mkdirSync(settings.folder, { recursive: true, mode: 0o700 });
      const key = logKeyAt(settings.keyFile);
      if (isStoreFailure(key)) return key;
      const lock = lockFolder(settings.folder);
      if (isStoreFailure(lock)) return lock;
      const segment = openLast(settings, ports);
      const problem = isStoreFailure(segment) ? segment : tailProblem(segment, { key, settings });
      if (!isStoreFailure(segment) && problem === null) {
        const first = (segmentsIn(settings.folder)[0]?.carriedSize ?? 0) + 1;
        return new Log(segment, { settings, ports, key, release: lock.release, first });
      }
      if (!isStoreFailure(segment)) segment.close();
      lock.release();
      return problem ?? storeFailure('unusable', 'the ledger cannot be opened');
    } catch (error) {
      return openFailure(settings.folder, error);
    }
  }

  /** Records in the log. */
  get size(): number {
    return this.#state.range.size;
  }

  /** The verifier key of its checkpoints, to be pinned. */
  get verifierKey(): string {
    return noteKeyText(noteKeyOf(this.origin, createPublicKey(this.#key)));
  }

  /** Bytes of all segments, as of the last checkpoint: to ask for them takes a lock of the file. */
  get bytes(): number {
    return this.#closedBytes + this.#segmentBytes;
  }

  /** How far the outbox of a state file has been taken. */
  takenOf(fileId: string): number {
    return this.#taken.get(fileId) ?? 0;
  }

  /** Takes a batch in, on disk when this returns, or nothing of it. Numbers of the outbox that it has are passed over. */
  append(batch: readonly IncomingRecord[], fileId: string): StoreFailure | null {
    const taken = this.takenOf(fileId);
    const fresh = batch.filter(({ outbox }) => outbox === null || outbox > taken);
    const outbox = fresh.reduce((most, record) => Math.max(most, record.outbox ?? 0), taken);
    const failure = this.#write(
      fresh.map(({ bytes }) => bytes),
      outbox > taken ? new Map([[fileId, outbox]]) : new Map(),
    );
    if (failure === null) this.#news += fresh.length;
    return failure;
  }

  /** Whether a checkpoint is due by the number of records. */
  get isCheckpointDue(): boolean {
    return this.#news >= RECORDS_PER_CHECKPOINT;
  }

  /** Signs the head with all records before it; `null` where there is nothing new. Then closes and gives up segments that are due. */
  checkpoint(): MadeCheckpoint | StoreFailure | null {
    if (this.#news === 0) return this.#broken;
    const atMs = this.#ports.nowMs();
    const record: LedgerRecord = { kind: 'checkpoint', at: atMs, task: null, size: this.size + 1, first: this.#first };
    const encoded = encodedRecord(record);
    if ('problem' in encoded) throw new Error(`a checkpoint has no record: ${encoded.problem}`);
    const failure = this.#write([encoded.bytes], new Map());
    if (failure !== null) return failure;
    const { range } = this.#state;
    const note = signedCheckpoint({ origin: this.origin, size: range.size, root: rootOf(range.nodes) }, this.#key);
    const kept = { atMs, range, note };
    const unkept = this.#guarded(() => this.#segment.keep(kept));
    if (unkept !== null) return unkept;
    this.#news = 0;
    const problem = this.#handOut(note);
    const untidy = this.#tidy(kept);
    if (untidy?.code === 'broken') return untidy;
    return { atMs, size: range.size, note, problem };
  }

  /** Signs what is not signed yet and gives the folder free. The failure, where the last records are not under a checkpoint. */
  close(): StoreFailure | null {
    const last = this.#broken === null ? this.checkpoint() : this.#broken;
    this.#segment.close();
    this.#release();
    this.#broken ??= storeFailure('broken', 'the ledger is closed');
    return isStoreFailure(last) ? last : null;
  }

  #write(records: readonly Uint8Array[], taken: ReadonlyMap<string, number>): StoreFailure | null {
    let state = this.#state;
    const mono = Math.trunc(this.#ports.monotonicMs());
    const rows = records.map((bytes) => {
      const seq = state.range.size + 1;
      const leaf = leafBytes(bytes, { boot: this.#boot, mono, prev: seq === 1 ? null : state.head, seq });
      // `encodedRecord` leaves room for it.
      if ('problem' in leaf) throw new Error(`a record does not fit its leaf: ${leaf.problem}`);
      const hash = leafHash(leaf);
      state = { range: appended(state.range, hash), head: hash };
      return { seq, bytes: leaf, keys: indexKeysOf(bytes) };
    });
    const failure = this.#guarded(() => this.#segment.append({ rows, state, taken }));
    if (failure !== null) return failure;
    this.#state = state;
    for (const [file, outbox] of taken) this.#taken.set(file, outbox);
    return null;
  }

  /** INVARIANT: after an I/O error nothing is tried again, since SQLite would go on acknowledging what it may lose. */
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

  #handOut(note: string): string | null {
    const { checkpointFile } = this.#settings;
    if (checkpointFile === null) return null;
    try {
      appendNote(checkpointFile, note);
      return null;
    } catch (error) {
      return `the checkpoint could not be appended to \`${checkpointFile}\`: ${codeOf(error)}`;
    }
  }

  /** Under a checkpoint of all records: begins a new segment where this one is full, and gives up the oldest. */
  #tidy(checkpoint: KeptCheckpoint): StoreFailure | null {
    const { segment, folder, retain } = this.#settings;
    const nowMs = this.#ports.nowMs();
    this.#segmentBytes = this.#segment.bytes();
    const isDue = this.#segmentBytes >= segment.maxBytes || nowMs - this.#segment.createdMs >= segment.maxAgeMs;
    if (!isDue) return null;
    // INVARIANT: a segment that another one follows is indexed to its end.
    const unindexed = this.#guarded(() => this.#segment.finishIndex());
    if (unindexed !== null) return unindexed;
    const next = Segment.open(segmentPath(folder, this.size), {
      start: { origin: this.origin, carried: this.#state, createdMs: nowMs, taken: this.#taken, checkpoint },
    });
    if (next === 'unfinished') throw new Error('a segment was made and is not there');
    // The old segment goes on: a disk without room for a new file may have room for more records.
    if (isStoreFailure(next)) return null;
    this.#segment.close();
    this.#segment = next;
    this.#first = pruneSegments(folder, retain, nowMs) + 1;
    this.#closedBytes = sizeOf(folder, next.path);
    this.#segmentBytes = next.bytes();
    return null;
  }
}

/** A checkpoint is made after so many records at the latest. */
const RECORDS_PER_CHECKPOINT = 1_000;

/** The newest segment of a folder, or the first of a new log. */
function openLast(settings: LogSettings, ports: LogPorts): Segment | StoreFailure {
  const last = segmentsIn(settings.folder).at(-1);
  if (last !== undefined) {
    const segment = Segment.open(last.path, 'write');
    if (segment !== 'unfinished') return segment;
    discardSegment(last.path);
    return openLast(settings, ports);
  }
  const epoch = Buffer.from(ports.randomBytes(16)).toString('hex');
  const started = Segment.open(segmentPath(settings.folder, 0), {
    start: {
      origin: `remit.${settings.trustDomain}/${settings.name}/${epoch}`,
      carried: { range: emptyRange, head: new Uint8Array() },
      createdMs: ports.nowMs(),
      taken: new Map(),
      checkpoint: null,
    },
  });
  if (started === 'unfinished') throw new Error('a segment was made and is not there');
  return started;
}

function openFailure(folder: string, error: unknown): StoreFailure {
  const failure = failureOfSqlite(error);
  const cause = failure === null ? codeOf(error) : failure.detail;
  return storeFailure('unusable', `the ledger \`${folder}\` cannot be opened: ${cause}`);
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown error';
