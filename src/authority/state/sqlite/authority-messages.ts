/** Messages between a process and the thread that writes its state file. */
import type { Clocks } from '../../../core/runtime/ports.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { FloorMark } from '../../../core/state/clock-floor.ts';
import type { Store } from '../../../core/state/store.ts';

/** The methods of a store that write. The thread runs these and no others. */
export const WRITES = [
  'insertTask',
  'insertPart',
  'insertToken',
  'applyTaskEvent',
  'setContext',
  'setRisk',
  'liftStops',
  'putOrder',
  'liftOrder',
  'revokeToken',
  'rememberOnce',
  'appendRecords',
  'keepRecord',
  'settle',
  'giveBack',
  'writeSecrets',
  'touchTasks',
  'writeUses',
  'endExpired',
  'prune',
  'shrink',
  'markServing',
  'forget',
  'claimSignals',
  'dropSignals',
] as const satisfies readonly (keyof Store)[];
export type WriteName = (typeof WRITES)[number];

/** A call, with the clock readings at which it was made. The thread decides by these. */
export interface WriteCall {
  readonly name: WriteName;
  readonly input: readonly unknown[];
  readonly clocks: Clocks;
}

/** Initial input of the thread. */
export interface AuthorityThreadInput {
  readonly path: string;
  readonly maxBytes?: number;
}

/** Messages to the thread. `mark` is the clock mark for the next commit. */
export type AuthorityRequest =
  | { readonly kind: 'writes'; readonly calls: readonly WriteCall[]; readonly mark: FloorMark }
  | { readonly kind: 'close'; readonly clocks: Clocks; readonly mark: FloorMark };

/** Result of a call: the value returned by the store, or the message of the error it threw. */
export type WriteAnswer = { readonly value: unknown } | { readonly error: string };

/** Messages from the thread. */
export type AuthorityMessage =
  | { readonly kind: 'opened' }
  | { readonly kind: 'unopened'; readonly failure: StoreFailure }
  | {
      readonly kind: 'answers';
      /** Results of the oldest waiting calls, in order. */
      readonly answers: readonly WriteAnswer[];
      /** The argument of `onWrite` for each transaction since the last message. */
      readonly writes: readonly (StoreFailure | null)[];
      /** Whether records were added to the outbox. */
      readonly hasRecords: boolean;
    }
  | { readonly kind: 'fatal'; readonly failure: StoreFailure }
  | { readonly kind: 'closed' };
