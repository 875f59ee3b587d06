import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import type { Build } from './cost-contenders.ts';
import { gateFigures, gateRun } from './gate-run.ts';
import { falseAlarm, MIN_KEPT, RUNS, verdictsOf } from './loss.ts';
import type { GateRun, Verdict } from './loss.ts';
import { table } from './table.ts';
import { median } from './statistics.ts';

/** The runs that a build is held to, newest last. */
const KEPT = join(import.meta.dirname, 'gate.json');
const MAX_KEPT = 12;

/**
 * Holds a build to the kept runs: as many runs as it takes, at most three, since one that is as before ends the suspicion of its figure.
 * Prints a table, and returns whether nothing is lost.
 */
export async function gate(bench: Bench, build: Build): Promise<boolean> {
  const kept = await keptRuns();
  if (kept.length < MIN_KEPT)
    throw new Error(`\`${KEPT}\` has ${kept.length} runs, needs ${MIN_KEPT}: \`--keep\` adds some`);
  const runs: GateRun[] = [];
  let verdicts: readonly Verdict[];
  do {
    bench.say(`-- run ${runs.length + 1} of at most ${RUNS}`);
    runs.push(await gateRun(bench, build, `gate-${runs.length}`));
    verdicts = verdictsOf(gateFigures, { kept, runs });
    for (const { name, says } of verdicts)
      if (says === 'suspect') bench.say(`   ${name} is worse than in every kept run`);
  } while (verdicts.some(({ says }) => says === 'suspect'));
  process.stdout.write(
    `${verdictTable(verdicts)}\nfalse alarms: one in ${(1 / falseAlarm(kept.length)).toFixed(0)} for each figure\n`,
  );
  return verdicts.every(({ says }) => says !== 'loss' && says !== 'not measured');
}

/** Makes a run for each round and adds it to the kept ones, of which the newest 12 stay. */
export async function keep(bench: Bench, build: Build): Promise<void> {
  for (let run = 0; run < bench.effort.rounds; run += 1) {
    bench.say(`-- run ${run + 1} of ${bench.effort.rounds}, to be kept`);
    const made = Object.entries(await gateRun(bench, build, `gate-${run}`));
    const rounded = Object.fromEntries(made.map(([name, value]) => [name, Number(value.toPrecision(4))]));
    const runs = [...(await keptRuns()), rounded].slice(-MAX_KEPT);
    await writeFile(KEPT, `${JSON.stringify(runs, null, 2)}\n`);
  }
}

const keptRuns = async (): Promise<readonly GateRun[]> =>
  existsSync(KEPT) ? (JSON.parse(await readFile(KEPT, 'utf8')) as readonly GateRun[]) : [];

const shown = (values: readonly number[]): string => values.map((value) => value.toFixed(2)).join(' ');

function verdictTable(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ name, kept, runs, loss, says }) => [
    `\`${name}\``,
    gateFigures[name as keyof typeof gateFigures].of,
    median(kept).toFixed(2),
    shown([Math.min(...kept), Math.max(...kept)]),
    shown(runs),
    `${(-loss * 100).toFixed(1)} %`,
    says,
  ]);
  return table(['figure', 'what', 'kept', 'least and most', 'runs', 'better by', ''], rows);
}
