import type { WitnessState } from './witness-visit.ts';

/** What the thread of the witnesses is given. */
export interface WitnessThreadInput {
  /** Of the ledger. */
  readonly folder: string;
  /** The file to which each cosigned checkpoint is appended. */
  readonly file: string;
  readonly witnesses: readonly { readonly url: string; readonly key: string }[];
  /** Pause between two visits of a witness. */
  readonly everyMs: number;
}

/** Messages of the thread. */
export type WitnessThreadMessage =
  /** After each visit; `index` is that of the witness. */
  { readonly kind: 'visited'; readonly index: number; readonly state: WitnessState } | { readonly kind: 'closed' };
