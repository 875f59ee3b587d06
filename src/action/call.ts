import type { McpReading } from './mcp-reading.ts';

/**
 * One HTTP call as the core sees it: parsed once and already canonical, or it would have been refused. What the proxy
 * sent beyond this does not take part in a decision.
 */
export interface HttpCall {
  /** As sent; methods are case-sensitive (RFC 9110 section 9.1). */
  readonly method: string;
  readonly scheme: string;
  /** Lower case, without port and without trailing dot. */
  readonly host: string;
  /** As named by the authority; `null` where it names none. */
  readonly port: number | null;
  /** Raw and canonical, beginning with `/`, without query. */
  readonly path: string;
  /** The segments of the path, percent-decoded once. */
  readonly segments: readonly string[];
  /** Raw, without the `?`; `''` where there is none. */
  readonly query: string;
  /** By lower-case name; the values in the order received. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** `null` where the proxy did not send it. */
  readonly body: Uint8Array | null;
  readonly requestId: string | null;
  /** What the proxy’s own MCP filter read, where there is one. */
  readonly mcpReadings?: readonly McpReading[];
}
