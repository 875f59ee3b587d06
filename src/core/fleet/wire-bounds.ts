import {
  type FieldReader,
  fieldReaders,
  type FieldReaders,
  ProtobufReader,
  readDelimited,
  varint,
} from '../protobuf/reader.ts';
import { type FieldBound, MESSAGE_BOUNDS } from './message-bounds.ts';

/** The names of the fields of a message, by number. */
export type FieldNames = (message: string) => ReadonlyMap<number, string>;

/** Most entries of all lists of a message together: a Hello of 65,536 tasks, each with a token. */
const MAX_ENTRIES = 131_072;
/** A list whose reader takes only the beginning may have this many times its bound. */
const READ_BEYOND = 8;

/**
 * Why the bytes of a message of a sidecar are not decoded: a list with more entries than its bound, a field twice, or bytes that are not
 * a message; `null` if they may be. An entry may be two bytes on the wire and 400 in memory: 4 MiB of uses without content took 2.3 s and
 * 900 MB to decode, for any client with an SVID. Linear in the bytes, and keeps nothing of them. The bounds of the values themselves are
 * judged once they are decoded (`refusedField`).
 */
export function wireProblem(message: string, bytes: Uint8Array, namesOf: FieldNames): string | null {
  const reader = new CountingReader(bytes);
  reader.whole(readersOf(message, namesOf), []);
  if (reader.tooMany !== null) return `\`${reader.tooMany}\` has too many entries`;
  return reader.fault === null ? null : `\`${message}\` is malformed: ${reader.fault}`;
}

/** Entries of the lists of one message, by the number of the field. */
type Counts = number[];
type Readers = FieldReaders<Counts, CountingReader>;

class CountingReader extends ProtobufReader {
  /** The list that has too many entries. */
  tooMany: string | null = null;
  #left = MAX_ENTRIES;

  count(counts: Counts, entries: number, { number, max, name }: List): void {
    const count = (counts[number] ?? 0) + entries;
    counts[number] = count;
    this.#left -= entries;
    if (count <= max && this.#left >= 0) return;
    this.tooMany ??= name;
    this.stop();
  }
}

interface List {
  readonly number: number;
  readonly max: number;
  readonly name: string;
}

const made = new Map<string, Readers>();

function readersOf(message: string, namesOf: FieldNames): Readers {
  const known = made.get(message);
  if (known !== undefined) return known;
  const table: Record<number, FieldReader<Counts, CountingReader>> = {};
  for (const [number, field] of namesOf(message)) {
    const bound = MESSAGE_BOUNDS[message]?.[field];
    if (bound !== undefined) table[number] = readerOf(bound, { number, name: `${message}.${field}` }, namesOf);
  }
  const readers = fieldReaders(table);
  made.set(message, readers);
  return readers;
}

function readerOf(
  bound: FieldBound,
  { number, name }: Pick<List, 'number' | 'name'>,
  namesOf: FieldNames,
): FieldReader<Counts, CountingReader> {
  const one = bound.kind === 'list' ? bound.of : bound;
  const inner = one.kind === 'message' && hasMessages(one.of) ? readersOf(one.of, namesOf) : null;
  const read = (reader: CountingReader): void => (inner === null ? reader.pass() : void reader.message(inner, []));
  if (bound.kind !== 'list') {
    const slot = number - 1;
    const isNumber = bound.kind === 'number' || bound.kind === 'flag';
    return isNumber
      ? varint(slot, (_, reader) => void (reader.varint64() ?? reader.broken('endless-number')))
      : readDelimited(slot, (_, reader) => read(reader));
  }
  const list = { number, name, max: bound.beyond === 'refused' ? bound.max : READ_BEYOND * bound.max };
  // Numbers are packed.
  if (one.kind === 'number')
    return readDelimited(null, (counts, reader) => reader.count(counts, numbersIn(reader.raw()), list));
  return readDelimited(null, (counts, reader) => {
    reader.count(counts, 1, list);
    if (reader.tooMany === null) read(reader);
  });
}

/** Whether a message has lists or messages. In other messages a repeated field costs no more than its bytes. */
const hasMessages = (message: string): boolean =>
  Object.values(MESSAGE_BOUNDS[message] ?? {}).some(({ kind }) => kind === 'list' || kind === 'message');

/** The number of packed varints: each ends with a byte below 0x80. */
const numbersIn = (bytes: Uint8Array): number => bytes.reduce((count, byte) => count + (byte < 0x80 ? 1 : 0), 0);
