/** What a verification of a log found. */

/** Records `from` to `to`, inclusive. */
export interface RecordRange {
  readonly from: number;
  readonly to: number;
}

/** Records as the subject of a sentence: `record 4 is`, `records 4 to 6 are`. */
export const recordsText = ({ from, to }: RecordRange): string =>
  from === to ? `record ${to} is` : `records ${from} to ${to} are`;

/** Something an auditor should look at that does not prove tampering. */
export interface Remark {
  /** Record number. */
  readonly seq: number;
  readonly remark: string;
}

/** What a ledger has of the records of a database that several authorities share, by its own signed records. */
export interface RelayedRecords {
  /** Identifies the database; it changes at each restore. */
  readonly database: string;
  /** The last record that it took. */
  readonly to: number;
  /** Those up to `to` that it never got, in order. Those from record 1 on are of the time before the ledger. */
  readonly missing: readonly RecordRange[];
}

/**
 * Nothing contradicts the log. How much that proves differs: an anchored record cannot have been changed since, not even by the
 * holder of the key; a signed record only by the holder of the key; a bare record only by somebody with write access to the storage.
 */
export interface Sound {
  readonly kind: 'sound';
  /** Number of records, pruned records included. */
  readonly size: number;
  /** Number of pruned records. Whatever covers the first remaining record covers them too, by their hashes. */
  readonly pruned: number;
  /** The signed record that explains the pruning; `null` if nothing was pruned. */
  readonly prunedBy: number | null;
  /** Ranges, `null` if empty; together they are all remaining records. */
  readonly anchored: RecordRange | null;
  readonly signed: RecordRange | null;
  readonly bare: RecordRange | null;
  /** Checkpoints and anchors of pruned sizes: validly signed, but no longer checkable. */
  readonly unchecked: number;
  /** The first 100. */
  readonly remarks: readonly Remark[];
  readonly remarkCount: number;
  /** The records it has of each database that several authorities share; absent if it names none. */
  readonly relayed?: readonly RelayedRecords[];
}

/** The last record of a sound log that a checkpoint or an anchor covers; 0 for none. */
export const coveredUpTo = ({ pruned, anchored, signed }: Sound): number =>
  Math.max(pruned, anchored?.to ?? 0, signed?.to ?? 0);

/** The log was changed, or does not match its heads. */
export interface Broken {
  readonly kind: 'broken';
  readonly part: 'log' | 'record' | 'checkpoint' | 'anchor';
  /** Record number, or size of a checkpoint or anchor; `null` if not known. */
  readonly at: number | null;
  readonly problem: string;
  /** The missing records, if records are missing and the log or a head shows which. */
  readonly lost?: RecordRange;
}

/** What a verification found. */
export type Verdict = Sound | Broken;

/** Makes a verdict that something is wrong. */
export const broken = (
  part: Broken['part'],
  at: number | null,
  problem: string,
  { lost }: Pick<Broken, 'lost'> = {},
): Broken => ({ kind: 'broken', part, at, problem, ...(lost === undefined ? {} : { lost }) });
