/** Records about logs themselves: what they hold, and what was pruned or received. */

/** The last record covered by a checkpoint: when it was made, and what the log still holds. */
export interface CheckpointRecord {
  readonly kind: 'checkpoint';
  readonly at: number;
  readonly task: null;
  /** Number of records, this record included: the signed size. */
  readonly size: number;
  /** The first record kept; earlier records were pruned. */
  readonly first: number;
  /** When the segment of this record was begun, as the segment says. */
  readonly begun: number;
  /** The highest outbox number taken from each state file, as the segment says. */
  readonly taken: Readonly<Record<string, number>>;
  /** In the ledger of an authority among several: the last record of their database that it has taken. Absent before the first. */
  readonly relayed?: { readonly database: string; readonly to: number };
}

/**
 * The oldest records are pruned, by the retention settings. Signed before their files are deleted: records that are missing
 * without such a record were deleted by somebody else.
 */
export interface PrunedRecord {
  readonly kind: 'pruned';
  readonly at: number;
  readonly task: null;
  /** The first pruned record; earlier records were pruned before. */
  readonly from: number;
  /** The last pruned record. */
  readonly to: number;
  /** Root of the tree over records 1 to `to`, in base64. */
  readonly root: string;
  readonly segments: number;
  /** Disk space of their files. */
  readonly bytes: number;
  /** When the last of them was written. */
  readonly newest: number;
  /** The limits that the segments exceed. */
  readonly rules: readonly ('age' | 'bytes')[];
  /** The configured limits. */
  readonly retainMs: number;
  readonly retainBytes: number;
}

/** What became of the log of a sidecar whose records this process receives: its emitter. */
export interface EmitterRecord {
  readonly kind: 'emitter';
  readonly at: number;
  readonly task: null;
  /**
   * `joined`: its records are received from now on. `checkpoint`: it signed its records up to `size`, and all of them are kept.
   * `left`: it ended, and all of its records are kept and signed. `lost`: it was silent for too long; records after `size` are
   * lost unless it returns. `refused`: what it sent does not continue what it sent before. `taken`: another authority continues
   * it, as the database says; its records up to `size` are kept. `pruned`: the retention deleted its records up to `size`, after
   * it had verified those after `from`.
   */
  readonly event: 'joined' | 'checkpoint' | 'left' | 'lost' | 'refused' | 'taken' | 'pruned';
  /** The origin of its log. */
  readonly origin: string;
  /** SPIFFE ID of the sidecar. */
  readonly by: string;
  /** `pruned`: number of its records before those that were verified; otherwise, and in earlier versions, absent. */
  readonly from?: number;
  /** Number of its records that are kept. */
  readonly size: number;
  /** Root of the tree over them, in base64. */
  readonly root: string;
  /** Number of records under its last checkpoint; 0 before the first. */
  readonly signed: number;
  /**
   * The verifier key of its checkpoints. `joined`: as reported by the sidecar; `pruned`: the key by which the deleted records
   * were verified, `null` in records of earlier versions; otherwise `null`.
   */
  readonly verifierKey: string | null;
  /** `checkpoint`: the signed note; `pruned`: the last note over deleted records; otherwise `null`. */
  readonly note: string | null;
  /** `refused`: why; `pruned`: `age` or `size`; otherwise `null`. */
  readonly why: string | null;
  /** `pruned`: the tree over the deleted records, serialised in base64, and the leaf hash of the last record; otherwise `null`. */
  readonly tree: string | null;
  readonly last: string | null;
}
