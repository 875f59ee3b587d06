import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { collectGrowth, collectOnceIdle, compactNowAndThen } from '../../src/runtime/garbage.ts';

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
  ])('collects once or never where %s', (_name, worked, expected) => {
    expect(collectionsWith(worked)).toEqual(expected);
  });

  it('shrinks the heap of a process that was started with the flag', async () => {
    const file = join(import.meta.dirname, '../../src/runtime/garbage.ts');
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

/** The looks at which a thread collects, of those that find so many KiB in use. A collection leaves what `left` says. */
function growthCollectedAt(found: readonly number[], left: number): readonly number[] {
  const due: (() => void)[] = [];
  const collected: number[] = [];
  let [look, bytes] = [0, found[0] ?? 0];
  collectGrowth({
    after: (_delayMs, run) => {
      due.push(run);
      return () => {};
    },
    usedBytes: () => bytes * 1_024,
    collect: () => {
      collected.push(look);
      bytes = left;
    },
  });
  for (look = 1; look < found.length; look += 1) {
    bytes = found[look] ?? 0;
    due.shift()?.();
  }
  return collected;
}

describe('collectGrowth', () => {
  it.each([
    ['has grown by a fifth', [100, 119, 121, 119, 121], 100, [2, 4]],
    ['has grown by a fifth since it was smallest', [100, 60, 71, 73], 60, [3]],
    ['stays as it is', [100, 110, 119, 100], 100, []],
    ['needs what it has: it waits for the next fifth', [100, 160, 180, 191, 193], 160, [1, 4]],
    ['is small, and leaves others to V8', [16_383, 24_576, 16_384, 24_577], 16_384, [1]],
  ])('collects each time the heap %s', (_name, found, left, looks) => {
    expect(growthCollectedAt(found, left)).toEqual(looks);
  });

  it('keeps the heap of a process small that was started with the flag', async () => {
    const file = join(import.meta.dirname, '../../src/runtime/garbage.ts');
    const script = (isSmall: boolean): string => `
      const { collectGrowth } = await import(${JSON.stringify(file)});
      if (${isSmall}) collectGrowth({ after: (_ms, run) => void setTimeout(run, 5).unref() });
      let [most, kept] = [0, []];
      for (let turn = 0; turn < 200; turn += 1) {
        kept = [...kept.slice(-20), Array.from({ length: 1_000 }, (_, index) => ({ index }))];
        if (turn > 100) most = Math.max(most, process.memoryUsage().heapUsed);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      console.log(most);`;
    const mostWith = async (isSmall: boolean): Promise<number> => {
      const flags = ['--expose-gc', '--max-semi-space-size=1', '--input-type=module', '--eval', script(isSmall)];
      return Number((await promisify(execFile)(process.execPath, flags)).stdout);
    };
    const [small, plain] = [await mostWith(true), await mostWith(false)];
    expect(small).toBeGreaterThan(0);
    expect(small).toBeLessThan(plain);
  });
});

/** What V8 favours from which look on, of those that find so many MiB in use. Look 0 ends the first rest. */
function compactionsWith(found: readonly number[]): readonly string[] {
  const due: (() => void)[] = [];
  const done: string[] = [];
  let look = -1;
  compactNowAndThen({
    after: (delayMs, run) => {
      if (look >= 0 && delayMs > 1_000) done.push(`look ${look}: rests for ${delayMs / 1_000} s`);
      due.push(run);
      return () => {};
    },
    usedBytes: () => found[look] ?? 0,
    favourMemory: (favours) => done.push(`look ${look}: ${favours ? 'memory' : 'speed'}`),
  });
  for (look = 0; look < found.length; look += 1) due.shift()?.();
  return done;
}

const never = Array.from({ length: 64 }, () => 15);

describe('compactNowAndThen', () => {
  it.each([
    ['a collection', [15, 16, 16, 17, 12, 13, 14], ['look 4: speed', 'look 4: rests for 300 s', 'look 5: memory']],
    ['a minute without one', never, ['look 60: speed', 'look 60: rests for 300 s', 'look 61: memory']],
  ])('favours memory until %s', (_name, found, expected) => {
    expect(compactionsWith(found)).toEqual(['look 0: memory', ...expected]);
  });

  it('takes the fragments out of the heap of a process', async () => {
    const file = join(import.meta.dirname, '../../src/runtime/garbage.ts');
    const script = (compacts: boolean): string => `
      const { getHeapSpaceStatistics } = await import('node:v8');
      const { compactNowAndThen } = await import(${JSON.stringify(file)});
      const all = Array.from({ length: 200_000 }, (_, index) => [index]);
      gc();
      gc();
      const kept = all.filter((_, index) => index % 2 === 0);
      all.length = 0;
      // From here on V8 knows what is free.
      gc();
      if (${compacts}) compactNowAndThen({ after: (_ms, run) => void setTimeout(run, 1).unref() });
      await new Promise((resolve) => setTimeout(resolve, 20));
      gc();
      await new Promise((resolve) => setTimeout(resolve, 20));
      const old = getHeapSpaceStatistics().find((space) => space.space_name === 'old_space');
      console.log(old.physical_space_size - old.space_used_size, kept.length);`;
    const fragmentsWith = async (compacts: boolean): Promise<number> => {
      const flags = ['--expose-gc', '--input-type=module', '--eval', script(compacts)];
      return Number.parseInt((await promisify(execFile)(process.execPath, flags)).stdout, 10);
    };
    const [compacted, plain] = [await fragmentsWith(true), await fragmentsWith(false)];
    expect(compacted).toBeLessThan(plain / 2);
  });
});
