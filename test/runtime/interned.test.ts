import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { interned } from '../../src/runtime/interned.ts';

describe('interned', () => {
  it('gives an equal string, also of one that was forgotten or is too long to be kept', () => {
    const all = Array.from({ length: 20_000 }, (_, index) => `text ${index}`);
    expect(all.map(interned)).toEqual(all);
    expect(all.map(interned)).toEqual(all);
    expect(interned('x'.repeat(10_000))).toBe('x'.repeat(10_000));
  });

  it('lets equal strings share their memory', async () => {
    const file = join(import.meta.dirname, '../../src/runtime/interned.ts');
    const script = `
      const { interned } = await import(${JSON.stringify(file)});
      const bytes = Buffer.alloc(1_000, 'a');
      const grownBy = (make) => {
        gc();
        const before = process.memoryUsage().heapUsed;
        const kept = Array.from({ length: 10_000 }, () => make(bytes.toString('latin1')));
        gc();
        return kept.length > 0 ? process.memoryUsage().heapUsed - before : NaN;
      };
      console.log(JSON.stringify({ each: grownBy((text) => text), shared: grownBy(interned) }));`;
    const flags = ['--expose-gc', '--input-type=module', '--eval', script];
    const { stdout } = await promisify(execFile)(process.execPath, flags);
    const { each, shared }: { readonly each: number; readonly shared: number } = JSON.parse(stdout);
    expect(each).toBeGreaterThan(9_000_000);
    expect(shared).toBeLessThan(1_000_000);
  });
});
