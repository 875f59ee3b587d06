import { existsSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openBench } from './bench.ts';
import type { Bench, Effort } from './bench.ts';
import { measureBodies } from './bodies.ts';
import { measureBudgets } from './budgets.ts';
import { measureCollections } from './collector.ts';
import { startContenders } from './contenders.ts';
import type { Contenders } from './contenders.ts';
import { installBuilds } from './cost-contenders.ts';
import type { Build } from './cost-contenders.ts';
import { measureDenials } from './denials.ts';
import { measureFailovers } from './fleet-failovers.ts';
import { measureSidecarReuse } from './fleet-reuse.ts';
import { measureStreams } from './fleet-streams.ts';
import { measureFixedRates } from './fixed-rate.ts';
import { measureMemory } from './memory-cost.ts';
import { gate, keep } from './gate.ts';
import { measureNetwork } from './network.ts';
import { measureObserving } from './observe.ts';
import { measureOverload } from './overload.ts';
import { measureIssuer } from './issuer-flood.ts';
import { measurePolicies } from './policies.ts';
import { measureRoles, roleNames } from './roles.ts';
import { resultObject, tables } from './report.ts';
import { measureSidecarSoak, measureSoak } from './soak.ts';
import { measureStarts } from './start-cost.ts';
import { measureShortTasks } from './short-tasks.ts';
import { Stage } from './stage.ts';
import { measureTasks } from './tasks.ts';
import { measureSockets, measureThroughput } from './throughput.ts';

const help = `usage: npm run bench -- [--json] [--rounds N] [--seconds N] [--only SECTION,...] [--tasks N]
                        [--streams N,...] [--roles ROLE,...] [--soak SECONDS] [--builds CHECKOUT,...]
       npm run bench -- --gate | --keep [--rounds N] [--builds CHECKOUT]

Measures the built product beside others, each behind a real Envoy, in turn, round after round: README.md says how.

  --json      ends with one object on standard output, in the place of tables
  --rounds    how often each measurement is made; default 3
  --seconds   how long one takes; default 3
  --only      some of: start, memory (\`cost\` is both), throughput, socket, rates, policies, tasks,
              bodies, collector, soak, sidecar-soak, overload, issuer, fleet-reuse, fleet-failovers,
              fleet-streams (\`fleet\` is all three), network, denials, roles, budgets, observe,
              short-tasks; default all
  --tasks     most live tasks of the sweep; default 100000, which takes four minutes
  --streams   numbers of sidecars of the fleet; default 1,10,100,2000: the last takes 1.5 GiB and some minutes
  --roles     some of: ${roleNames.join(', ')}; default all
  --soak      how long the soak takes; default 30, an hour is 3600
  --builds    checkouts, each built, whose \`cost\` and \`roles\` are compared with those of the first; default this one
  --gate      compares with the runs kept in gate.json; exit code 1 where the build has lost against them
  --keep      adds runs to those, after a change that is meant; --rounds of them

Needs Linux, wrk and h2load (apt-get install wrk nghttp2-client), Go, and Envoy (npm run parts).`;

type Section = (
  bench: Bench,
  contenders: () => Promise<Contenders>,
  builds: () => Promise<readonly Build[]>,
) => Promise<void>;

/** Sections that can be run separately. Those that compare get the contenders, those of costs the builds. */
const sections: Readonly<Record<string, Section>> = {
  start: async (bench, _, builds) => measureStarts(bench, await builds()),
  memory: async (bench, _, builds) => measureMemory(bench, await builds()),
  throughput: async (bench, contenders) => measureThroughput(bench, await contenders()),
  socket: async (bench, contenders) => measureSockets(bench, await contenders()),
  rates: async (bench, contenders) => measureFixedRates(bench, await contenders()),
  bodies: async (bench, contenders) => measureBodies(bench, await contenders()),
  policies: measurePolicies,
  collector: measureCollections,
  soak: measureSoak,
  'sidecar-soak': measureSidecarSoak,
  tasks: measureTasks,
  overload: measureOverload,
  issuer: measureIssuer,
  'fleet-reuse': measureSidecarReuse,
  'fleet-failovers': measureFailovers,
  'fleet-streams': (bench) => measureStreams(bench, bench.effort.streams),
  network: measureNetwork,
  denials: measureDenials,
  roles: measureRoles,
  budgets: measureBudgets,
  observe: measureObserving,
  'short-tasks': measureShortTasks,
};

/** Names for several sections. */
const groups: ReadonlyMap<string, readonly string[]> = new Map([
  ['cost', ['start', 'memory']],
  ['fleet', ['fleet-reuse', 'fleet-failovers', 'fleet-streams']],
]);

interface Options extends Effort {
  readonly json: boolean;
  readonly gate: 'gate' | 'keep' | null;
  readonly only: readonly string[];
}

function optionsFrom(args: readonly string[]): Options | string {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const options = {
    json: flag,
    gate: flag,
    keep: flag,
    help: flag,
    rounds: text,
    seconds: text,
    only: text,
    tasks: text,
    streams: text,
    roles: text,
    soak: text,
    builds: text,
  };
  try {
    const { values } = parseArgs({ args: [...args], options });
    if (values.help) return help;
    const only = values.only?.split(',').flatMap((name) => groups.get(name) ?? [name]) ?? Object.keys(sections);
    const noisy = values.roles?.split(',') ?? roleNames;
    const silent = noisy.find((name) => !roleNames.some((role) => role === name));
    if (silent !== undefined) return `no role \`${silent}\`\n\n${help}`;
    const unknown = only.find((name) => !Object.hasOwn(sections, name));
    if (unknown !== undefined) return `no section \`${unknown}\`\n\n${help}`;
    return {
      json: values.json,
      gate: values.keep ? 'keep' : values.gate ? 'gate' : null,
      only: Object.keys(sections).filter((name) => only.includes(name)),
      rounds: count(values.rounds, 3),
      seconds: count(values.seconds, 3),
      tasks: count(values.tasks, 100_000),
      streams: (values.streams ?? '1,10,100,2000').split(',').map((one) => count(one, 1)),
      roles: noisy,
      soakSeconds: count(values.soak, 30),
      builds: values.builds?.split(',') ?? [resolve(import.meta.dirname, '../..')],
    };
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}\n\n${help}`;
  }
}

function count(given: string | undefined, otherwise: number): number {
  const value = Number(given ?? otherwise);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`\`${given}\` is not a whole number above 0`);
}

/** The Debian command that installs what is missing. */
function missing(): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const packages = { wrk: 'wrk', h2load: 'nghttp2-client' };
  const absent = Object.entries(packages).filter(([name]) => !folders.some((folder) => existsSync(join(folder, name))));
  return absent.length === 0
    ? null
    : `needs ${absent.map(([name]) => `\`${name}\``).join(' and ')}: apt-get install -y ${absent.map(([, debian]) => debian).join(' ')}`;
}

/** Exit code 1 for a loss. */
async function runGate(bench: Bench, what: 'gate' | 'keep'): Promise<void> {
  const [build] = await installBuilds(bench);
  if (build === undefined) return;
  if (what === 'keep') await keep(bench, build);
  else if (!(await gate(bench, build))) process.exitCode = 1;
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(options: Options): Promise<void> {
  const stage = await Stage.open();
  try {
    const bench = await openBench(stage, options, say);
    if (options.gate !== null) return await runGate(bench, options.gate);
    let started: Promise<Contenders> | null = null;
    let installed: Promise<readonly Build[]> | null = null;
    for (const name of options.only) {
      say(`-- ${name}`);
      await sections[name]?.(
        bench,
        () => (started ??= startContenders(bench)),
        () => (installed ??= installBuilds(bench)),
      );
    }
    process.stdout.write(options.json ? `${JSON.stringify(resultObject(bench.results))}\n` : tables(bench.results));
  } finally {
    await stage.close();
  }
}

const options = optionsFrom(process.argv.slice(2));
const problem = typeof options === 'string' ? options : missing();
if (typeof options === 'string' || problem !== null) {
  say(problem ?? help);
  process.exitCode = problem === help ? 0 : 2;
} else {
  await main(options);
}
