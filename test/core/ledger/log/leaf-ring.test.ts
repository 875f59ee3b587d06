import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { newRing, RingReader, RingWriter } from '../../../../src/core/ledger/log/leaf-ring.ts';
import type { RingPart } from '../../../../src/core/ledger/log/leaf-ring.ts';
import { unpackedLeaves } from '../../../builders/unpacked-leaves.ts';
import { thoroughly } from '../../../thoroughly.ts';

const leavesOf = (lengths: readonly number[], fill: number): readonly Uint8Array[] =>
  lengths.map((length, index) => new Uint8Array(length).fill(fill + index));

const leavesIn = (reader: RingReader, { count, offset, length }: RingPart): readonly Uint8Array[] =>
  unpackedLeaves({ count, bytes: reader.bytes.subarray(offset, offset + length) });

/** A short form, as many large leaves are compared. */
const textOf = (leaves: readonly Uint8Array[]): readonly string[] =>
  leaves.map((leaf) => Buffer.from(leaf).toString('latin1'));

describe('RingWriter', () => {
  it.each([
    // Leaves that fill a ring to its last byte, or are one byte too large.
    ['small leaves', [200, 300], fc.constantFrom(47, 48, 49, 97, 98, 99)],
    ['all lengths', [1_500, 150_000, 400_000], fc.oneof(fc.nat(300), fc.constantFrom(40_000, 65_535))],
  ])('changes no part before it is freed, whatever is written and freed: %s', (_what, rooms, length) => {
    const step = fc.oneof(
      fc.record({ of: fc.constant('write' as const), lengths: fc.array(length, { minLength: 1, maxLength: 3 }) }),
      fc.record({ of: fc.constant('free' as const), parts: fc.integer({ min: 1, max: 3 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), fc.constantFrom(...rooms), (steps, room) => {
        const ring = newRing(room);
        const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
        let held: { readonly part: RingPart; readonly leaves: readonly Uint8Array[] }[] = [];
        let size = 0;
        for (const step of steps) {
          if (step.of === 'free') {
            const last = held[step.parts - 1] ?? held.at(-1);
            if (last !== undefined) reader.free(last.part);
            held = held.slice(step.parts);
          } else {
            const leaves = leavesOf(step.lengths, size);
            for (const part of writer.write({ from: size, leaves }) ?? []) {
              expect(reader.has(part)).toBe(true);
              held.push({ part, leaves: leaves.slice(part.from - size, part.from - size + part.count) });
            }
            size += leaves.length;
          }
          for (const { part, leaves } of held) {
            expect(textOf(leavesIn(reader, part))).toEqual(textOf(leaves));
          }
        }
      }),
      { numRuns: thoroughly(2_000, 200) },
    );
  });

  it('refuses what it has no room for, and finds room once parts are freed', () => {
    const ring = newRing(1_000);
    const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
    const write = (...lengths: readonly number[]) => writer.write({ from: 0, leaves: leavesOf(lengths, 0) });
    const [first] = write(395) ?? [];
    const [second] = write(395) ?? [];
    expect([first?.offset, second?.offset]).toEqual([0, 398]);
    expect(write(300)).toBeNull();
    if (first !== undefined) reader.free(first);
    // The end is too short, the start is not.
    const [third] = write(300) ?? [];
    expect(third).toMatchObject({ number: 3, offset: 0, length: 303 });
    expect(write(100)).toBeNull();
    if (third !== undefined) reader.free(third);
    expect(write(900)).toMatchObject([{ number: 4, offset: 0 }]);
    expect(write(10, 99)).toBeNull();
  });

  it('keeps nothing of what it refuses', () => {
    const writer = new RingWriter(newRing(150_000));
    // Each leaf is a part of its own, and the third finds no room.
    expect(writer.write({ from: 0, leaves: leavesOf([60_000, 60_000, 60_000], 0) })).toBeNull();
    expect(writer.write({ from: 0, leaves: leavesOf([60_000, 60_000], 0) })).toMatchObject([{ offset: 0 }, {}]);
  });

  it('has room for its last byte', () => {
    const ring = newRing(1_003);
    const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
    const [part] = writer.write({ from: 0, leaves: leavesOf([1_000], 7) }) ?? [];
    expect(part).toMatchObject({ offset: 0, length: 1_003 });
    if (part !== undefined) reader.free(part);
    expect(writer.write({ from: 1, leaves: leavesOf([1_001], 7) })).toBeNull();
    expect(writer.write({ from: 1, leaves: leavesOf([1_000], 7) })).toMatchObject([{ number: 2, offset: 0 }]);
  });
});

describe('RingReader', () => {
  const part: RingPart = { number: 1, from: 0, count: 1, offset: 0, length: 100 };

  it.each<[string, Partial<RingPart>, boolean]>([
    ['at its end', { offset: 900 }, true],
    ['behind its end', { offset: 901 }, false],
    ['before its start', { offset: -1 }, false],
    ['between two bytes', { offset: 0.5 }, false],
    ['of no number', { offset: NaN }, false],
    ['without bytes', { length: 0 }, false],
    ['without leaves', { count: 0 }, false],
    ['before the first record', { from: -1 }, false],
  ])('knows whether a part is in the ring: a part %s', (_where, change, isIn) => {
    expect(new RingReader(newRing(1_000)).has({ ...part, ...change })).toBe(isIn);
  });
});
