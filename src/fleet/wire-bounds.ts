import { eachField, eachVarint } from '../protobuf/fields.ts';
import type { ByteRange } from '../protobuf/reader.ts';
import { LENGTH_DELIMITED } from '../protobuf/wire-type.ts';
import { type FieldBound, MESSAGE_BOUNDS } from './message-bounds.ts';

/** The names of the fields of a message, by number. */
export type FieldNames = (message: string) => ReadonlyMap<number, string>;

/** Most entries of all lists of a message together, with fields that nobody knows: a Hello of 65,536 tasks, each with a token. */
const MAX_ENTRIES = 131_072;
/** Of a list whose reader takes the beginning, so many times its bound are read. */
const READ_BEYOND = 8;

/**
 * Why the bytes of a message of a sidecar are not decoded: a list with more entries than its bound, a field twice, or bytes that are no
 * message; `null` if they may be. An entry may be two bytes on the wire and 400 in memory: 4 MiB of uses without content took 2.3 s and
 * 900 MB to decode, for any client with an SVID. Linear in the bytes, and keeps nothing of them. The bounds of the values themselves are
 * judged once they are decoded (`refusedField`).
 */
export function wireProblem(name: string, bytes: Uint8Array, namesOf: FieldNames): string | null {
  let left = MAX_ENTRIES;
  const within = (message: string, range: ByteRange): string | null => {
    const [bounds, names] = [MESSAGE_BOUNDS[message] ?? {}, namesOf(message)];
    const counts: number[] = [];
    return eachField(bytes, range, ({ number, wireType, from, to }) => {
      const field = names.get(number);
      const bound = field === undefined ? undefined : bounds[field];
      const isPacked = bound?.kind === 'list' && bound.of.kind === 'number' && wireType === LENGTH_DELIMITED;
      const entries = isPacked ? varintsIn(bytes, { from, to }) : 1;
      if (bound === undefined || bound.kind === 'list') left -= entries;
      if (left < 0) return `\`${name}\` has too many entries`;
      if (bound === undefined) return null;
      const count = (counts[number] ?? 0) + entries;
      counts[number] = count;
      if (count > mostOf(bound)) return `\`${message}.${field}\` has too many entries`;
      const inner = bound.kind === 'list' ? bound.of : bound;
      return inner.kind === 'message' && wireType === LENGTH_DELIMITED ? within(inner.of, { from, to }) : null;
    });
  };
  return within(name, { from: 0, to: bytes.length });
}

function mostOf(bound: FieldBound): number {
  if (bound.kind !== 'list') return 1;
  return bound.beyond === 'refused' ? bound.max : READ_BEYOND * bound.max;
}

function varintsIn(bytes: Uint8Array, range: ByteRange): number {
  let count = 0;
  eachVarint(bytes, range, () => {
    count += 1;
    return null;
  });
  return count;
}
