import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FAILOVERS, FIGURES_FILE, rows, type Figures, type RowName } from './matrix/rows.ts';

/**
 * `npm run matrix -- [--failovers N]`: runs the tests of the failure matrix, with every clock and direction, 50 failovers in the rows that count them and 2,000
 * sidecars in a herd, and prints each row with its bound and the worst that was seen. With `REMIT_PARTS=all` also those under Patroni. Exit 1 where a test
 * failed.
 */

const at = process.argv.indexOf('--failovers');
const folder = mkdtempSync(join(tmpdir(), 'remit-matrix-'));
const file = join(folder, 'figures');
try {
  const { status } = spawnSync('npm', ['run', 'jest', '--', 'test/fleet/matrix/', 'test/patroni/'], {
    env: {
      ...process.env,
      REMIT_THOROUGH: '1',
      [FIGURES_FILE]: file,
      [FAILOVERS]: at === -1 ? '50' : process.argv[at + 1],
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  process.stdout.write(`\n${tableOf(existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [])}\n`);
  process.exitCode = status === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function tableOf(lines: readonly string[]): string {
  const worst = new Map<RowName, Map<string, number>>();
  for (const line of lines) {
    // Written by `seen`.
    const { name, figures } = JSON.parse(line) as { name: RowName; figures: Figures };
    const known = worst.get(name) ?? new Map<string, number>();
    worst.set(name, known);
    for (const [what, figure] of Object.entries(figures)) known.set(what, Math.max(figure, known.get(what) ?? 0));
  }
  const table = Object.entries(rows).map(([name, { bound, fault }]) => {
    // The keys of `rows`.
    const figures = worst.get(name as RowName);
    const shown =
      figures === undefined ? 'not run' : [...figures].map(([what, figure]) => `${figure} ${what}`).join(', ');
    return `| ${name} | ${fault} | ${bound} | ${shown} |`;
  });
  return ['| row | fault | bound | worst seen |', '|---|---|---|---|', ...table].join('\n');
}
