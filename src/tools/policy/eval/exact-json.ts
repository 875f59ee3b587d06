/** JSON whose numbers keep their exact text. */

/** `JSON` as of ECMAScript 2026, ahead of its types. */
interface RawJson {
  parse(text: string, revive: (name: string, value: unknown, context: { readonly source: string }) => unknown): unknown;
  rawJSON(text: string): unknown;
}

/**
 * Parses JSON and keeps whole numbers that a double cannot hold as they are written, so that they reach the engine, which has
 * 64 bits.
 *
 * @throws SyntaxError for invalid JSON
 */
export function exactJson(text: string): unknown {
  const json = JSON as unknown as RawJson;
  // Shorter numbers are exact, and a reviver is slow.
  if (!/\d{16}/.test(text)) return JSON.parse(text) as unknown;
  return json.parse(text, (_name, value, { source }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? json.rawJSON(source) : value,
  );
}
