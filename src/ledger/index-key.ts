/** A member by whose value a record is found without looking at others. */
export type IndexedMember = 'decisionId' | 'task' | 'traceId';

/** In the order of canonical JSON. INVARIANT: keys are stored, so an entry keeps its number. */
const indexed: readonly { readonly name: IndexedMember; readonly before: string; readonly number: number }[] = [
  { name: 'decisionId', before: '"decisionId":"', number: 0 },
  { name: 'task', before: '"task":"', number: 1 },
  { name: 'traceId', before: '"traceId":"', number: 2 },
];

/**
 * The key under which records with a value are found, and with it some others: 32 bits, of which two say whose value it is. So
 * who chooses a trace id cannot make a task slow to find; who would, for the trace, has but to repeat its id.
 */
export function indexKey(name: IndexedMember, value: string): number {
  const text = Buffer.from(value, 'utf8').toString('latin1');
  const number = indexed.find((each) => each.name === name)?.number ?? 0;
  return keyOf(number, text, 0, text.length);
}

/**
 * The keys of a record, one for each indexed member that is a text.
 *
 * @param record canonical JSON of an object, in UTF-8; of anything else what is found in it, without a failure
 */
export function indexKeysOf(record: Uint8Array): readonly number[] {
  // A character for each byte: what is looked for is ASCII, and keys are of bytes.
  const text = Buffer.from(record.buffer, record.byteOffset, record.byteLength).toString('latin1');
  // Without an escape a quote begins or ends a text, and without an object inside a name is one of the record's own.
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

/** Bytes of a key as it is stored. */
export const KEY_BYTES = 4;

/** Keys as they are stored beside a record, one after the other, big-endian. */
export function keyBytes(keys: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(keys.length * KEY_BYTES);
  let length = 0;
  for (const key of keys) length = bytes.writeUInt32BE(key, length);
  return bytes;
}

/** The keys that are stored beside a record; a part of one at the end is none. */
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

/** FNV-1a, of which 30 bits are taken. */
function keyOf(number: number, text: string, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return ((number << 30) | (hash >>> 2)) >>> 0;
}
