import type { WitnessState } from './witness-visit.ts';

/** What the thread of the witnesses is given. */
export interface WitnessThreadInput {
  /** Of the ledger. */
  readonly folder: string;
  /** The file that keeps cosigned checkpoints. */
  readonly file: string;
  readonly witnesses: readonly { readonly url: string; readonly key: string }[];
  /** Pause between two visits of a witness. */
  readonly everyMs: number;
}

/** Messages of the thread. */
export type WitnessThreadMessage =
  /** After each visit; `index` is that of the witness. */
  | { readonly kind: 'visited'; readonly index: number; readonly state: WitnessState }
  /** Why the file grows, since it cannot be bounded; `null` once it can. */
  | { readonly kind: 'file'; readonly problem: string | null }
  | { readonly kind: 'closed' };
