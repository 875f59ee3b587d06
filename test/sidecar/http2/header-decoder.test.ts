import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  HeaderDecoder,
  type HeaderList,
  LIST_LIMITS,
  MAX_BLOCK_BYTES,
} from '../../../src/sidecar/http2/header-decoder.ts';
import { coded, huffman, indexed, integer, Literal, literal, tableSize } from './hpack.ts';
import { costRatio } from '../../costs.ts';

type Field = readonly [name: string, value: string];

const fieldsOf = (list: HeaderList): readonly Field[] | string =>
  typeof list === 'string' ? list : list.map(({ name, value }) => [name, value]);

/** Decodes two blocks in turn. */
const decoding = (first: Buffer, second: Buffer) => () => {
  const decoder = new HeaderDecoder();
  for (let n = 0; n < 20; n += 1) {
    decoder.decode(first);
    decoder.decode(second);
  }
};

/** Decodes blocks one after the other with one decoder. */
const read = (...blocks: readonly Buffer[]): readonly (readonly Field[] | string)[] => {
  const decoder = new HeaderDecoder();
  return blocks.map((block) => fieldsOf(decoder.decode(block)));
};

/** A block filled with repetitions of a piece, up to its limit. */
const filled = (piece: Buffer): Buffer =>
  Buffer.concat(Array.from({ length: Math.floor(MAX_BLOCK_BYTES / piece.length) }, () => piece));

/** A field, and whether it is encoded by index. */
interface Written {
  readonly field: Field;
  readonly as: keyof typeof Literal;
  readonly byNumber: boolean;
  readonly isCoded: boolean;
}

/** The dynamic table by the RFC, newest first. */
class Table {
  #fields: Field[] = [];
  #max = 4_096;

  resize(max: number): void {
    this.#max = max;
    this.#evict();
  }

  add(field: Field): void {
    this.#fields.unshift(field);
    this.#evict();
  }

  numberOf(isIt: (field: Field) => boolean): number {
    const index = this.#fields.findIndex(isIt);
    return index === -1 ? 0 : 62 + index;
  }

  #evict(): void {
    let bytes = 0;
    this.#fields = this.#fields.filter(([name, value]) => (bytes += name.length + value.length + 32) <= this.#max);
  }
}

const write = (table: Table, { field, as, byNumber, isCoded }: Written): Buffer => {
  const [name, value] = field;
  const whole = byNumber ? table.numberOf((one) => one[0] === name && one[1] === value) : 0;
  if (whole > 0) return indexed(whole);
  const number = byNumber ? table.numberOf((one) => one[0] === name) : 0;
  const written = isCoded ? coded(huffman(Buffer.from(value, 'latin1'))) : value;
  if (as === 'kept') table.add(field);
  return literal(number === 0 ? name : number, written, Literal[as]);
};

const name = fc.oneof(fc.constantFrom('a', 'te', 'x-y'), fc.string({ minLength: 1, maxLength: 20 }));
const value = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 30 }) },
  { weight: 1, arbitrary: fc.nat(5_000).map((length) => 'v'.repeat(length)) },
);
const written = fc.record({
  field: fc.tuple(name, value),
  as: fc.constantFrom('kept', 'kept', 'notKept', 'never'),
  byNumber: fc.boolean(),
  isCoded: fc.boolean(),
}) satisfies fc.Arbitrary<Written>;
const block: fc.Arbitrary<{ readonly sizes: readonly number[]; readonly fields: readonly Written[] }> = fc.record({
  sizes: fc.oneof(
    { weight: 4, arbitrary: fc.constant<number[]>([]) },
    { arbitrary: fc.array(fc.nat(4_096), { maxLength: 2 }), weight: 1 },
  ),
  fields: fc.array(written, { maxLength: 12 }),
});

describe('HeaderDecoder', () => {
  it('decodes many blocks, through evictions and changes of the table size', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 20 }), (blocks) => {
        const table = new Table();
        const decoder = new HeaderDecoder();
        for (const { sizes, fields } of blocks) {
          for (const size of sizes) table.resize(size);
          const bytes = Buffer.concat([...sizes.map(tableSize), ...fields.map((field) => write(table, field))]);
          const list = decoder.decode(bytes.subarray(0, MAX_BLOCK_BYTES));
          const size = fields.reduce((sum, { field: [name, value] }) => sum + name.length + value.length + 32, 0);
          expect(fieldsOf(list)).toEqual(size > LIST_LIMITS.bytes ? 'too-large' : fields.map(({ field }) => field));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('never throws, and decodes the next block after any valid block', () => {
    const damaged = fc.tuple(block, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }));
    fc.assert(
      fc.property(fc.array(damaged, { maxLength: 6 }), fc.uint8Array({ maxLength: 100 }), (blocks, noise) => {
        const decoder = new HeaderDecoder();
        const table = new Table();
        for (const [{ sizes, fields }, damages] of blocks) {
          const bytes = Buffer.concat([...sizes.map(tableSize), ...fields.map((field) => write(table, field))]);
          for (const [at, byte] of damages) if (bytes.length > 0) bytes[at % bytes.length] = byte;
          decoder.decode(bytes);
        }
        const isBroken = decoder.decode(Buffer.alloc(0)) === 'malformed';
        expect(decoder.decode(Buffer.of(0x82))).toEqual(
          isBroken ? 'malformed' : [expect.objectContaining({ value: 'GET' })],
        );
        decoder.decode(Buffer.from(noise));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ['the number 0', indexed(0)],
    ['a number without a field', indexed(62)],
    ['the largest number', indexed(2 ** 28)],
    ['an endless number', Buffer.of(0xff, ...Array.from({ length: 1_000 }, () => 0xff))],
    ['a number with too many leading zeros', Buffer.of(0xff, ...Array.from({ length: 10 }, () => 0x80), 0)],
    ['a truncated number', Buffer.of(0xff, 0x80)],
    ['a number without its rest', Buffer.of(0xff)],
    ['a name by a number without a field', literal(62, 'a')],
    ['a name without a value', Buffer.of(0x00, 0x01, 0x61)],
    ['a truncated name', Buffer.of(0x00, 0x05, 0x61)],
    ['a truncated value', Buffer.of(0x00, 0x01, 0x61, 0x02, 0x61)],
    ['a value of 256 MiB', Buffer.concat([Buffer.of(0x00, 0x01, 0x61), integer(2 ** 28, 7)])],
    ['an invalid Huffman code', literal('a', coded(Buffer.of(0xff)))],
    ['a table larger than announced', tableSize(4_097)],
    ['a table of 4 GiB', Buffer.of(0x3f, 0xff, 0xff, 0xff, 0xff, 0x0f)],
    ['another size of the table after a field', Buffer.concat([indexed(2), tableSize(0)])],
  ])('finds %s malformed, and decodes nothing afterwards', (_name, bytes) => {
    expect(read(indexed(2), bytes, indexed(2))).toEqual([[[':method', 'GET']], 'malformed', 'malformed']);
  });

  it('evicts what a smaller table has no room for', () => {
    const [kept, other] = [literal('a', 'b', Literal.kept), literal('c', 'd', Literal.kept)];
    expect(read(Buffer.concat([kept, other]), Buffer.concat([tableSize(34), indexed(62)]), indexed(63))).toEqual([
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
      [['c', 'd']],
      'malformed',
    ]);
    // Enlarged again, the table is still empty.
    expect(read(kept, Buffer.concat([tableSize(0), tableSize(4_096), indexed(62)]))[1]).toBe('malformed');
  });

  it('holds at most 128 of the smallest fields', () => {
    const smallest = Buffer.concat(Array.from({ length: 129 }, () => literal('', '', Literal.kept)));
    expect(read(smallest, indexed(62 + 127), indexed(62 + 128)).slice(1)).toEqual([[['', '']], 'malformed']);
  });

  it('drops a field too large for the table, and everything older', () => {
    const kept = literal('a', 'b', Literal.kept);
    expect(read(kept, indexed(62), literal('c', 'd'.repeat(4_064), Literal.kept), indexed(62))).toEqual([
      [['a', 'b']],
      [['a', 'b']],
      [['c', 'd'.repeat(4_064)]],
      'malformed',
    ]);
  });

  it.each<[string, Buffer, boolean]>([
    ['128 fields', Buffer.concat(Array.from({ length: 128 }, () => literal('a', 'b'))), true],
    ['129 fields', Buffer.concat(Array.from({ length: 129 }, () => literal('a', 'b'))), false],
    ['32 KiB', literal('a', 'b'.repeat(LIST_LIMITS.bytes - 33)), true],
    ['32 KiB and a byte', literal('a', 'b'.repeat(LIST_LIMITS.bytes - 32)), false],
    [
      '32 KiB and a byte in two',
      Buffer.concat([literal('a', 'b'.repeat(LIST_LIMITS.bytes - 66)), literal('a', 'b')]),
      false,
    ],
    ['more characters than bytes', literal('a', coded(huffman(Buffer.alloc(50_000, 'a')))), false],
  ])('%s are a list: %#', (_name, bytes, isList) => {
    const [list, after] = read(bytes, indexed(2));
    expect(Array.isArray(list) || list).toBe(isList || 'too-large');
    expect(after).toEqual([[':method', 'GET']]);
  });

  it('decodes lists that are too large, since later blocks refer to their entries', () => {
    const many = Buffer.concat(Array.from({ length: 200 }, (_, n) => literal(`a${n}`, 'b', Literal.kept)));
    const [list, after] = read(many, Buffer.concat([indexed(62), indexed(62 + 100)]));
    expect(list).toBe('too-large');
    expect(after).toEqual([
      ['a199', 'b'],
      ['a99', 'b'],
    ]);
  });

  it.each([
    ['a repeated large field', indexed(62)],
    ['fields with the name of a large field', literal(62, '')],
    ['indexed fields with the name of a large field', literal(62, '', Literal.kept)],
    ['small indexed fields', literal('a', '', Literal.kept)],
    ['sizes of the table', tableSize(0)],
  ])('has bounded cost for a block of %s', (_name, piece) => {
    const large = Buffer.concat([tableSize(4_096), literal('a'.repeat(4_000), '', Literal.kept)]);
    const small = Buffer.concat([tableSize(4_096), literal('a', '', Literal.kept)]);
    expect(costRatio(decoding(large, filled(piece)), decoding(small, filled(indexed(62))))).toBeLessThan(6);
  });
});
