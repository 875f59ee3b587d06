import { growthOf } from './cost-growth.ts';
import { readerTable } from './reader-table.ts';

/**
 * Prints the cost table: for each reader of callers' texts the worst growth over all hostile texts (1 is linear, 16 quadratic), the slowest
 * text of 64,000 characters on this machine, and the unit and tail of the worst. `npm run costs`, with a word: readers with it in their name.
 */
const [word = ''] = process.argv.slice(2);
process.stdout.write('| reader | growth | slowest, ms | unit | tail | characters |\n|---|--:|--:|---|---|--:|\n');
for (const [name, read] of readerTable) {
  if (!name.includes(word)) continue;
  const { growth, slowestMs, unit, tail, chars } = growthOf(read, { of: 'all', doubted: 1.5 });
  const cells = [
    name,
    growth.toFixed(2),
    slowestMs.toFixed(2),
    JSON.stringify(unit),
    JSON.stringify(tail),
    String(chars),
  ];
  process.stdout.write(`| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`);
}
