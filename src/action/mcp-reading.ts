/** A value that a filter takes from a message and that can be compared with the message itself. */
export type McpScalar = string | number | boolean | null;

/**
 * What the MCP filter of the proxy took a request for, as it says in its metadata: a second opinion that can only lead to a
 * denial. What it does not say it has no opinion on.
 */
export interface McpReading {
  /** Whether it takes the request for MCP. */
  readonly isMcp: boolean;
  /** Whether the message was longer than what it reads. */
  readonly isCut: boolean;
  /** What it found wrong with the message, in a word of its own; `null` where it found nothing. */
  readonly fault: string | null;
  /** Those of `jsonrpc`, `id` and `method` that it found. A number is a double. */
  readonly envelope: ReadonlyMap<string, McpScalar>;
  /** The members of `params` that are no objects. */
  readonly params: ReadonlyMap<string, McpScalar>;
  /** The members of `params.ref` that are no objects. */
  readonly ref: ReadonlyMap<string, McpScalar>;
}
