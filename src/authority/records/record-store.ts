import type { Problem } from '../../core/runtime/problem.ts';
import type { Emitter, EmitterName } from './emitter.ts';
import type { Section } from './pack.ts';

/** A store for the records of other processes. Nothing in it is ever changed. */
export interface RecordStore {
  /**
   * Keeps sections durably. Called one at a time. After a problem the same sections are kept again, so that a section may be there twice.
   *
   * @returns why not all of them are known to be kept; `null` once they are
   */
  readonly keep: (sections: readonly Section[]) => Promise<string | null>;
}

/** Whether the log of an emitter continues: `open`, or how it ended. A `lost` log may return. */
export type EmitterState = 'open' | 'left' | 'lost';

/** How far a log is kept, and whether it is open. */
export interface EmitterHead {
  readonly emitter: Emitter;
  readonly state: EmitterState;
  /** Grows each time a process takes the log over: only the last process that did may keep more of it. */
  readonly term: number;
}

/**
 * How far each log is kept, so that its stream resumes after a restart and at another process. If several processes share the heads, these
 * decide which process continues a log: no two processes can acknowledge different records. Each call returns a problem in words if it fails.
 */
export interface EmitterHeads {
  /**
   * Takes a log over from any other process. A log of another identity or key is not taken over: its head is returned, so that the caller
   * refuses the stream.
   */
  readonly claim: (name: EmitterName) => Promise<EmitterHead | Problem>;
  /**
   * Moves heads, after the records themselves are kept.
   *
   * @returns the heads that were not moved, as they are: another process has taken these logs over
   */
  readonly keep: (heads: readonly EmitterHead[]) => Promise<readonly EmitterHead[] | Problem>;
  /** Takes over the open logs that no process receives any more. Called at the start, and every ten seconds. */
  readonly abandoned: () => Promise<readonly EmitterHead[] | Problem>;
  /** Whether this process does the work that a single process among those sharing the heads must do. */
  readonly isFirst: () => boolean;
  readonly close: () => Promise<void>;
}
