/**
 * How a denied call to an MCP server or A2A agent is answered. `result`: a tool result with `isError`. `text`: a tool result
 * without it, for frameworks that hide failed results from the model. `error`: a JSON-RPC error. These three have HTTP 200.
 * `http`: an error with the HTTP status of the reason. A denial that a new token cures is always a 401.
 */
export type DenialStyle = (typeof DENIAL_STYLES)[number];

/** The values of `denials` in the catalog; A2A has `error` and `http` only. */
export const DENIAL_STYLES = ['result', 'text', 'error', 'http'] as const;
