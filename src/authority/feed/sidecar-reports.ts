import type { SidecarReport } from '../../core/fleet/fleet-report.ts';
import { byLag } from '../../core/fleet/joined-reports.ts';
import type { SidecarStatus } from '../../core/fleet/messages.ts';
import { ownTextOf } from '../../core/runtime/collections/bounded-memo.ts';
import type { SidecarStream, StreamId } from './sidecar-stream.ts';

/** What a sidecar has reported about itself. */
interface Said {
  readonly version: string;
  readonly status: SidecarStatus | null;
}

const MAX_VERSION = 32;
const MAX_TEXT = 300;

/**
 * The latest report of each sidecar about itself, for `remit fleet`: of no more sidecars than the hub knows, if `keepOnly` is called
 * regularly.
 */
export class SidecarReports {
  readonly #said = new Map<StreamId, Said>();

  began(id: StreamId, version: string): void {
    this.#said.set(id, { version: ownTextOf(version.slice(0, MAX_VERSION)), status: null });
  }

  pinged(id: StreamId, status: SidecarStatus | null): void {
    const said = this.#said.get(id);
    if (said === undefined || status === null) return;
    const [policy_set, last_error] = [keptText(status.policy_set), keptText(status.last_error)];
    this.#said.set(id, { ...said, status: { ...status, policy_set, last_error } });
  }

  /** Number of reports that are kept. */
  get size(): number {
    return this.#said.size;
  }

  /** Drops the reports of sidecars that the hub no longer knows, if there may be any. @param streams all that the hub knows */
  keepOnly(streams: ReadonlyMap<StreamId, SidecarStream>): void {
    if (this.#said.size <= streams.size) return;
    for (const id of this.#said.keys()) if (!streams.has(id)) this.#said.delete(id);
  }

  /**
   * The sidecars, those that are furthest behind first: not connected, then by changes, then by records, then by what is left of the lease.
   * @param streams all that the hub knows
   */
  all(
    streams: ReadonlyMap<StreamId, SidecarStream>,
    at: { readonly position: number; readonly monotonicMs: number; readonly marginMs: number },
  ): readonly SidecarReport[] {
    return [...streams.values()].map((stream) => reportOf(stream, this.#said.get(stream.id), at)).toSorted(byLag);
  }
}

/** Changes not acknowledged by the connected sidecar that is furthest behind; 0 if none is connected. */
export function furthestBehind(streams: ReadonlyMap<StreamId, SidecarStream>, position: number): number {
  let acknowledged = position;
  for (const stream of streams.values()) if (stream.isOpen) acknowledged = Math.min(acknowledged, stream.acknowledged);
  return position - acknowledged;
}

function reportOf(
  stream: SidecarStream,
  said: Said | undefined,
  at: { readonly position: number; readonly monotonicMs: number; readonly marginMs: number },
): SidecarReport {
  const separator = stream.id.lastIndexOf(' ');
  const status = said?.status;
  return {
    peer: stream.id.slice(0, separator),
    instance: stream.id.slice(separator + 1),
    version: said?.version ?? '',
    connected: stream.isOpen,
    lease_left_ms: Math.max(0, Math.round(stream.fencedMs - at.marginMs - at.monotonicMs)),
    behind: Math.max(0, at.position - stream.acknowledged),
    tasks: stream.notes.size,
    policy_set: status?.policy_set ?? '',
    policy_generation: status?.policy_generation ?? 0,
    unacknowledged_records: status?.unacknowledged_records ?? 0,
    last_error: status?.last_error ?? '',
  };
}

/** A copy of the beginning: a slice would keep the whole text in memory. */
const keptText = (value: string): string => ownTextOf(value.slice(0, MAX_TEXT).toWellFormed());
