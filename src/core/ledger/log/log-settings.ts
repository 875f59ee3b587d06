/** Location, identity and retention of a log. */
export interface LogSettings {
  /** The folder of its segments, created if missing. */
  readonly folder: string;
  /** SPIFFE trust domain; starts the log's origin together with `name`. */
  readonly trustDomain: string;
  /** Distinguishes the logs of one trust domain. */
  readonly name: string;
  /** Ed25519 key, PKCS#8 PEM, mode 0600, created if missing. Outside of the folder, so that it can be kept apart. */
  readonly keyFile: string;
  /** Each checkpoint is also appended to this file, preferably on another disk. `null` for none. */
  readonly checkpointFile: string | null;
  /** A segment is closed at this size or age, whichever comes first. */
  readonly segment: { readonly maxBytes: number; readonly maxAgeMs: number };
  /** Closed segments are pruned while all together exceed this size, or if their last record is older than this. */
  readonly retain: { readonly maxBytes: number; readonly maxAgeMs: number };
  /** The database whose records the ledgers of several authorities take: checkpoints say how many this ledger has taken. Default: there is none. */
  readonly database?: string;
}
