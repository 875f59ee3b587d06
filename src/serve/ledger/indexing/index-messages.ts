import type { Problem } from '../../../core/runtime/problem.ts';

/** What the thread that makes an index is given. */
export interface IndexThreadInput {
  /** Whose index: of a ledger, or of the records that an authority received. */
  readonly of: 'ledger' | 'received';
  /** Of the records. */
  readonly folder: string;
  /** Records of a part. */
  readonly partRecords: number;
}

/** Messages of the thread: how many records the index has and does not have, after each step; or why it stopped. */
export type IndexReport = { readonly indexed: number; readonly left: number } | Problem;
