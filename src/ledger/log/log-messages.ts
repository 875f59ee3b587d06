import type { StoreFailure } from '../../sqlite/store-failure.ts';
import type { MadeCheckpoint } from './log.ts';
import type { LogSettings } from './log-settings.ts';
import type { PackedRecords } from './packed-records.ts';

/** What the thread of a log is started with. */
export interface LogThreadInput {
  readonly settings: LogSettings;
  /** Whose outbox the numbers of records are of. */
  readonly fileId: string;
}

/** What the thread is asked, one at a time. */
export type LogRequest = { readonly kind: 'append'; readonly records: PackedRecords } | { readonly kind: 'close' };

/** Where a log stands, as its thread says with each answer. */
export interface LogStatus {
  readonly size: number;
  readonly bytes: number;
}

/** What the thread says. The answer to a request is the next message of its kind. */
export type LogThreadMessage =
  | ({
      readonly kind: 'opened';
      readonly origin: string;
      /** The verifier key of its checkpoints, to be pinned. */
      readonly verifierKey: string;
      readonly taken: number;
    } & LogStatus)
  | { readonly kind: 'unopened'; readonly failure: StoreFailure }
  | ({ readonly kind: 'appended'; readonly failure: StoreFailure | null } & LogStatus)
  | { readonly kind: 'checkpoint'; readonly made: MadeCheckpoint | StoreFailure }
  | { readonly kind: 'closed'; readonly failure: StoreFailure | null };
