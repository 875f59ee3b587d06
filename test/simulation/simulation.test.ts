import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { thoroughly } from '../thoroughly.ts';
import { FAULT_KINDS } from './faults.ts';
import { simulate } from './run.ts';

const SEEDS = thoroughly(100_000, 10_000);
const AT_ONCE = 1_000;

/** `npm run simulate` with these options. */
const command = async (
  ...options: readonly string[]
): Promise<{ readonly code: number; readonly lines: readonly string[] }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [join(import.meta.dirname, 'simulate.ts'), ...options], (error, stdout) =>
      resolve({ code: Number(error?.code ?? 0), lines: stdout.trimEnd().split('\n') }),
    );
  });

describe('the simulated fleet', () => {
  it.each(Array.from({ length: SEEDS / AT_ONCE }, (_, at) => [at * AT_ONCE + 1]))(
    'keeps its promise for 1,000 seeds from %i',
    (first) => {
      const broken: string[] = [];
      for (let seed = first; seed < first + AT_ONCE; seed += 1) {
        const { violations } = simulate(seed);
        if (violations.length > 0) broken.push(`npm run simulate -- --seeds 1 --seed ${seed}: ${violations[0]}`);
      }
      expect(broken).toEqual([]);
    },
  );

  it('allows uses, acknowledges ends and meets each kind of fault', () => {
    const runs = Array.from({ length: 200 }, (_, at) => simulate(at + 1));
    expect(runs.filter(({ allowed, acknowledged }) => allowed === 0 || acknowledged === 0)).toEqual([]);
    const met = new Set(runs.flatMap(({ faults }) => faults.map((fault) => fault.replace(/^\d+ /, ''))));
    expect([...met].sort()).toEqual(FAULT_KINDS.toSorted());
  });

  it('runs a seed again exactly', () => {
    expect(simulate(7, 'acknowledged-at-commit')).toEqual(simulate(7, 'acknowledged-at-commit'));
  });
});

describe('npm run simulate', () => {
  it('tells the number of seeds and of violations', async () => {
    const { code, lines } = await command('--seeds', '20');
    expect({ code, lines }).toEqual({ code: 0, lines: ['simulate: 20 seeds, 0 violations'] });
  });

  it('tells how to replay a seed that fails, which then fails in the same way', async () => {
    const { code, lines } = await command('--seeds', '2', '--seed', '5', '--mistake', 'acknowledged-at-commit');
    expect([code, lines.at(-1)]).toEqual([1, 'simulate: 2 seeds, 2 violations']);
    const replay = lines.find((line) => line.startsWith('seed 6;'))?.match(/`npm run simulate -- (.*)`/)?.[1];
    expect(replay).toBe('--seeds 1 --seed 6 --mistake acknowledged-at-commit');
    const again = await command(...(replay ?? '').split(' '));
    expect(again.lines.slice(0, -1)).toEqual(
      lines.slice(
        lines.findIndex((line) => line.startsWith('seed 6;')),
        -1,
      ),
    );
  });

  it.each([
    ['no number of seeds', ['--seeds', 'many']],
    ['no such mistake', ['--mistake', 'constructor']],
  ])('prints its usage and fails: %s', async (_name, options) => {
    const { code, lines } = await command(...options);
    expect([code, lines[0]]).toEqual([2, 'usage: npm run simulate -- --seeds N [--seed FIRST] [--mistake NAME]']);
  });
});
