/** What makes something of a part of the bytes; it keeps nothing of them. */
export type MadeOf<V> = (bytes: Buffer, from: number, to: number) => V;

/** Texts that are remembered at most; another in the same place takes it. */
const PLACES = 64;
const MAX_CHARS = 96;

/**
 * Makes what `make` does, of the names that come again and again: of a cluster, a host, an agent. One of up to 96 ASCII
 * characters that is still remembered is not made anew: a look at its bytes is quicker than another string, and leaves nothing
 * to collect. `Remembered` looks for a text by itself, which has to be made of the bytes first: here that is all the work.
 *
 * @param make gives a text of as many UTF-16 code units as there are bytes only where it is what the bytes say
 */
export function remembering<V extends string | null | undefined>(make: MadeOf<V>): MadeOf<V> {
  const known: (V | undefined)[] = Array.from({ length: PLACES });
  return (bytes, from, to) => {
    const length = to - from;
    if (length === 0 || length > MAX_CHARS) return make(bytes, from, to);
    const place = placeOf(bytes, from, to);
    const text = known[place];
    if (typeof text === 'string' && isSame(text, bytes, from, length)) return text;
    const made = make(bytes, from, to);
    if (typeof made === 'string' && made.length === length) known[place] = made;
    return made;
  };
}

/** Names differ most in their length and at their end. */
const placeOf = (bytes: Buffer, from: number, to: number): number =>
  (to - from + 7 * (bytes[to - 1] ?? 0) + 3 * (bytes[Math.max(from, to - 3)] ?? 0)) % PLACES;

/** Whether the bytes say what the text says; never for text that is not ASCII, whose bytes are others than its code units. */
function isSame(text: string, bytes: Buffer, from: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let at = length - 1; at >= 0; at -= 1) if (text.charCodeAt(at) !== bytes[from + at]) return false;
  return true;
}
