/** What a verification of a log found. */

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
  /** Names one life of the database. */
  readonly database: string;
  /** The last record that it took. */
  readonly to: number;
  /** Those up to `to` that it never got, in order. Those from record 1 on are of the time before the ledger. */
  readonly missing: readonly RecordRange[];
}

/**
 * Nothing contradicts the log. How much that proves differs: an anchored record cannot have been changed since, not even by the
 * holder of the key; a signed one not by anybody else; a bare one by nobody without write access to the storage.
 */
export interface Sound {
  readonly kind: 'sound';
  /** Number of records, pruned ones included. */
  readonly size: number;
  /** Number of pruned records. Whatever covers the first remaining record covers them too, by their hashes. */
  readonly pruned: number;
  /** The signed record that explains the pruning; `null` where nothing was pruned. */
  readonly prunedBy: number | null;
  /** Ranges, `null` where empty; together they are all remaining records. */
  readonly anchored: RecordRange | null;
  readonly signed: RecordRange | null;
  readonly bare: RecordRange | null;
  /** Checkpoints and anchors of pruned sizes: validly signed, but no longer checkable. */
  readonly unchecked: number;
  /** The first 100. */
  readonly remarks: readonly Remark[];
  readonly remarkCount: number;
  /** What it has of the records of each database that several authorities share; absent where it names none. */
  readonly relayed?: readonly RelayedRecords[];
}

/** The log was changed, or does not match its heads. */
export interface Broken {
  readonly kind: 'broken';
  readonly part: 'log' | 'record' | 'checkpoint' | 'anchor';
  /** Record number, or size of a checkpoint or anchor; `null` where not known. */
  readonly at: number | null;
  readonly problem: string;
  /** The missing records, where that is what is wrong and the log or a head tells which. */
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
