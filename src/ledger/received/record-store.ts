import type { Emitter } from './emitter.ts';
import type { Section } from './pack.ts';

/** Where the records of other processes are kept. Nothing in it is ever changed. */
export interface RecordStore {
  /**
   * Keeps sections durably, all or none of them. Called one at a time. After a problem the same sections are kept again, so that a
   * section may be there twice.
   *
   * @returns why they are not known to be kept; `null` once they are
   */
  readonly keep: (sections: readonly Section[]) => Promise<string | null>;
  readonly close: () => Promise<void>;
}

/** Whether the log of an emitter goes on: `open`, or how it ended. One that is `lost` may return. */
export type EmitterState = 'open' | 'left' | 'lost';

/** An emitter, and whether its log goes on. */
export interface KnownEmitter {
  readonly emitter: Emitter;
  readonly state: EmitterState;
}

/** How far each emitter is kept, so that its stream resumes after a restart. Each returns a problem in words where it fails. */
export interface EmitterHeads {
  readonly find: (origin: string) => Promise<KnownEmitter | null | { readonly problem: string }>;
  /** Called after the records themselves are kept. */
  readonly keep: (emitters: readonly KnownEmitter[]) => Promise<string | null>;
  /** The emitters whose log goes on. */
  readonly open: () => Promise<readonly Emitter[] | { readonly problem: string }>;
  readonly close: () => Promise<void>;
}
