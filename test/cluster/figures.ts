import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findClusterParts } from './cluster-parts.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { measureContention } from './figures/contention.ts';
import { measureIdle } from './figures/idle.ts';
import { measureLoad } from './figures/loads.ts';
import type { LoadFigure } from './figures/loads.ts';
import { measureNode } from './figures/node-mode.ts';
import { tablesOf } from './figures/tables.ts';
import type { Figures } from './figures/tables.ts';
import { measureAuthorityStart, measureSidecarStart } from './figures/starts.ts';
import { installByPage, permit, prepare } from './installed.ts';

const HELP = `Measures what Remit takes in a Kubernetes of one node on this machine: memory and processor time by control group.

  node test/cluster/figures.ts

  --only NAMES      of load,idle,starts,contention,node, separated by commas
  --rates N,N       calls a second through one sidecar: 20,200,1000
  --seconds N       how long each is measured: 60
  --sidecars N      of the idle ones: 30
  --requests A,B    of processor time, beside pods that take the rest: 10m,50m,100m
  --json            one object, in place of tables

It takes what \`npm run parts -- cluster\` installs, root, and 20 minutes. Processor time for a call is sound on a machine that does other work;
rates, latencies and times of starts are not.
`;
const SECTIONS = ['starts', 'load', 'idle', 'contention', 'node'] as const;
const ROUNDS = 5;

interface Options {
  readonly sections: ReadonlySet<string>;
  readonly rates: readonly number[];
  readonly seconds: number;
  readonly sidecars: number;
  readonly requests: readonly string[];
  readonly isJson: boolean;
}

function optionsOf(words: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...words],
    options: {
      only: { type: 'string', default: SECTIONS.join() },
      rates: { type: 'string', default: '20,200,1000' },
      seconds: { type: 'string', default: '60' },
      sidecars: { type: 'string', default: '30' },
      requests: { type: 'string', default: '10m,50m,100m' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const options = {
    sections: new Set(values.only.split(',')),
    rates: values.rates.split(',').map(Number),
    seconds: Number(values.seconds),
    sidecars: Number(values.sidecars),
    requests: values.requests.split(','),
    isJson: values.json,
  };
  const isKnown = [...options.sections].every((one) => (SECTIONS as readonly string[]).includes(one));
  const isNumber = [...options.rates, options.seconds, options.sidecars].every((one) => one > 0);
  return values.help || !isKnown || !isNumber ? null : options;
}

const say = (line: string): void => void process.stderr.write(`figures: ${line}\n`);

async function measure(cluster: Cluster, options: Options): Promise<Figures> {
  const { rates, requests, sections, seconds, sidecars } = options;
  const figures: Figures = { cores: availableParallelism(), loads: {} };
  const during = async (section: (typeof SECTIONS)[number], run: () => Promise<void>): Promise<void> => {
    if (!sections.has(section)) return;
    say(section);
    await run();
    figures.loads[section] = loadavg()[0] ?? NaN;
  };
  await during('starts', async () => {
    figures.starts = [
      await measureSidecarStart(cluster, { rounds: ROUNDS }),
      await measureAuthorityStart(cluster, { rounds: ROUNDS }),
    ];
  });
  await during('load', async () => {
    const load: LoadFigure[] = [];
    for (const rate of rates) load.push(await measureLoad(cluster, { rate, seconds }));
    figures.load = load;
  });
  await during('idle', async () => {
    figures.idle = await measureIdle(cluster, { count: sidecars, seconds });
  });
  await during('contention', async () => {
    figures.contention = await measureContention(cluster, { requests, seconds });
  });
  // The last: it takes the sidecars away.
  await during('node', async () => {
    figures.node = await measureNode(cluster, { rate: Math.min(...rates.slice(-2)), seconds, rounds: ROUNDS });
  });
  return figures;
}

async function main(words: readonly string[]): Promise<number> {
  const options = optionsOf(words);
  if (options === null) {
    process.stdout.write(HELP);
    return words.includes('--help') ? 0 : 2;
  }
  const parts = findClusterParts();
  if ('missing' in parts) {
    say(`a part of the cluster is missing: \`${parts.missing}\` installs it`);
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'remit-figures-'));
  const cluster = await startCluster(parts, { say });
  try {
    await prepare(cluster, folder);
    await installByPage(cluster, folder);
    await permit(cluster, folder);
    const figures = await measure(cluster, options);
    process.stdout.write(options.isJson ? `${JSON.stringify(figures)}\n` : tablesOf(figures));
    return 0;
  } finally {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
