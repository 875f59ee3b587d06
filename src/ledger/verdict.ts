/** Records `from` to `to`, both included. */
export interface Records {
  readonly from: number;
  readonly to: number;
}

/** Records as the subject of a sentence: `record 4 is`, `records 4 to 6 are`. */
export const recordsText = ({ from, to }: Records): string =>
  from === to ? `record ${to} is` : `records ${from} to ${to} are`;

/** Something an auditor should look at that is no proof of tampering. */
export interface Remark {
  /** Record number. */
  readonly seq: number;
  readonly remark: string;
}

/**
 * Nothing contradicts the log. How much that says differs by record: an anchored one cannot have been changed since, not even
 * by who holds the key; a signed one by nobody else; a bare one by anyone who can write to the storage.
 */
export interface Sound {
  readonly kind: 'sound';
  /** Records of the log, those that were pruned included. */
  readonly size: number;
  /** Records that were pruned: what covers the first one that is left covers them too, by their hashes alone. */
  readonly pruned: number;
  /** The signed record that says which were pruned, and by what rule; `null` where none was. */
  readonly prunedBy: number | null;
  /** Each range is `null` where it would be empty; together they are all the records that are left. */
  readonly anchored: Records | null;
  readonly signed: Records | null;
  readonly bare: Records | null;
  /** Checkpoints and anchors of sizes whose records were pruned: signed as they should be, and beyond checking. */
  readonly unchecked: number;
  /** The first 100. */
  readonly remarks: readonly Remark[];
  readonly remarkCount: number;
}

/** The log is not what it was, or the checkpoints are not of it. */
export interface Broken {
  readonly kind: 'broken';
  readonly part: 'log' | 'record' | 'checkpoint' | 'anchor';
  /** Record number, or the size in a checkpoint or an anchor; `null` where none can be told. */
  readonly at: number | null;
  readonly problem: string;
  /** The records that are gone, where that is what is wrong and the log itself, or a head of it, tells which. */
  readonly lost?: Records;
}

/** What a verification found. */
export type Verdict = Sound | Broken;

/** The verdict that something is wrong. */
export const broken = (
  part: Broken['part'],
  at: number | null,
  problem: string,
  { lost }: Pick<Broken, 'lost'> = {},
): Broken => ({ kind: 'broken', part, at, problem, ...(lost === undefined ? {} : { lost }) });
