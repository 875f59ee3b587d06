import { queryMembers } from './query-member.ts';
import type { QueryMember } from './query-member.ts';

// All constants here are part of the format of an index: a part is rebuilt to verify it.

/** Most records of a part: an entry has 2 bytes for the place of a record. */
export const MAX_PART_RECORDS = 65_536;

/** Bytes of an entry: the key in 4, and the place of its record in the part in 2, big-endian. */
export const ENTRY_BYTES = 6;

/** Most texts of one member of a record that get keys. A record with more is a candidate for everything. */
const MAX_TEXTS = 256;

const PLACES = 2 ** 16;

/** The names of the members in the order of their numbers. */
export const MEMBER_NAMES: readonly QueryMember[] = Object.keys(queryMembers).filter(
  (name): name is QueryMember => name in queryMembers,
);

/** The key of a text: FNV-1a over its UTF-16 code units, 32 bits. Different texts can have equal keys: an index gives candidates. */
export function keyOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    if (unit > 0xff) hash = Math.imul(hash ^ (unit >>> 8), 0x01000193);
  }
  // FNV mixes the high bits poorly, and they choose the drawer of an entry.
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) >>> 0;
}

/** The entries of one member while a part is filled. */
class MemberEntries {
  #entries = new Float64Array(1_024);
  #length = 0;

  add(entry: number): void {
    if (this.#length === this.#entries.length) {
      const larger = new Float64Array(this.#length * 2);
      larger.set(this.#entries);
      this.#entries = larger;
    }
    this.#entries[this.#length] = entry;
    this.#length += 1;
  }

  /** All entries in order, each once. */
  sorted(): readonly number[] {
    const entries = this.#entries.subarray(0, this.#length).toSorted();
    return Array.from(entries.filter((entry, index) => index === 0 || entry !== entries[index - 1]));
  }
}

/** The entries of one part while it is filled. Deterministic: equal records give equal entries. */
export class IndexEntries {
  readonly #members = MEMBER_NAMES.map(() => new MemberEntries());
  readonly #always: number[] = [];

  /** Adds the texts of a member of the record at a place. */
  add(place: number, member: number, texts: readonly string[]): void {
    if (texts.length > MAX_TEXTS) this.addAlways(place);
    else for (const text of texts) this.#members[member]?.add(keyOf(text) * PLACES + place);
  }

  /** Adds a record that no key describes: it is a candidate for everything. Places must ascend. */
  addAlways(place: number): void {
    if (this.#always.at(-1) !== place) this.#always.push(place);
  }

  /** The places of records that no key describes, ascending. */
  always(): readonly number[] {
    return this.#always;
  }

  /** For each member its entries as `key * 65,536 + place`, ascending. */
  members(): readonly (readonly number[])[] {
    return this.#members.map((entries) => entries.sorted());
  }
}

/** The key and the place of an entry. */
export const entryParts = (entry: number): readonly [key: number, place: number] => [
  Math.floor(entry / PLACES),
  entry % PLACES,
];
