/**
 * How an MCP server or A2A agent answers a denied call: as the `result` of the tool or as an `error` of JSON-RPC, both with HTTP 200, or as an
 * error with the HTTP status of the reason. A reason that a new token cures is a 401 always.
 */
export type DenialStyle = 'result' | 'error' | 'http';
