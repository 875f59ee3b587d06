import { thoroughly } from '../thoroughly.ts';
import { growthOf } from './cost-growth.ts';
import { readerTable } from './reader-table.ts';

/**
 * Prints the cost table: for each reader of callers' texts the worst growth over hostile texts (1 is linear, 16 quadratic; a growth below 3 is
 * one look, so it has the noise of the machine), the slowest text on this machine, and the unit and tail of the worst. `npm run costs`: two
 * tails of each unit; with `REMIT_THOROUGH=1` all six; with a word the readers with it in their name.
 */
const [word = ''] = process.argv.slice(2);
process.stdout.write('| reader | growth | slowest, ms | unit | tail | characters |\n|---|--:|--:|---|---|--:|\n');
for (const [name, read] of readerTable) {
  if (!name.includes(word)) continue;
  const { growth, slowestMs, unit, tail, chars } = growthOf(read, { of: thoroughly('all', 'sample'), doubted: 3 });
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
