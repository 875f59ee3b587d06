import type { Clocks } from '../runtime/ports.ts';
import type { Store } from './store.ts';

/** The same methods, each returning a promise. */
type Promised<T> = {
  readonly [Name in keyof T]: T[Name] extends (...input: infer Input) => infer Answer
    ? (...input: Input) => Promise<Answer>
    : never;
};

/**
 * Issues tasks and tokens and holds their state. Each write is one transaction with its records: when its promise resolves, all of it is on
 * disk, or nothing. A check that begins afterwards sees it. A failure is a returned value, never a rejection.
 */
export interface Authority extends Promised<
  Pick<
    Store,
    | 'taskOf'
    | 'useStateOf'
    | 'tokenOf'
    | 'openTasks'
    | 'restoredAtMs'
    | 'stopOf'
    | 'limitUses'
    | 'limitPeaks'
    | 'openTaskCounts'
    | 'ordersInForce'
    | 'signalQueue'
    | 'claimSignals'
    | 'dropSignals'
    | 'insertTask'
    | 'insertPart'
    | 'insertToken'
    | 'applyTaskEvent'
    | 'setContext'
    | 'setRisk'
    | 'liftStops'
    | 'putOrder'
    | 'liftOrder'
    | 'revokeToken'
    | 'rememberOnce'
    | 'appendRecords'
    | 'keepRecord'
  >
> {
  /** One reading of all clocks. */
  clocks(): Clocks;
  /** The later of wall clock and floor, in milliseconds since the Unix epoch. Decisions about tasks use it. */
  nowMs(): number;
  /** The floor alone, in the same unit. Permanent writes use it. */
  floorMs(): number;
}

/** Background writes. They are queued and retried; no check or request waits for them. */
export type Upkeep = Promised<
  Pick<
    Store,
    'writeSecrets' | 'touchTasks' | 'writeUses' | 'endExpired' | 'prune' | 'shrink' | 'markServing' | 'forget'
  >
>;
