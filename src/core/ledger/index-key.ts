/** A member that records are indexed by. */
export type IndexedMember = 'decisionId' | 'task' | 'traceId';

/** In the order of canonical JSON. INVARIANT: keys are stored, so an entry never changes its number. */
const indexed: readonly { readonly name: IndexedMember; readonly before: string; readonly number: number }[] = [
  { name: 'decisionId', before: '"decisionId":"', number: 0 },
  { name: 'task', before: '"task":"', number: 1 },
  { name: 'traceId', before: '"traceId":"', number: 2 },
];

/**
 * The index key of a value: 32 bits, of which two encode the member. Collisions are possible. Because of the member bits, a caller that
 * chooses trace ids cannot slow down look-ups of tasks; for traces, repeating one id has the same effect.
 */
export function indexKey(name: IndexedMember, value: string): number {
  const text = Buffer.from(value, 'utf8').toString('latin1');
  const number = indexed.find((each) => each.name === name)?.number ?? 0;
  return keyOf(number, text, 0, text.length);
}

/**
 * The index keys of a record, one per indexed member that is text.
 *
 * @param record canonical JSON of an object in UTF-8; for anything else, the keys found in it, without an error
 */
export function indexKeysOf(record: Uint8Array): readonly number[] {
  // One character per byte: the searched names are ASCII, and keys are computed from bytes.
  const text = Buffer.from(record.buffer, record.byteOffset, record.byteLength).toString('latin1');
  // Without escapes a quote starts or ends a string, and without nested objects a name belongs to the record itself.
  if (text.includes('\\') || text.includes('{', 1)) return keysOfParsed(record);
  const keys: number[] = [];
  let at = 0;
  for (const { before, number } of indexed) {
    const found = text.indexOf(before, at);
    if (found === -1) continue;
    const start = found + before.length;
    at = text.indexOf('"', start);
    keys.push(keyOf(number, text, start, at));
  }
  return keys;
}

/** Bytes of a stored key. */
export const KEY_BYTES = 4;

/** Serialises keys, big-endian. */
export function keyBytes(keys: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(keys.length * KEY_BYTES);
  let length = 0;
  for (const key of keys) length = bytes.writeUInt32BE(key, length);
  return bytes;
}

/** Parses stored keys; an incomplete key at the end is ignored. */
export function keysIn({ buffer, byteOffset, byteLength }: Uint8Array): readonly number[] {
  const bytes = Buffer.from(buffer, byteOffset, byteLength);
  return Array.from({ length: Math.floor(byteLength / KEY_BYTES) }, (_, index) =>
    bytes.readUInt32BE(index * KEY_BYTES),
  );
}

function keysOfParsed(record: Uint8Array): readonly number[] {
  let members: unknown;
  try {
    members = JSON.parse(Buffer.from(record).toString('utf8'));
  } catch {
    return [];
  }
  if (typeof members !== 'object' || members === null) return [];
  const values = new Map<string, unknown>(Object.entries(members));
  return indexed.flatMap(({ name }) => {
    const value = values.get(name);
    return typeof value === 'string' ? [indexKey(name, value)] : [];
  });
}

/** FNV-1a, reduced to 30 bits. */
function keyOf(number: number, text: string, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return ((number << 30) | (hash >>> 2)) >>> 0;
}
