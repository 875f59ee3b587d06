/** Where a log is, who it says it is, and what is kept of it. */
export interface LogSettings {
  /** The folder of its segments, made where there is none. */
  readonly folder: string;
  /** SPIFFE trust domain; with `name` the beginning of the log's origin. */
  readonly trustDomain: string;
  /** Tells the logs of one trust domain apart. */
  readonly name: string;
  /** Ed25519 key, PKCS#8 PEM, mode 0600, made where there is none. Outside the folder, where it can be kept apart. */
  readonly keyFile: string;
  /** Each checkpoint is appended here as it is made; best on another disk. `null` for none. */
  readonly checkpointFile: string | null;
  /** A segment is closed at this size or age, whichever is first. */
  readonly segment: { readonly maxBytes: number; readonly maxAgeMs: number };
  /** Closed segments are given up beyond this size of all, or where their last record is older than this. */
  readonly retain: { readonly maxBytes: number; readonly maxAgeMs: number };
}
