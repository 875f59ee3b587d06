import type { ReplicaReport } from '../../../core/fleet/fleet-report.ts';
import { silentLeases } from '../../../core/fleet/joined-reports.ts';
import type { DescribedMark } from './replica-board.ts';

/** The details that an authority publishes. */
interface Details {
  readonly version: string;
  readonly sidecars: number;
}

interface SeenMark extends DescribedMark {
  /** When this beat was first seen, by the monotonic clock. */
  readonly sinceMs: number;
}

const MAX_TEXT = 64;
const MAX_ADDRESS = 300;

/** What `remit fleet` shows of the authorities over a database. Pure. */
export class ReplicaReports {
  #seen: ReadonlyMap<string, SeenMark> = new Map();

  /** Notes the marks of all authorities as read at an instant. */
  seen(marks: readonly DescribedMark[], monotonicMs: number): void {
    this.#seen = new Map(
      marks.map((mark) => {
        const before = this.#seen.get(mark.id);
        return [mark.id, { ...mark, sinceMs: before?.beat === mark.beat ? before.sinceMs : monotonicMs }];
      }),
    );
  }

  /** Those that are longest silent first, in whole leases, then those that are furthest behind. */
  all(position: number, monotonicMs: number): readonly ReplicaReport[] {
    return [...this.#seen.values()].map((mark) => reportOf(mark, position, monotonicMs)).toSorted(byLag);
  }
}

/** The text that an authority writes about itself. */
export const detailsOf = (details: Details): string => JSON.stringify(details);

function reportOf(mark: SeenMark, position: number, monotonicMs: number): ReplicaReport {
  const { version, sidecars } = detailsFrom(mark.details);
  return {
    id: mark.id,
    address: mark.address.slice(0, MAX_ADDRESS).toWellFormed(),
    version,
    beat_age_ms: Math.max(0, Math.round(monotonicMs - mark.sinceMs)),
    behind: Math.max(0, position - mark.enforcedSeq),
    lease_ms: mark.leaseMs,
    sidecars,
  };
}

const byLag = (one: ReplicaReport, other: ReplicaReport): number =>
  silentLeases(other) - silentLeases(one) || other.behind - one.behind || other.sidecars - one.sidecars;

/** Another version may write other members. */
function detailsFrom(text: string): Details {
  const found: unknown = jsonFrom(text);
  const { version, sidecars }: { readonly version?: unknown; readonly sidecars?: unknown } =
    typeof found === 'object' && found !== null ? found : {};
  return {
    version: typeof version === 'string' ? version.slice(0, MAX_TEXT).toWellFormed() : '',
    sidecars: typeof sidecars === 'number' && Number.isSafeInteger(sidecars) && sidecars >= 0 ? sidecars : 0,
  };
}

function jsonFrom(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
