import { exactJsonFrom } from '../../src/action/json-arguments.ts';

/** The worst cost of 64 KiB of JSON: extreme shapes, each read once as by a first caller, and then in rounds. `node test/bench/json.ts`. */
const BYTES = 65_536;
const ROUNDS = 25;

const filledWith = (item: string): string =>
  `[${Array.from({ length: Math.floor((BYTES - 2) / (item.length + 1)) }, () => item).join(',')}]`;

const members = Array.from({ length: 7_000 }, (_, index) => `"${index.toString(36)}":0`).join(',');

const shapes: readonly (readonly [string, string])[] = [
  ['empty objects', filledWith('{}')],
  ['empty arrays', filledWith('[]')],
  ['objects of one member', filledWith('{"":0}')],
  ['objects of two members', filledWith('{"":0,"a":0}')],
  ['one object of many members', `{${members}}`],
  ['nested objects', filledWith(`${'{"":'.repeat(30)}0${'}'.repeat(30)}`)],
  ['empty strings', filledWith('""')],
  ['escaped strings', filledWith('"\\n"')],
  ['digits', filledWith('1')],
  ['exponents', filledWith('1e1')],
  ['tiny numbers', filledWith('5e-324')],
  ['long numbers', filledWith('9007199254740993')],
];

const timed = (bytes: Uint8Array): number => {
  const start = performance.now();
  exactJsonFrom(bytes);
  return performance.now() - start;
};

process.stdout.write(`${''.padEnd(28)}   first ms   median ms   most ms\n`);
for (const [name, text] of shapes) {
  const bytes = Buffer.from(text);
  const first = timed(bytes);
  const rounds = Array.from({ length: ROUNDS }, () => timed(bytes)).toSorted((a, b) => a - b);
  const shown = [first, rounds[Math.floor(ROUNDS / 2)] ?? 0, rounds.at(-1) ?? 0].map((ms) => ms.toFixed(2).padStart(9));
  process.stdout.write(`${name.padEnd(28)}${shown.join('   ')}\n`);
}
