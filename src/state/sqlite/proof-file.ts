import { createHash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { deny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import { forgettableBefore, replayMemoryFull } from '../../token/proof-memory.ts';
import type { OnProofRefused, ProofUse, ReplayMemory } from '../../token/proof-memory.ts';
import { exceededBound } from '../../token/proof-share.ts';
import type { ProofBound } from '../../token/proof-share.ts';
import type { Proof } from '../../token/proof.ts';
import { BusyTimeout } from '../../sqlite/busy-timeout.ts';
import type { FileFormat } from '../../sqlite/file-format.ts';
import { openSqlite } from '../../sqlite/sqlite-file.ts';
import { failureOfSqlite, isStoreFailure, stateUnavailable, storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';

/** Default bound on proofs remembered for all processes: enough for 15,000 a second. About 100 MB. */
const DEFAULT_MAX_PROOFS = 1_000_000;
/** Expired proofs deleted at each use, so that the memory shrinks faster than it grows. */
const SWEPT = 100;
const MAX_BYTES = 4 * 1024 ** 3;

/** `Remp`. */
const format: FileFormat = {
  name: 'replay memory',
  applicationId: 0x52656d70,
  version: 2,
  ifOlder: 'stop all processes that share it and delete it: it holds only the proofs of the last minutes',
};

/**
 * `size` is the number of rows, and `holders` how many of them are of one key or agent, since counting takes too long. Proofs before
 * `horizon_s` may be deleted.
 */
const SCHEMA = `
CREATE TABLE proofs (
  digest BLOB PRIMARY KEY,
  issued_s INTEGER NOT NULL,
  key BLOB NOT NULL,
  agent BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX proofs_issued ON proofs (issued_s);
CREATE TABLE holders (
  name BLOB PRIMARY KEY,
  count INTEGER NOT NULL CHECK (count >= 0)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER proofs_in AFTER INSERT ON proofs BEGIN
  INSERT INTO holders VALUES (NEW.key, 1), (NEW.agent, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER proofs_out AFTER DELETE ON proofs BEGIN
  UPDATE holders SET count = count - 1 WHERE name IN (OLD.key, OLD.agent);
  DELETE FROM holders WHERE name IN (OLD.key, OLD.agent) AND count = 0;
END;
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

/** Bounds and callbacks of a shared replay memory. */
export interface ProofFileOptions {
  /** For how long after its `iat` a proof is accepted, and so remembered: `pastSeconds` of the `ProofRules`. */
  readonly pastSeconds: number;
  /** Default 1,000,000. */
  readonly max?: number;
  /**
   * When this process started, milliseconds since the Unix epoch. Earlier proofs are refused: a machine that lost power may have lost the
   * last ones.
   */
  readonly startedAtMs: number;
  /** How long a use waits for other processes. It blocks the event loop. */
  readonly busyTimeoutMs: number;
  /** Called once when the file breaks. The process must stop serving and exit. */
  readonly onFatal: (failure: StoreFailure) => void;
}

/** Why a proof is refused. The bounds are shared by all processes. */
type Refusal = { readonly problem: string } | { readonly bound: ProofBound };

/**
 * The replay memory for DPoP proofs of several processes: a proof used at one is refused by all, by the rules of `ProofMemory`. It is a
 * separate file, written without syncs, since it must survive processes but not the machine. So a proof costs no sync, and an unchanged
 * state file stays cached in memory. A proof that cannot be written is denied with `task.state-unavailable`.
 *
 * Lifecycle: `open` once, `memoryFor` for each role, `close` once.
 */
export class ProofFile {
  readonly #db: DatabaseSync;
  readonly #options: ProofFileOptions;
  readonly #patience: BusyTimeout;
  readonly #horizon: StatementSync;
  readonly #sweep: StatementSync;
  readonly #known: StatementSync;
  readonly #held: StatementSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  #broken: StoreFailure | null = null;

  private constructor(db: DatabaseSync, options: ProofFileOptions) {
    this.#db = db;
    this.#options = options;
    this.#patience = new BusyTimeout(db, options.busyTimeoutMs);
    this.#horizon = db.prepare('SELECT size, horizon_s FROM memory');
    this.#sweep = db.prepare(
      `DELETE FROM proofs WHERE digest IN (SELECT digest FROM proofs WHERE issued_s < ? ORDER BY issued_s LIMIT ${SWEPT})`,
    );
    this.#known = db.prepare('SELECT 1 FROM proofs WHERE digest = ?');
    this.#held = db.prepare('SELECT count FROM holders WHERE name = ?');
    this.#insert = db.prepare('INSERT INTO proofs VALUES (?,?,?,?)');
    this.#update = db.prepare('UPDATE memory SET size = size + ?, horizon_s = ?');
  }

  /** Opens the file, and creates it if it does not exist. */
  static open(path: string, options: ProofFileOptions): ProofFile | StoreFailure {
    const db = openSqlite(path, { format, access: 'create', maxBytes: MAX_BYTES, create: createTables });
    if (isStoreFailure(db)) return db;
    // SQLite syncs only at a checkpoint, once in 4,000 pages.
    db.exec('PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000');
    return new ProofFile(db, options);
  }

  /** The memory of one role. A proof used at the same role of another process is used here too. */
  memoryFor(role: 'checks' | 'issuer', onRefused: OnProofRefused = () => undefined): ReplayMemory {
    return {
      use: (proof, of) => {
        const refusal = this.#use(role, proof, of);
        if (refusal === null || 'kind' in refusal) return refusal;
        if ('problem' in refusal) return deny('token.proof', refusal.problem);
        onRefused(refusal.bound);
        return replayMemoryFull(refusal.bound);
      },
    };
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
    this.#broken ??= storeFailure('broken', 'the replay memory is closed');
  }

  #use(role: string, proof: Proof, of: ProofUse): Refusal | Deny | null {
    if (this.#broken !== null) return stateUnavailable(this.#broken);
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      const refusal = this.#remember(role, proof, of);
      this.#db.exec(refusal === null ? 'COMMIT' : 'ROLLBACK');
      this.#patience.written();
      return refusal;
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** Within a transaction: why a proof may not be used. INVARIANT: only proofs before the horizon of all processes are deleted. */
  #remember(
    role: string,
    { thumbprint, proofId, issuedAtSeconds }: Proof,
    { agent, clocks }: ProofUse,
  ): Refusal | null {
    const { pastSeconds, startedAtMs, max = DEFAULT_MAX_PROOFS } = this.#options;
    const row = this.#horizon.get();
    const horizon = Math.max(Number(row?.['horizon_s']), forgettableBefore(clocks, pastSeconds));
    if (issuedAtSeconds < Math.max(horizon, Math.floor(startedAtMs / 1000))) {
      return { problem: 'the proof is older than the replay memory' };
    }
    const swept = Number(this.#sweep.run(horizon).changes);
    const digest = digestOf(`${role}.${thumbprint}.${proofId}`);
    if (this.#known.get(digest) !== undefined) return { problem: 'the proof was used before' };
    const size = Number(row?.['size']) - swept;
    const [key, ofAgent] = [digestOf(`key ${thumbprint}`), digestOf(`agent ${agent}`)];
    const bound = exceededBound({ max, size, ofKey: this.#countOf(key), ofAgent: this.#countOf(ofAgent) });
    if (bound !== null) return { bound };
    this.#insert.run(digest, issuedAtSeconds, key, ofAgent);
    this.#update.run(1 - swept, horizon);
    return null;
  }

  #countOf(holder: Uint8Array): number {
    return Number(this.#held.get(holder)?.['count'] ?? 0);
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

const digestOf = (text: string): Uint8Array => createHash('sha256').update(text).digest();
