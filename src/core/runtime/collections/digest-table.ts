import { systemPorts } from '../ports.ts';

/** SHA-256 as text: base64url without padding. */
const DIGEST_CHARACTERS = 43;
const DIGEST_BYTES = 32;
const DIGEST_WORDS = DIGEST_BYTES / 4;
const WORD_BITS = 32;
const FIRST_CAPACITY = 64;

/** No place: the end of a chain, or a digest that is not in the table. */
export const NOWHERE = -1;

/** What the table stores with each digest. */
export interface Columns {
  /** Whole numbers of 32 bits. */
  readonly words: number;
  /** Numbers with fractions. Default none. */
  readonly doubles?: number;
}

/**
 * An LRU table of at most `max` SHA-256 digests with numbers of each. Everything lies in a few typed arrays, which grow as it fills: an
 * entry takes 56 bytes and its columns. A map of objects takes 300 to 500 bytes, and V8 visits each object in every full collection.
 *
 * A digest keeps its place until it is evicted or deleted. The columns of place `n` are `words[n * columns.words]` and the following words,
 * and likewise `doubles`. INVARIANT: read the arrays again after each `take`, which may replace them.
 */
export class DigestTable {
  readonly #max: number;
  readonly #columns: Required<Columns>;
  readonly #onGone: (place: number) => void;
  /** The digest that is looked for. */
  readonly #sought = new Int32Array(DIGEST_WORDS);
  readonly #soughtBytes = Buffer.from(this.#sought.buffer);
  /** Secret, so that nobody can choose digests that collide. */
  readonly #factors = new Int32Array(Uint8Array.from(systemPorts.randomBytes(8)).buffer).map((factor) => factor | 1);
  #capacity = 0;
  #size = 0;
  /** Places up to here were in use. */
  #used = 0;
  /** The first of the places that are free again, chained by `#older`. */
  #free = NOWHERE;
  #newest = NOWHERE;
  #oldest = NOWHERE;
  #digests = new Int32Array(0);
  #older = new Int32Array(0);
  #newer = new Int32Array(0);
  /** Open addressing: a place plus 1, or 0. A power of two, at least twice the capacity. */
  #slots = new Int32Array(0);
  #shift = WORD_BITS;
  #words = new Uint32Array(0);
  #bytes = Buffer.alloc(0);
  #doubles = new Float64Array(0);

  /**
   * @param max 1 to 2^28
   * @param onGone called with the place of a digest that is evicted or deleted, while its columns can still be read
   */
  constructor(max: number, columns: Columns, onGone: (place: number) => void = () => undefined) {
    this.#max = max;
    this.#columns = { doubles: 0, ...columns };
    this.#onGone = onGone;
    this.#grow();
  }

  /** Number of digests. */
  get size(): number {
    return this.#size;
  }

  get words(): Uint32Array {
    return this.#words;
  }

  /** The memory of `words`. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  get doubles(): Float64Array {
    return this.#doubles;
  }

  /**
   * The place of a digest, which is then the most recently used; `NOWHERE` if it is not in the table.
   *
   * @param digest base64url, 43 characters
   * @throws RangeError for another text, which is a bug of the caller
   */
  find(digest: string): number {
    this.#seek(digest);
    const place = this.#placeAt(this.#slotOfSought());
    if (place !== NOWHERE) this.#use(place);
    return place;
  }

  /** As `find`, for a digest that is added if it is missing. The columns of a new digest are 0. */
  take(digest: string): number {
    const found = this.find(digest);
    if (found !== NOWHERE) return found;
    if (this.#size === this.#max) this.#remove(this.#oldest);
    else if (this.#free === NOWHERE && this.#used === this.#capacity) this.#grow();
    const place = this.#freePlace();
    this.#digests.set(this.#sought, place * DIGEST_WORDS);
    // Other digests may have moved: search again.
    this.#slots[this.#slotOfSought()] = place + 1;
    this.#size += 1;
    this.#link(place);
    return place;
  }

  /** Removes a digest. Does nothing if it is missing. */
  delete(digest: string): void {
    this.#seek(digest);
    const place = this.#placeAt(this.#slotOfSought());
    if (place !== NOWHERE) this.#remove(place);
  }

  #seek(digest: string): void {
    const isWhole =
      digest.length === DIGEST_CHARACTERS && this.#soughtBytes.write(digest, 'base64url') === DIGEST_BYTES;
    if (!isWhole) throw new RangeError('not a SHA-256 digest in base64url');
  }

  #placeAt(slot: number): number {
    return (this.#slots[slot] ?? 0) - 1;
  }

  /** The slot of the sought digest, or the empty slot for it. */
  #slotOfSought(): number {
    const mask = this.#slots.length - 1;
    let slot = this.#homeOf(this.#sought, 0);
    for (let place = this.#placeAt(slot); place !== NOWHERE && !this.#isSought(place); place = this.#placeAt(slot)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #isSought(place: number): boolean {
    const from = place * DIGEST_WORDS;
    for (let word = 0; word < DIGEST_WORDS; word += 1) {
      if (this.#digests[from + word] !== this.#sought[word]) return false;
    }
    return true;
  }

  /** The slot at which the search for a digest begins. */
  #homeOf(digests: Int32Array, from: number): number {
    const [first = 1, second = 1] = this.#factors;
    const mixed = Math.imul(digests[from] ?? 0, first) + Math.imul(digests[from + 1] ?? 0, second);
    // The upper bits: they depend on the lower bits of both words too.
    return mixed >>> this.#shift;
  }

  #freePlace(): number {
    const place = this.#free;
    if (place !== NOWHERE) this.#free = this.#older[place] ?? NOWHERE;
    return place === NOWHERE ? this.#used++ : place;
  }

  #remove(place: number): void {
    this.#onGone(place);
    this.#vacate(place);
    this.#unlink(place);
    const { words, doubles } = this.#columns;
    this.#words.fill(0, place * words, (place + 1) * words);
    this.#doubles.fill(0, place * doubles, (place + 1) * doubles);
    this.#older[place] = this.#free;
    this.#free = place;
    this.#size -= 1;
  }

  /** Empties the slot of a place, and moves later entries up, so that no search ends before them. */
  #vacate(place: number): void {
    const mask = this.#slots.length - 1;
    let hole = this.#homeOf(this.#digests, place * DIGEST_WORDS);
    while (this.#placeAt(hole) !== place) hole = (hole + 1) & mask;
    let next = (hole + 1) & mask;
    for (let other = this.#placeAt(next); other !== NOWHERE; other = this.#placeAt(next)) {
      const home = this.#homeOf(this.#digests, other * DIGEST_WORDS);
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        this.#slots[hole] = other + 1;
        hole = next;
      }
      next = (next + 1) & mask;
    }
    this.#slots[hole] = 0;
  }

  #use(place: number): void {
    if (place === this.#newest) return;
    this.#unlink(place);
    this.#link(place);
  }

  #link(place: number): void {
    this.#older[place] = this.#newest;
    this.#newer[place] = NOWHERE;
    if (this.#newest === NOWHERE) this.#oldest = place;
    else this.#newer[this.#newest] = place;
    this.#newest = place;
  }

  #unlink(place: number): void {
    const older = this.#older[place] ?? NOWHERE;
    const newer = this.#newer[place] ?? NOWHERE;
    if (older === NOWHERE) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NOWHERE) this.#newest = older;
    else this.#older[newer] = older;
  }

  /** Makes room for twice as many, at most `max`. */
  #grow(): void {
    const capacity = Math.min(this.#max, Math.max(FIRST_CAPACITY, 2 * this.#capacity));
    const { words, doubles } = this.#columns;
    this.#digests = copied(this.#digests, new Int32Array(capacity * DIGEST_WORDS));
    this.#older = copied(this.#older, new Int32Array(capacity));
    this.#newer = copied(this.#newer, new Int32Array(capacity));
    this.#words = copied(this.#words, new Uint32Array(capacity * words));
    this.#bytes = Buffer.from(this.#words.buffer);
    this.#doubles = copied(this.#doubles, new Float64Array(capacity * doubles));
    this.#capacity = capacity;
    const bits = Math.ceil(Math.log2(2 * capacity));
    this.#shift = WORD_BITS - bits;
    this.#slots = new Int32Array(2 ** bits);
    for (let place = 0; place < this.#used; place += 1) this.#settle(place);
  }

  #settle(place: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#homeOf(this.#digests, place * DIGEST_WORDS);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = place + 1;
  }
}

function copied<T extends Int32Array | Uint32Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
