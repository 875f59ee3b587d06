/** A message in JSON; `null` if it cannot be parsed. */
export function parsedOrNull(text: string): { readonly message: unknown } | null {
  try {
    return { message: JSON.parse(text) as unknown };
  } catch {
    return null;
  }
}
