import { parseArgs } from 'node:util';
import { FIRST_SEEDS, isMistake, MISTAKES } from './mistakes.ts';
import type { Mistake } from './mistakes.ts';
import { simulate } from './run.ts';

const USAGE = `usage: npm run simulate -- --seeds N [--seed FIRST] [--mistake NAME | --mistakes]

Runs the fleet of authorities and sidecars against a model of their network and database, once for each seed from FIRST (default 1).
With --mistake it makes one of these deliberate mistakes, with --mistakes each of them until a seed shows it, which one of N must:
${Object.entries(MISTAKES)
  .map(([name, what]) => `  ${name.padEnd(24)}${what}`)
  .join('\n')}`;

/** How often progress is printed, to standard error. */
const PROGRESS = 10_000;

/** Runs the seeds. Gives how many of them broke the promise. */
function runAll({ first, seeds, mistake }: { first: number; seeds: number; mistake: string }): number {
  let broken = 0;
  for (let seed = first; seed < first + seeds; seed += 1) {
    const { violations, faults } = simulate(seed, isMistake(mistake) ? mistake : null);
    const done = seed - first + 1;
    if (done % PROGRESS === 0 && done < seeds) console.error(`${done} of ${seeds} seeds`);
    if (violations.length === 0) continue;
    broken += 1;
    if (broken > 20) continue;
    const replay = `npm run simulate -- --seeds 1 --seed ${seed}${mistake === '' ? '' : ` --mistake ${mistake}`}`;
    console.log(
      [`seed ${seed}; replay it with \`${replay}\``, ...violations, `faults: ${faults.join(', ')}`].join('\n  '),
    );
  }
  return broken;
}

/** Makes each mistake until a seed shows it. Gives how many of them no seed has shown. */
function findMistakes(seeds: number): number {
  const notFound = Object.keys(MISTAKES).filter((name) => isMistake(name) && !isFound(name, seeds));
  console.log(`simulate: ${Object.keys(MISTAKES).length} mistakes, ${notFound.length} not found`);
  return notFound.length;
}

function isFound(mistake: Mistake, seeds: number): boolean {
  const first = FIRST_SEEDS[mistake] ?? 1;
  for (let seed = first; seed < first + seeds; seed += 1) {
    const [violation] = simulate(seed, mistake).violations;
    if (violation === undefined) continue;
    console.log(`${mistake}: seed ${seed}: ${violation}`);
    return true;
  }
  console.log(`${mistake}: not found in ${seeds} seeds from ${first}`);
  return false;
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    mistake: { type: 'string', default: '' },
    mistakes: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const [first, seeds] = [Number(values.seed), Number(values.seeds)];
const isUsable = Number.isSafeInteger(first) && Number.isSafeInteger(seeds) && seeds > 0;
if (values.help || !isUsable || (values.mistake !== '' && !isMistake(values.mistake))) {
  console.log(USAGE);
  process.exitCode = values.help ? 0 : 2;
} else if (values.mistakes) {
  process.exitCode = findMistakes(seeds) === 0 ? 0 : 1;
} else {
  const violations = runAll({ first, seeds, mistake: values.mistake });
  console.log(`simulate: ${seeds} seeds, ${violations} violations`);
  process.exitCode = violations === 0 ? 0 : 1;
}
