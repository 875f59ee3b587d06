/** The entries of `limits.yaml`: what agents may do over all their tasks. */
import type { SourceFinding } from '../action/catalog/finding.ts';

/** Most entries of `limits.yaml`. */
export const MAX_LIMITS = 200;

/** A limit over all tasks. Its counters are kept by its id: a changed maximum applies to what was counted. */
export interface Limit {
  readonly id: string;
  /** Patterns of SPIFFE IDs, as `coversSpiffeId` compares them; `*` alone is every agent. Never empty. */
  readonly agents: readonly string[];
  /** Ids of the catalog's actions; `null` for every action. Not read by the measures `tasks` and `openTasks`. */
  readonly actions: readonly string[] | null;
  /**
   * The keys by which counters are kept, in the order of the file: each combination of values has its own counter. `[]` is one
   * counter for all.
   */
  readonly per: readonly LimitKey[];
  /**
   * Length of a window, which begins at a multiple of it since the Unix epoch; `null` only if `openTasks` is all that it counts.
   */
  readonly windowMs: number | null;
  /** What is counted, at least one measure, each at most once. */
  readonly measures: readonly LimitMeasure[];
  /** `then` in the file: an object with a member of that name could be taken for a promise. */
  readonly effect: LimitEffect;
  /** Its place in the file. */
  readonly place: Pick<SourceFinding, 'file' | 'line' | 'column'>;
}

/** Whose uses a counter adds up: those of one agent, on behalf of one user, at one server. */
export type LimitKey = 'agent' | 'user' | 'server';

/** What happens beside the denial: nothing, the task is suspended, or the agent is stopped until an operator lifts that. */
export type LimitEffect = 'deny' | 'suspend' | 'stop';

/** What a limit counts, and the most of it. */
export type LimitMeasure =
  | { readonly of: 'calls'; readonly max: number }
  | {
      readonly of: 'amount';
      readonly argument: string;
      /** Whether `max` is in ten-thousandths, as that of a `max_amount` that is written as a decimal. */
      readonly isDecimal: boolean;
      readonly max: number;
      /** An argument that must have this value; `null` requires none. */
      readonly currency: { readonly argument: string; readonly value: string } | null;
    }
  /** Different values of an argument. */
  | { readonly of: 'distinct'; readonly argument: string; readonly max: number }
  /** Tasks declared in a window. */
  | { readonly of: 'tasks'; readonly max: number }
  /** Tasks that have not ended. */
  | { readonly of: 'openTasks'; readonly max: number };
