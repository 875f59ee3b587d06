import type { Clocks } from '../../runtime/ports.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import type { FloorMark } from '../clock-floor.ts';
import type { Store } from '../store.ts';

/** Calls of a store that the thread makes: all that write, and no other. */
export const WRITES = [
  'insertTask',
  'insertPart',
  'insertToken',
  'applyTaskEvent',
  'setContext',
  'setRisk',
  'revokeToken',
  'rememberOnce',
  'appendRecords',
  'settle',
  'writeSecrets',
  'touchTasks',
  'endExpired',
  'prune',
  'shrink',
  'markServing',
  'forget',
] as const satisfies readonly (keyof Store)[];
export type WriteName = (typeof WRITES)[number];

/** One call, with the clocks of the instant at which it was made: it is judged by these. */
export interface WriteCall {
  readonly name: WriteName;
  readonly input: readonly unknown[];
  readonly clocks: Clocks;
}

/** What the thread is started with. */
export interface AuthorityThreadInput {
  readonly path: string;
  readonly busyTimeoutMs?: number;
  readonly maxBytes?: number;
}

/** To the thread. `mark` is what the next commit writes of the clock. */
export type AuthorityRequest =
  | { readonly kind: 'writes'; readonly calls: readonly WriteCall[]; readonly mark: FloorMark }
  | { readonly kind: 'close'; readonly clocks: Clocks; readonly mark: FloorMark };

/** What became of a call: what the store answered, or the message of an error that it threw. */
export type WriteAnswer = { readonly value: unknown } | { readonly error: string };

/** From the thread. */
export type AuthorityMessage =
  | { readonly kind: 'opened' }
  | { readonly kind: 'unopened'; readonly failure: StoreFailure }
  | {
      readonly kind: 'answers';
      /** To the calls that wait the longest, in their order. */
      readonly answers: readonly WriteAnswer[];
      /** Of each transaction since the last message, what `onWrite` is told. */
      readonly writes: readonly (StoreFailure | null)[];
      /** Whether records were put into the outbox. */
      readonly hasRecords: boolean;
    }
  | { readonly kind: 'fatal'; readonly failure: StoreFailure }
  | { readonly kind: 'closed' };
