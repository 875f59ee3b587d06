/** A new checkpoint of a ledger. */
export interface CheckpointNotice {
  readonly size: number;
  /** The signed note, whose first line is the ledger's origin. */
  readonly note: string;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}
