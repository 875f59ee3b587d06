/** Limits of one request; more of anything is `request.too-large`. Envoy's own defaults are 100 headers and 60 KiB. */
export const MESSAGE_LIMITS = Object.freeze({
  /** Header lines, pseudo headers included. */
  headers: 256,
  /** All names and values together, in characters. */
  headerChars: 65_536,
  /** Path with query, in characters. */
  targetChars: 8_192,
  /** Host with port, in characters. */
  hostChars: 261,
  /** Values of filter and route metadata, at any depth. */
  metadataValues: 512,
});

/**
 * What the messages of all calls of a server may hold in memory, in bytes. A check over it is denied with `overloaded`; an access
 * log is ended, and Envoy opens another.
 */
export const HELD_BYTES = Object.freeze({
  /** Messages of every kind: the largest check fits many times. */
  all: 64 * 1_024 * 1_024,
  /** Checks whose clients have not said all: who leaves theirs open does not keep those out that come whole. */
  unfinishedChecks: 32 * 1_024 * 1_024,
  /** Access logs: whatever these do, it is no check that is denied for it. */
  accessLogs: 16 * 1_024 * 1_024,
});
