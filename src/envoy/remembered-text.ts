/** Makes a value from a range of bytes, without keeping the bytes. */
export type MadeOf<V> = (bytes: Buffer, from: number, to: number) => V;

/** Size of the cache; it is direct-mapped, so a new text replaces the one in its slot. */
const SLOTS = 64;
const MAX_CHARS = 96;

/**
 * Memoises `make` for texts that repeat: names of clusters, hosts, agents. For up to 96 ASCII characters, comparing bytes is
 * faster than creating another string and leaves nothing to collect. A `BoundedMemo` needs a string as key, which would be all
 * the work here.
 *
 * @param make may return a text with as many UTF-16 code units as there are bytes only where it equals the bytes
 */
export function remembering<V extends string | null | undefined>(make: MadeOf<V>): MadeOf<V> {
  const known: (V | undefined)[] = Array.from({ length: SLOTS });
  return (bytes, from, to) => {
    const length = to - from;
    if (length === 0 || length > MAX_CHARS) return make(bytes, from, to);
    const place = slotOf(bytes, from, to);
    const text = known[place];
    if (typeof text === 'string' && isSame(text, bytes, from, length)) return text;
    const made = make(bytes, from, to);
    if (typeof made === 'string' && made.length === length) known[place] = made;
    return made;
  };
}

/** Names differ most in length and in their last characters. */
const slotOf = (bytes: Buffer, from: number, to: number): number =>
  (to - from + 7 * (bytes[to - 1] ?? 0) + 3 * (bytes[Math.max(from, to - 3)] ?? 0)) % SLOTS;

/** Whether bytes equal a text; false for non-ASCII text, whose bytes differ from its code units. */
function isSame(text: string, bytes: Buffer, from: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let at = length - 1; at >= 0; at -= 1) if (text.charCodeAt(at) !== bytes[from + at]) return false;
  return true;
}
