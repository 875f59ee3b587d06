/** The file of an index: a head, tables of where the entries of each member are, and the entries. */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { JsonValue } from '../canonical-json.ts';
import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import { errorCode } from '../../runtime/system/error-code.ts';
import { ENTRY_BYTES, entryParts, keyOf, MAX_PART_RECORDS, MEMBER_NAMES } from './index-entries.ts';
import type { IndexEntries } from './index-entries.ts';
import type { QueryMember } from './query-member.ts';

/** Identifies the file, and its version. */
const MAGIC = Buffer.from('RemitIx1', 'latin1');

/** Entries of a member are in drawers by the first byte of their keys. */
const DRAWERS = 256;
/** Bytes of the table of a member: where each drawer begins, as a number of entries, and where the last ends. */
const TABLE_BYTES = (DRAWERS + 1) * 4;
const TABLES_BYTES = TABLE_BYTES * MEMBER_NAMES.length;

/** Largest head: that of a part with a section for each record. */
const MAX_HEAD_BYTES = 16 * 1024 ** 2;
/** Bytes of the first read: enough for most heads and the tables. */
const FIRST_READ_BYTES = 64 * 1024;

/** Serialises an index. @param head JSON that its reader understands */
export function indexFileBytes(head: JsonValue, entries: IndexEntries): Buffer {
  const text = Buffer.from(JSON.stringify(head), 'utf8');
  const always = entries.always();
  const members = entries.members();
  const count = members.reduce((sum, { length }) => sum + length, 0);
  const start = MAGIC.length + 4 + text.length;
  const bytes = Buffer.alloc(start + TABLES_BYTES + 4 + 2 * always.length + ENTRY_BYTES * count);
  MAGIC.copy(bytes);
  bytes.writeUInt32BE(text.length, MAGIC.length);
  text.copy(bytes, MAGIC.length + 4);
  let at = bytes.writeUInt32BE(always.length, start + TABLES_BYTES);
  for (const place of always) at = bytes.writeUInt16BE(place, at);
  let before = 0;
  for (const [member, sorted] of members.entries()) {
    const drawers = new Uint32Array(DRAWERS + 1);
    for (const entry of sorted) {
      const [key, place] = entryParts(entry);
      at = bytes.writeUInt32BE(key, at);
      at = bytes.writeUInt16BE(place, at);
      const drawer = (key >>> 24) + 1;
      drawers[drawer] = (drawers[drawer] ?? 0) + 1;
    }
    let sum = before;
    for (const [drawer, length] of drawers.entries()) {
      sum += length;
      bytes.writeUInt32BE(sum, start + member * TABLE_BYTES + drawer * 4);
    }
    before = sum;
  }
  return bytes;
}

/**
 * An index that is open for reading. Nothing in it is trusted: it names candidates, and the records decide.
 *
 * Lifecycle: `close` once. Reads throw the system's error.
 */
export class IndexFile {
  readonly path: string;
  /** As parsed from JSON. */
  readonly head: unknown;
  readonly #fd: number;
  readonly #tables: Buffer;
  readonly #always: readonly number[];
  /** Offset of the first entry. */
  readonly #entriesAt: number;

  private constructor(path: string, fd: number, { head, tables, always, entriesAt }: Opened) {
    this.path = path;
    this.head = head;
    this.#fd = fd;
    this.#tables = tables;
    this.#always = always;
    this.#entriesAt = entriesAt;
  }

  /** Opens a file; a problem if it is not an index, or cannot be read. */
  static open(path: string): IndexFile | Problem {
    let fd: number | null = null;
    try {
      fd = openSync(path, 'r');
      const opened = openedFrom(fd);
      if (!isProblem(opened)) return new IndexFile(path, fd, opened);
      closeSync(fd);
      return { problem: `\`${path}\` ${opened.problem}` };
    } catch (error) {
      if (fd !== null) closeSync(fd);
      return { problem: `\`${path}\` cannot be read: ${errorCode(error) ?? 'it is not an index'}` };
    }
  }

  /** The places of the records that may have a text of a member, ascending. Without false negatives. */
  places(member: QueryMember, text: string): readonly number[] {
    const key = keyOf(text);
    const [from, to] = this.#drawer(MEMBER_NAMES.indexOf(member), key >>> 24);
    const entries = readAt(this.#fd, this.#entriesAt + from * ENTRY_BYTES, (to - from) * ENTRY_BYTES);
    return merged(this.#always, placesIn(entries, key));
  }

  /** All bytes of the file. */
  bytes(): Buffer {
    return readAt(this.#fd, 0, fstatSync(this.#fd).size);
  }

  /** Whether this file is still at its path: an index may be deleted, or made again, at any time. */
  isInPlace(): boolean {
    return statSync(this.path, { throwIfNoEntry: false })?.ino === fstatSync(this.#fd).ino;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #drawer(member: number, drawer: number): readonly [from: number, to: number] {
    const at = member * TABLE_BYTES + drawer * 4;
    return [this.#tables.readUInt32BE(at), this.#tables.readUInt32BE(at + 4)];
  }
}

interface Opened {
  readonly head: unknown;
  readonly tables: Buffer;
  readonly always: readonly number[];
  readonly entriesAt: number;
}

function openedFrom(fd: number): Opened | Problem {
  const { size } = fstatSync(fd);
  const first = readAt(fd, 0, Math.min(size, FIRST_READ_BYTES));
  const before = MAGIC.length + 4;
  if (first.length < before || !first.subarray(0, MAGIC.length).equals(MAGIC))
    return { problem: 'is not an index of this version' };
  const headBytes = first.readUInt32BE(MAGIC.length);
  const alwaysAt = before + headBytes + TABLES_BYTES;
  if (headBytes > MAX_HEAD_BYTES || alwaysAt + 4 > size) return { problem: 'is incomplete' };
  const start = alwaysAt + 4 <= first.length ? first : readAt(fd, 0, alwaysAt + 4);
  const tables = start.subarray(before + headBytes, alwaysAt);
  const alwaysCount = start.readUInt32BE(alwaysAt);
  const entriesAt = alwaysAt + 4 + 2 * alwaysCount;
  const count = tables.readUInt32BE(tables.length - 4);
  if (alwaysCount > MAX_PART_RECORDS || entriesAt + count * ENTRY_BYTES !== size || !isAscending(tables))
    return { problem: 'is damaged' };
  const always = readAt(fd, alwaysAt + 4, 2 * alwaysCount);
  return {
    head: JSON.parse(start.toString('utf8', before, before + headBytes)),
    tables,
    always: Array.from({ length: alwaysCount }, (_, index) => always.readUInt16BE(2 * index)),
    entriesAt,
  };
}

function isAscending(tables: Buffer): boolean {
  for (let at = 4; at < tables.length; at += 4) if (tables.readUInt32BE(at) < tables.readUInt32BE(at - 4)) return false;
  return true;
}

/** Reads exactly so many bytes. Throws if the file is shorter. */
function readAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const read = readSync(fd, bytes, { offset: done, length: length - done, position: position + done });
    if (read === 0) throw new Error('a file ends too early');
    done += read;
  }
  return bytes;
}

/** The places of a key in sorted entries. */
function placesIn(entries: Buffer, key: number): readonly number[] {
  let [low, high] = [0, entries.length / ENTRY_BYTES];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (entries.readUInt32BE(middle * ENTRY_BYTES) < key) low = middle + 1;
    else high = middle;
  }
  const places: number[] = [];
  for (let at = low * ENTRY_BYTES; at < entries.length && entries.readUInt32BE(at) === key; at += ENTRY_BYTES)
    places.push(entries.readUInt16BE(at + 4));
  return places;
}

/** Two ascending lists as one, each place once. */
export function merged(one: readonly number[], other: readonly number[]): readonly number[] {
  if (one.length === 0) return other;
  if (other.length === 0) return one;
  return [...new Set([...one, ...other])].toSorted((a, b) => a - b);
}
