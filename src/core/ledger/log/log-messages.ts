import type { StoreFailure } from '../../runtime/store-failure.ts';
import type { RingPart } from './leaf-ring.ts';
import type { MadeCheckpoint } from './log.ts';
import type { LogSettings } from './log-settings.ts';
import type { PackedRecords } from './segment/packed-records.ts';

/** The first message to a log's thread: which log it opens. */
export interface LogThreadInput {
  readonly settings: LogSettings;
  /** Id of the state file whose outbox numbers the records carry. */
  readonly fileId: string;
  /** The ring (`leaf-ring.ts`) in which the thread shares what it has written; `null` if it does not share. */
  readonly ring: SharedArrayBuffer | null;
}

/** Requests to the thread, one at a time. */
export type LogRequest = { readonly kind: 'append'; readonly records: PackedRecords } | { readonly kind: 'close' };

/** The status of a log, sent with each answer. */
export interface LogStatus {
  readonly size: number;
  readonly bytes: number;
}

/** Messages of the thread. The answer to a request is the next message of its kind. */
export type LogThreadMessage =
  | ({
      readonly kind: 'opened';
      readonly origin: string;
      /** The verifier key of its checkpoints, for pinning. */
      readonly verifierKey: string;
      readonly taken: number;
    } & LogStatus)
  | { readonly kind: 'unopened'; readonly failure: StoreFailure }
  | ({
      readonly kind: 'appended';
      readonly failure: StoreFailure | null;
      /** Its leaves as parts in the ring; empty if nothing was written or nothing is shared; `null` if they did not fit. */
      readonly written: readonly RingPart[] | null;
    } & LogStatus)
  | {
      readonly kind: 'checkpoint';
      readonly made: MadeCheckpoint | StoreFailure;
      readonly written: readonly RingPart[] | null;
    }
  | { readonly kind: 'closed'; readonly failure: StoreFailure | null };
