/** A sidecar as its authority sees it. Milliseconds. */
export interface SidecarReport {
  /** SPIFFE ID of the sidecar, or `unix` for one on a Unix socket. */
  readonly peer: string;
  /** Random name of the process. */
  readonly instance: string;
  /** Version of Remit. */
  readonly version: string;
  /** Whether it follows the feed now. One that does not is listed until its lease has run out. */
  readonly connected: boolean;
  /** How long it may go on deciding without another answer of this authority; 0 where it may not. */
  readonly lease_left_ms: number;
  /** Changes of the feed that it has not acknowledged. */
  readonly behind: number;
  /** Tasks that it holds. */
  readonly tasks: number;
  /** Hash of the policies in force there; `''` where there are none. */
  readonly policy_set: string;
  readonly policy_generation: number;
  /** Records that no authority has acknowledged. */
  readonly unacknowledged_records: number;
  /** `''` where there is none. */
  readonly last_error: string;
}

/** An authority and the sidecars that follow it: `GET /fleet` of its admin address. */
export interface FleetReport {
  readonly version: string;
  /** One life of the database. */
  readonly epoch: string;
  /** The feed is processed up to here. */
  readonly position: number;
  readonly lease_ms: number;
  /** Why no sidecar is served; `null` where they are. */
  readonly problem: string | null;
  /** Those that are furthest behind first. */
  readonly sidecars: readonly SidecarReport[];
}
