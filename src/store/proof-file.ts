import { createHash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { ReplayMemory } from '../token/proof-memory.ts';
import type { Proof } from '../token/proof.ts';
import { Patience } from './patience.ts';
import { openSqlite } from './sqlite-file.ts';
import type { FileFormat } from './sqlite-file.ts';
import { failureOfSqlite, isStoreFailure, stateUnavailable, storeFailure } from './store-failure.ts';
import type { StoreFailure } from './store-failure.ts';

/** Proofs remembered by all processes together, where nothing else is said: 15,000 a second, and about 100 MB. */
const DEFAULT_MAX_PROOFS = 1_000_000;
/** Forgotten at each use, so that the memory shrinks faster than it grows. */
const SWEPT = 100;
const MAX_BYTES = 4 * 1024 ** 3;

/** `Remp`. */
const format: FileFormat = { name: 'replay memory', applicationId: 0x52656d70, version: 1 };

/** `size` is how many rows there are, since to count them would take too long; before `horizon_s` all may be forgotten. */
const SCHEMA = `
CREATE TABLE proofs (
  digest BLOB PRIMARY KEY,
  issued_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX proofs_issued ON proofs (issued_s);
CREATE TABLE memory (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  size INTEGER NOT NULL CHECK (size >= 0),
  horizon_s INTEGER NOT NULL
) STRICT;
INSERT INTO memory VALUES (1, 0, 0);
PRAGMA application_id = ${format.applicationId};
PRAGMA user_version = ${format.version};
`;

const createTables = (db: DatabaseSync): void => db.exec(SCHEMA);

/** How a shared replay memory is bounded, and who is told that it broke. */
export interface ProofFileOptions {
  /** For how long after its `iat` a proof is accepted and so remembered: `pastSeconds` of the `ProofRules`. */
  readonly pastSeconds: number;
  /** Default 1,000,000. */
  readonly max?: number;
  /**
   * When this process began, milliseconds since the Unix epoch. It refuses a proof that was issued before: a machine that lost
   * its power may have lost the last ones.
   */
  readonly startedAtMs: number;
  /** How long a use waits for those at other processes, with everything else. */
  readonly busyTimeoutMs: number;
  /** Called once, when the file breaks: the process must stop serving and end. */
  readonly onFatal: (failure: StoreFailure) => void;
}

/**
 * The replay memory of DPoP proofs that several processes share: a proof that was used up at one is refused by all, by the
 * rules of `ProofMemory`. It is a file of its own, written without waiting for the disk, since it has to survive processes
 * and not the machine: so a proof costs no sync, and a state file that nobody wrote stays in memory. What cannot be written is
 * denied with `task.state-unavailable`.
 *
 * Lifecycle: `open` once, `memoryFor` for each role, `close` once.
 */
export class ProofFile {
  readonly #db: DatabaseSync;
  readonly #options: ProofFileOptions;
  readonly #patience: Patience;
  readonly #horizon: StatementSync;
  readonly #sweep: StatementSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  #broken: StoreFailure | null = null;

  private constructor(db: DatabaseSync, options: ProofFileOptions) {
    this.#db = db;
    this.#options = options;
    this.#patience = new Patience(db, options.busyTimeoutMs);
    this.#horizon = db.prepare('SELECT size, horizon_s FROM memory');
    this.#sweep = db.prepare(
      `DELETE FROM proofs WHERE digest IN (SELECT digest FROM proofs WHERE issued_s < ? ORDER BY issued_s LIMIT ${SWEPT})`,
    );
    this.#insert = db.prepare('INSERT INTO proofs VALUES (?,?) ON CONFLICT DO NOTHING');
    this.#update = db.prepare('UPDATE memory SET size = size + ?, horizon_s = ?');
  }

  /** Opens the file, made where there is none. */
  static open(path: string, options: ProofFileOptions): ProofFile | StoreFailure {
    const db = openSqlite(path, { format, access: 'create', maxBytes: MAX_BYTES, create: createTables });
    if (isStoreFailure(db)) return db;
    // Synced once in so many pages, when they go from the log into the file.
    db.exec('PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000');
    return new ProofFile(db, options);
  }

  /** The memory of one role: a proof that was used up at another role of the same name is used up here. */
  memoryFor(role: 'checks' | 'issuer'): ReplayMemory {
    return { use: (proof, nowMs) => this.#use(role, proof, nowMs) };
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
    this.#broken ??= storeFailure('broken', 'the replay memory is closed');
  }

  #use(role: string, { thumbprint, proofId, issuedAtSeconds }: Proof, nowMs: number): Deny | null {
    if (this.#broken !== null) return stateUnavailable(this.#broken);
    const digest = createHash('sha256').update(`${role}.${thumbprint}.${proofId}`).digest();
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      const problem = this.#remember(digest, issuedAtSeconds, nowMs);
      this.#db.exec(problem === null ? 'COMMIT' : 'ROLLBACK');
      this.#patience.written();
      return problem === null ? null : deny('token.proof', problem);
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** Within a transaction: why a proof may not be used. INVARIANT: what is forgotten is before the horizon of all processes. */
  #remember(digest: Uint8Array, issuedAtSeconds: number, nowMs: number): string | null {
    const { pastSeconds, startedAtMs, max = DEFAULT_MAX_PROOFS } = this.#options;
    const row = this.#horizon.get();
    const horizon = Math.max(Number(row?.['horizon_s']), Math.ceil(nowMs / 1000) - pastSeconds);
    if (issuedAtSeconds < Math.max(horizon, Math.floor(startedAtMs / 1000))) {
      return 'the proof is older than the replay memory';
    }
    const swept = Number(this.#sweep.run(horizon).changes);
    if (this.#insert.run(digest, issuedAtSeconds).changes === 0) return 'the proof was used before';
    if (Number(row?.['size']) - swept >= max) return 'the replay memory is full';
    this.#update.run(1 - swept, horizon);
    return null;
  }

  #failed(error: unknown): Deny {
    const failure = failureOfSqlite(error);
    if (failure === null) throw error;
    const named = storeFailure(failure.code, failure.detail.replaceAll('the state file', 'the replay memory'));
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
    if (named.code === 'busy') this.#patience.waitedInVain();
    if (named.code === 'broken') {
      this.#broken = named;
      this.#options.onFatal(named);
    }
    return stateUnavailable(named);
  }
}
