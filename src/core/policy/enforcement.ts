/** The entries of `enforcement.yaml`: which calls are observed, and until when. */
import type { SourceFinding } from '../action/catalog/finding.ts';

/** Calls that are observed: they are answered with allow if they would be denied, and recorded as such. */
export interface ObserveEntry {
  readonly id: string;
  /**
   * Patterns of the SPIFFE IDs of verified callers; `['*']` for every caller. `null` for calls without a verified caller, which are covered by
   * their server alone.
   */
  readonly agents: readonly string[] | null;
  /** Ids of the catalog's servers, and hosts that the catalog lacks, exact or `*.suffix`; `null` for every server. */
  readonly servers: readonly string[] | null;
  /** From then on calls are enforced; milliseconds since the Unix epoch. */
  readonly untilMs: number;
  readonly owner: string;
  readonly because: string;
  /** Its place in the file. */
  readonly place: Pick<SourceFinding, 'file' | 'line' | 'column'>;
}

/** Stands for every caller in the `agents` of an entry. */
export const EVERY_AGENT = '*';
