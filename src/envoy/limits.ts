/** Limits of one request; more of anything is `request.too-large`. Envoy's own defaults are 100 headers and 60 KiB. */
export const LIMITS = Object.freeze({
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
