/** What a filter of the proxy reads from an MCP message, comparable with the message itself. */

/** A scalar that a filter reads from a message, comparable with the message itself. */
export type McpScalar = string | number | boolean | null;

/** What the proxy's MCP filter read from a request, from its metadata. A second opinion that can only lead to a denial. */
export interface McpReading {
  /** Whether it recognised the request as MCP. */
  readonly isMcp: boolean;
  /** Whether the message was longer than the filter reads. */
  readonly isCut: boolean;
  /** The fault it found in the message, in its own word; `null` if it found none. */
  readonly fault: string | null;
  /** `jsonrpc`, `id` and `method`, as far as found. Numbers are doubles. */
  readonly envelope: ReadonlyMap<string, McpScalar>;
  /** The scalar members of `params`. */
  readonly params: ReadonlyMap<string, McpScalar>;
  /** The scalar members of `params.ref`. */
  readonly ref: ReadonlyMap<string, McpScalar>;
}
