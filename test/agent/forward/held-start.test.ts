import { buffer, text } from 'node:stream/consumers';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { HeldStart } from '../../../src/agent/forward/held-start.ts';

describe('HeldStart', () => {
  it('passes a start that is not rewritten as it came, also if it is too long', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1 })), fc.nat(20), async (chunks, maxBytes) => {
        const held = new HeldStart({ maxBytes, rewritten: () => null });
        for (const chunk of chunks) held.write(Buffer.from(chunk));
        held.end();
        expect(await buffer(held)).toEqual(Buffer.concat(chunks));
      }),
    );
  });

  it('rewrites a start once it is there, and passes the rest as it comes', async () => {
    const held = new HeldStart({
      maxBytes: 16,
      rewritten: (start) => (start.includes('\n') ? Buffer.from(`<${start.length}>`) : null),
    });
    for (const chunk of ['a', 'b', '\n', 'c\n', 'd']) held.write(chunk);
    held.end();
    expect(await text(held)).toBe('<3>c\nd');
  });

  // Each chunk copied all bytes before it: 34 GB for a card of 256 KiB that came byte by byte.
  it('copies a start that comes byte by byte a few times, not with each byte', async () => {
    const stores = new Set<unknown>();
    const rewritten = (start: Buffer, isWhole: boolean): Buffer | null => {
      stores.add(start.buffer);
      return isWhole ? Buffer.from(`${start.length}`) : null;
    };
    const held = new HeldStart({ maxBytes: 16_384, rewritten });
    for (let n = 0; n < 16_384; n += 1) held.write(Buffer.from([n % 256]));
    held.end();
    expect(await text(held)).toBe('16384');
    expect(stores.size).toBeLessThan(64);
  });
});
