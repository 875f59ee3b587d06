/**
 * Decodes the text of an MCP header, which may be Base64 for text beyond plain ASCII; `undefined` if it is invalid. One
 * spelling per text: canonical Base64 of well-formed UTF-8.
 *
 * @see https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#value-encoding
 */
export function mcpHeaderText(value: string): string | undefined {
  const wrapped = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/.exec(value)?.[1];
  if (wrapped === undefined) return /^[\x20-\x7e]*$/.test(value) && !value.startsWith('=?base64?') ? value : undefined;
  const bytes = Buffer.from(wrapped, 'base64');
  const text = bytes.toString('utf8');
  return bytes.toString('base64') === wrapped && Buffer.from(text).equals(bytes) ? text : undefined;
}
