import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { EventCutter } from '../../../../src/agent/forward/listing/event-cutter.ts';
import { HeldBytes } from '../../../../src/agent/forward/listing/held-bytes.ts';

describe('HeldBytes', () => {
  it('gives all bytes in their order, and then none', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (chunks) => {
        const held = new HeldBytes();
        for (const chunk of chunks) held.add(Buffer.from(chunk));
        const all = Buffer.concat(chunks);
        expect([held.length, held.taken(), held.length, held.taken().length]).toEqual([all.length, all, 0, 0]);
      }),
    );
  });

  it('keeps one chunk at most as it came, so that a million of one byte are no million objects', () => {
    const held = new HeldBytes();
    const chunks = ['a', 'b', 'c'].map((text) => Buffer.from(text));
    for (const chunk of chunks) held.add(chunk);
    for (const chunk of chunks) chunk.fill('x');
    expect(held.taken().toString()).toBe('abc');
  });
});

describe('EventCutter', () => {
  it('keeps one chunk of an event at most as it came', () => {
    const cutter = new EventCutter();
    const chunks = ['data', ': ', '{}'].map((text) => Buffer.from(text));
    for (const chunk of chunks) expect(cutter.cut(chunk)).toEqual([]);
    for (const chunk of chunks) chunk.fill('x');
    expect(cutter.cut(Buffer.from('\n\n')).map(({ bytes }) => bytes.toString())).toEqual(['data: {}\n\n']);
  });
});
