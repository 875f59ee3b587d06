/** `JSON` as of ECMAScript 2026, whose types lag behind. */
interface RawJson {
  parse(text: string, revive: (name: string, value: unknown, context: { readonly source: string }) => unknown): unknown;
  rawJSON(text: string): unknown;
}

/**
 * A JSON text whose whole numbers a double cannot hold are kept as they are written, so that they reach the engine, which
 * has 64 bits, as they were meant.
 *
 * @throws SyntaxError for what is no JSON
 */
export function exactJson(text: string): unknown {
  const json = JSON as unknown as RawJson;
  // Fewer digits are exact, and a reviver is slow.
  if (!/\d{16}/.test(text)) return JSON.parse(text) as unknown;
  return json.parse(text, (_name, value, { source }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? json.rawJSON(source) : value,
  );
}
