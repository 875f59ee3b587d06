import type { Clocks } from '../runtime/ports.ts';
import type { Store } from './store.ts';

/** The same calls, each answered by a promise. */
type Promised<T> = {
  readonly [Name in keyof T]: T[Name] extends (...input: infer Input) => infer Answer
    ? (...input: Input) => Promise<Answer>
    : never;
};

/**
 * What issues tasks and tokens and holds what is true of them. Each write is one transaction with its records, on disk when its
 * promise resolves, or nothing of it is; a check that begins after that sees it. A failure is a returned value, never a rejection.
 */
export interface Authority extends Promised<
  Pick<
    Store,
    | 'taskOf'
    | 'useStateOf'
    | 'tokenOf'
    | 'openTasks'
    | 'restoredAtMs'
    | 'insertTask'
    | 'insertPart'
    | 'insertToken'
    | 'applyTaskEvent'
    | 'setContext'
    | 'setRisk'
    | 'revokeToken'
    | 'rememberOnce'
    | 'appendRecords'
  >
> {
  /** One reading of all clocks. */
  clocks(): Clocks;
  /** The later of wall clock and floor, milliseconds since the Unix epoch: what tasks are judged by. */
  nowMs(): number;
  /** The floor alone, in the same unit: what is written for good is judged by it. */
  floorMs(): number;
}

/** Writes that decide nothing: they are queued and retried, and no check or request waits for them. */
export type Upkeep = Promised<
  Pick<Store, 'writeSecrets' | 'touchTasks' | 'endExpired' | 'prune' | 'shrink' | 'markServing' | 'forget'>
>;
