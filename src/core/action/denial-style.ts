/**
 * How an MCP server or A2A agent answers a denied call: as the `result` of a tool that failed, as the `text` of a tool that did not, for frameworks that
 * hide failed results from the model, as an `error` of JSON-RPC, each with HTTP 200, or as an error with the HTTP status of the reason. A reason that a new token
 * cures is a 401 always.
 */
export type DenialStyle = (typeof DENIAL_STYLES)[number];

/** The words for it. */
export const DENIAL_STYLES = ['result', 'text', 'error', 'http'] as const;
