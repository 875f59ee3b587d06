import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { memoryFrom, memoryOf } from './memory.ts';

/** A mapping as smaps lists it. */
const mapping = (
  range: string,
  access: string,
  {
    path = '',
    rss = 0,
    anonymous = rss,
  }: { readonly path?: string; readonly rss?: number; readonly anonymous?: number } = {},
): string =>
  [`${range} ${access} 00000000 00:00 0 ${path.padStart(20)}`, `Rss: ${rss} kB`, `Anonymous: ${anonymous} kB`, ''].join(
    '\n',
  );

describe('memoryFrom', () => {
  test.each([
    ['program', mapping('00400000-00800000', 'r-xp', { path: '/usr/bin/node', rss: 2048, anonymous: 0 })],
    ['C heap', mapping('01000000-01400000', 'rw-p', { path: '[heap]', rss: 2048 })],
    ['managed heap', mapping('3839e0200000-3839e0240000', 'rw-p', { rss: 2048 })],
    [
      'managed heap',
      mapping('c000000000-c000400000', 'rw-p', { rss: 2048 }) + mapping('c000400000-c004000000', '---p'),
    ],
    ['code', mapping('7f4982800000-7f49a2580000', 'rwxp', { rss: 2048 })],
    [
      'wasm',
      mapping('7f4711770000-7f47119d0000', 'rw-p', { rss: 2048 }) + mapping('7f47119d0000-7f4911770000', '---p'),
    ],
    [
      'C heap',
      mapping('7f49dc000000-7f49dde27000', 'rw-p', { rss: 2048 }) + mapping('7f49dde27000-7f49e0000000', '---p'),
    ],
    [
      'stacks',
      mapping('7f49a2ffe000-7f49a2fff000', '---p') + mapping('7f49a2fff000-7f49a37ff000', 'rw-p', { rss: 2048 }),
    ],
    ['other', mapping('7f4911bd5000-7f4911ff4000', 'rw-p', { rss: 2048 })],
  ] as const)('counts memory of `%s`', (part, smaps) => {
    const memory = memoryFrom(smaps);
    expect(memory.parts[part]).toBe(2);
    expect(memory.resident).toBe(2);
    expect(memory.anonymous).toBe(part === 'program' ? 0 : 2);
  });

  test('of this process: the parts are the whole, as the kernel sums it', () => {
    const { parts, resident } = memoryOf(process.pid);
    const kernel = Number(/^Rss: +(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))?.[1]) / 1024;
    expect(Object.values(parts).reduce((sum, part) => sum + part)).toBeCloseTo(resident, 6);
    expect(Math.abs(resident - kernel)).toBeLessThan(kernel / 2);
    expect(parts['managed heap']).toBeGreaterThan(10);
    expect(parts.program).toBeGreaterThan(10);
  });
});
