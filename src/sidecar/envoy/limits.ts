/** Limits of one request; more is `request.too-large`. Envoy's defaults are 100 headers and 60 KiB. */
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
 * Limits on the memory of all messages of a server, in bytes. A check above it is denied with `overloaded`; an access log
 * stream is ended, and Envoy opens another.
 */
export const HELD_BYTES = Object.freeze({
  /** All messages; the largest check fits many times. */
  all: 64 * 1_024 * 1_024,
  /** Incomplete checks, so that clients that never complete theirs do not crowd out others. */
  unfinishedChecks: 32 * 1_024 * 1_024,
  /** Access logs, so that they cannot cause denials. */
  accessLogs: 16 * 1_024 * 1_024,
});
