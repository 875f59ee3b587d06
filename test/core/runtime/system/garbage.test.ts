import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { collectOnceIdle } from '../../../../src/core/runtime/system/garbage.ts';

/** Runs a thread that has worked so many milliseconds at each look. Gives the number of collections, and of looks. */
function collectionsWith(worked: readonly number[]): { readonly collections: number; readonly looks: number } {
  const due: (() => void)[] = [];
  const readings = worked.values();
  let collections = 0;
  let looks = 0;
  collectOnceIdle({
    after: (_delayMs, run) => {
      due.push(run);
      return () => {};
    },
    workedMs: () => readings.next().value ?? 0,
    collect: () => (collections += 1),
  });
  for (let run = due.shift(); run !== undefined; run = due.shift()) {
    looks += 1;
    run();
  }
  return { collections, looks };
}

const busy = Array.from({ length: 100 }, (_, second) => second * 500);

describe('collectOnceIdle', () => {
  it.each([
    ['the first second is idle', [900, 910], { collections: 1, looks: 1 }],
    ['two seconds are busy', [0, 400, 800, 820, 840], { collections: 1, looks: 3 }],
    ['a minute is busy', busy, { collections: 0, looks: 60 }],
  ])('collects once or never if %s', (_name, worked, expected) => {
    expect(collectionsWith(worked)).toEqual(expected);
  });

  it('shrinks the heap of a process that was started with the flag', async () => {
    const file = join(import.meta.dirname, '../../../../src/core/runtime/system/garbage.ts');
    const script = `
      const { collectOnceIdle } = await import(${JSON.stringify(file)});
      let kept = [];
      for (let round = 0; round < 20; round += 1) kept = Array.from({ length: 100_000 }, (_, index) => ({ index }));
      kept = null;
      const before = process.memoryUsage().heapTotal;
      collectOnceIdle({ after: (_ms, run) => setTimeout(run, 200), workedMs: () => 0 });
      // V8 collects by itself after 8 s without work.
      for (let n = 0, after = before; n < 50; n += 1) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        after = process.memoryUsage().heapTotal;
        if (after < before / 2 || n === 49) {
          console.log(JSON.stringify({ before, after }));
          break;
        }
      }`;
    const flags = ['--expose-gc', '--max-semi-space-size=8', '--input-type=module', '--eval', script];
    const { stdout } = await promisify(execFile)(process.execPath, flags);
    const heap: { readonly before: number; readonly after: number } = JSON.parse(stdout);
    expect(heap.after).toBeLessThan(heap.before / 2);
  });
});
