import type { McpReading } from '../mcp/mcp-reading.ts';

/**
 * One HTTP call as the core sees it: parsed once and canonical, otherwise already refused. Nothing else that the proxy sent
 * takes part in a decision.
 */
export interface HttpCall {
  /** As sent; methods are case-sensitive (RFC 9110 section 9.1). */
  readonly method: string;
  readonly scheme: string;
  /** Lower case, without port and without trailing dot. */
  readonly host: string;
  /** The port in the authority; `null` if it has none. */
  readonly port: number | null;
  /** Raw and canonical, starting with `/`, without the query. */
  readonly path: string;
  /** The segments of the path, percent-decoded once. */
  readonly segments: readonly string[];
  /** Raw, without `?`; `''` if there is none. */
  readonly query: string;
  /** By lower-case name, values in the order received. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** `null` if the proxy did not send it. */
  readonly body: Uint8Array | null;
  readonly requestId: string | null;
  /** What the proxy's own MCP filter read; absent without such a filter. */
  readonly mcpReadings?: readonly McpReading[];
}
