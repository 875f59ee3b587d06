import { isProblem, type Problem } from '../../runtime/problem.ts';
import { integer, members, type Reader, text } from '../../runtime/fields.ts';
import { base64Of, bytesFromBase64 } from './base64.ts';
import { canonicalFrom, type JsonValue } from '../canonical-json.ts';
import { HASH_BYTES } from './merkle.ts';

/** A record with its position: what is hashed to a leaf of the tree. */
export interface LedgerLeaf {
  /** Id of the process start that wrote it: 16 bytes in hex. */
  readonly boot: string;
  /** Monotonic clock of that process, in milliseconds. */
  readonly mono: number;
  /** base64 hash of the previous leaf; empty for record 1. */
  readonly prev: string;
  /** The record. Not certain to match `LedgerRecord`, because another version may have written it. */
  readonly record: { readonly [name: string]: JsonValue };
  /** Record number, from 1; its Merkle index is 1 less. */
  readonly seq: number;
}

/** Largest leaf: C2SP tlog-tiles uses a 16-bit length. */
export const MAX_LEAF_BYTES = 65_535;

/**
 * Encodes a leaf as canonical JSON, at most 180 bytes more than the record.
 *
 * @param record canonical JSON of an object, in UTF-8
 * @returns a problem if it would exceed `MAX_LEAF_BYTES`
 */
export function leafBytes(
  record: Uint8Array,
  { boot, mono, prev, seq }: Pick<LedgerLeaf, 'boot' | 'mono' | 'seq'> & { readonly prev: Uint8Array | null },
): Uint8Array | Problem {
  // Names in the order of RFC 8785: canonical parts make a canonical whole.
  const head = `{"boot":"${boot}","mono":${mono},"prev":"${prev === null ? '' : base64Of(prev)}","record":`;
  const tail = `,"seq":${seq}}`;
  // Both are ASCII.
  const bytes = Buffer.allocUnsafe(head.length + record.length + tail.length);
  bytes.write(head, 0, 'latin1');
  bytes.set(record, head.length);
  bytes.write(tail, head.length + record.length, 'latin1');
  return bytes.length <= MAX_LEAF_BYTES ? bytes : tooLong(bytes);
}

/** The record's bytes in a leaf that `leafBytes` made. */
export function recordBytesIn(leaf: Uint8Array): Uint8Array {
  const bytes = Buffer.from(leaf.buffer, leaf.byteOffset, leaf.byteLength);
  // These are the matches of the frame: no caller chooses the text before the first, and only a number follows the last.
  return bytes.subarray(bytes.indexOf(BEFORE_RECORD) + BEFORE_RECORD.length, bytes.lastIndexOf(AFTER_RECORD));
}

const BEFORE_RECORD = ',"record":';
const AFTER_RECORD = ',"seq":';

const tooLong = ({ length }: Uint8Array): Problem => ({ problem: `has ${length} bytes, more than ${MAX_LEAF_BYTES}` });

/** Parses stored bytes, which must be canonical. */
export function leafFrom(bytes: Uint8Array): LedgerLeaf | Problem {
  if (bytes.length > MAX_LEAF_BYTES) return tooLong(bytes);
  const stored = canonicalFrom(bytes);
  if (isProblem(stored)) return stored;
  const leaf = leafMembers(stored.value);
  if (isProblem(leaf) || (leaf.seq === 1) === (leaf.prev === '')) return leaf;
  return { problem: 'must have an empty `prev` in record 1, and there alone' };
}

const milliseconds: Reader<number> = (value) =>
  typeof value === 'number' && value >= 0 ? value : { problem: 'must be a number, 0 or more' };

const object: Reader<{ readonly [name: string]: JsonValue }> = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? // Safe: part of a parsed JSON value.
      (value as { readonly [name: string]: JsonValue })
    : { problem: 'must be an object' };

const isHashOrNothing = (base64: string): boolean => base64 === '' || bytesFromBase64(base64)?.length === HASH_BYTES;

const leafMembers = members({
  boot: text({ max: 32, grammar: { matches: (value) => /^[0-9a-f]{32}$/.test(value), words: '16 bytes in hex' } }),
  mono: milliseconds,
  prev: text({ min: 0, max: 44, grammar: { matches: isHashOrNothing, words: 'empty or 32 bytes in base64' } }),
  record: object,
  seq: integer(1, Number.MAX_SAFE_INTEGER),
});
