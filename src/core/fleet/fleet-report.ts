/** A sidecar as its authority sees it. Times are in milliseconds. */
export interface SidecarReport {
  /** SPIFFE ID of the sidecar, or `unix` for a sidecar on a Unix socket. */
  readonly peer: string;
  /** Random name of the process. */
  readonly instance: string;
  /** Version of Remit. */
  readonly version: string;
  /** Whether it follows the feed now. If not, it is listed until its lease has expired. */
  readonly connected: boolean;
  /** How long it may go on deciding without another answer of this authority; 0 if it may not. */
  readonly lease_left_ms: number;
  /** Changes of the feed that it has not acknowledged. */
  readonly behind: number;
  /** Tasks that it holds. */
  readonly tasks: number;
  /** Hash of the policies in force there; `''` if there are none. */
  readonly policy_set: string;
  readonly policy_generation: number;
  /** Records that no authority has acknowledged. */
  readonly unacknowledged_records: number;
  /** `''` if there is none. */
  readonly last_error: string;
}

/** An authority as seen by another authority over the same database. */
export interface ReplicaReport {
  readonly id: string;
  /** The address at which sidecars connect to it. */
  readonly address: string;
  /** Version of Remit; `''` if it has not said so. */
  readonly version: string;
  /**
   * Time since the asked authority saw a new commit of it. Once this exceeds the lease, the sidecars of the silent authority are
   * fenced.
   */
  readonly beat_age_ms: number;
  /** Changes of the feed that are not enforced at its sidecars yet. */
  readonly behind: number;
  readonly lease_ms: number;
  /** Sidecars that follow it. */
  readonly sidecars: number;
}

/** A server of the database that the configuration names. */
export interface DatabaseHostReport {
  /** `host:port`. */
  readonly host: string;
  readonly role: 'primary' | 'standby' | 'unknown';
  /** Grows with each promotion of a standby; `null` if not known. */
  readonly timeline: number | null;
  /** Why its role is not known; `''` if it is. */
  readonly problem: string;
}

/** A standby that streams from the primary. */
export interface StandbyReport {
  readonly name: string;
  /** `''` over a socket. */
  readonly address: string;
  /** Such as `streaming`. */
  readonly state: string;
  /** `sync` or `quorum` if a commit waits for it, else `async` or `potential`. */
  readonly sync: string;
  /** Bytes of the log that it has not replayed; `null` if it has not said so. */
  readonly behind_bytes: number | null;
}

/** The PostgreSQL of an authority. */
export interface DatabaseReport {
  readonly hosts: readonly DatabaseHostReport[];
  /** Those that are furthest behind first; `null` if the role may not see them, or the primary does not answer. */
  readonly standbys: readonly StandbyReport[] | null;
  /** Age of the oldest transaction that is open in it, in seconds; `null` if there is none, or the role may not see it. */
  readonly transaction_open_s: number | null;
  /** Age of the oldest record that too few ledgers of authorities have, in seconds; 0 if there is none, `null` if not known. */
  readonly records_wait_s: number | null;
  /** What is wrong, as a code: it lacks commits that were seen in it, or commits do not survive what they must; `null` for nothing. */
  readonly cause: typeof LOST_COMMITS | 'durability' | null;
  /** The same in words, with the way out. */
  readonly problem: string | null;
}

/** The name of the fault that the database lacks commits, in the gate of readiness, in the log and in reports. */
export const LOST_COMMITS = 'database-lost-commits';

/** An authority, its replicas, and the sidecars that follow it: `GET /fleet` of its admin address. */
export interface FleetReport {
  /** The id of this authority among the replicas; `null` if the state is a file. */
  readonly id: string | null;
  readonly version: string;
  /** Identifies the database; it changes at each restore. */
  readonly epoch: string;
  /** The feed is processed up to here. */
  readonly position: number;
  readonly lease_ms: number;
  /** Why no sidecar is served; `null` if they are. */
  readonly problem: string | null;
  /** All authorities over the database, those that are longest silent or furthest behind first; empty if the state is a file. */
  readonly replicas: readonly ReplicaReport[];
  /** `null` if the state is a file. */
  readonly database: DatabaseReport | null;
  /** Those that follow this authority, furthest behind first. */
  readonly sidecars: readonly SidecarReport[];
}
