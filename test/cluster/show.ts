import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pageCommands } from '../pages/page-commands.ts';
import { CACHE_MARKER } from '../../src/dev/envoy-binary.ts';
import { jaegerFolder, jaegerUiFolder } from '../parts/cache.ts';
import { findClusterParts } from './cluster-parts.ts';
import { startCluster } from './cluster.ts';
import type { Cluster, Ran } from './cluster.ts';
import { linesOf, startAgent } from './demo.ts';
import { pageInstall, PAGE, prepare } from './installed.ts';
import { endLoad, startLoad } from './load.ts';
import { COLLECTOR, OTLP_ENDPOINT, pageOf, startJaegerOn, traceLines, traceOfCall } from './traces.ts';

const HELP = `Shows Remit in a Kubernetes of one node on this machine: installs, injects, calls, ends a task, upgrades, and goes without a trace.

  npm run demo -- --kubernetes
  npm run demo -- --kubernetes --pictures FOLDER    also takes pictures of the pods and of a trace in Jaeger

It takes what \`npm run parts -- cluster\` installs, root, and 3 minutes. Each command is printed with what it printed.
`;
const CALLS = ['GET /', 'GET /items/7', 'POST /items {"amount":50}', 'POST /items {"amount":500}', 'DELETE /items/7'];
const AUTHORITY = 'kubectl -n remit exec remit-authority-0 -c remit -- remit';
const UPGRADE =
  'helm upgrade remit oci://ghcr.io/remit-dev/charts/remit -n remit --reset-then-reuse-values --set resources.requests.cpu=150m,telemetry.otlpEndpoint=';

/** A file of a part, or its folder; `null` if the part is not installed. */
const installed = (folder: string, file = '.'): string | null =>
  existsSync(join(folder, CACHE_MARKER)) ? join(folder, file) : null;

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const title = (text: string): void => print(`\n== ${text}`);

/** Runs the commands of a story in the cluster and prints each with its output. */
class Story {
  readonly #cluster: Cluster;
  readonly #folder: string;

  constructor(cluster: Cluster, folder: string) {
    this.#cluster = cluster;
    this.#folder = folder;
  }

  /** Prints the end of what a command printed, and returns all of it. Rejects where the command fails. */
  async run(command: string, { last = 12 }: { readonly last?: number } = {}): Promise<string> {
    print(`$ ${command}`);
    const ran: Ran = await this.#cluster.tried(['sh', '-c', command], { cwd: this.#folder });
    const lines = `${ran.stdout}${ran.stderr}`.trimEnd().split('\n');
    for (const line of lines.slice(Math.max(0, lines.length - last))) print(`  ${line}`);
    if (ran.status !== 0) throw new Error(`\`${command}\` ended with ${ran.status}`);
    return ran.stdout;
  }

  async rolledOut(): Promise<void> {
    await this.run('kubectl -n remit rollout status statefulset/remit-authority', { last: 1 });
    await this.run('kubectl -n demo rollout status deployment/tools', { last: 1 });
  }
}

async function play(cluster: Cluster, folder: string, pictures: string | null): Promise<void> {
  const story = new Story(cluster, folder);
  const jaeger = installed(jaegerFolder, 'all-in-one');
  title('a tool server behind Envoy, SPIRE with an entry for each workload, and the release in a registry');
  await prepare(cluster, folder, { collector: COLLECTOR });
  await story.run('kubectl get pods -A');
  title('install and inject: the four commands of the page');
  for (const command of pageInstall()) {
    if (command.includes('remit doctor')) await story.rolledOut();
    await story.run(command);
  }
  title('policies');
  for (const command of pageCommands(PAGE, 'Policies')) await story.run(command, { last: 2 });
  await story.rolledOut();
  title('an agent under `remit run` calls the tool server: by its intent and the policies');
  await startAgent(cluster, { name: 'first', program: 'agent.mjs', environment: { CALLS: CALLS.join('\n') } });
  for (const line of await linesOf(cluster, 'first')) print(`  ${line.slice(0, 140)}`);
  title('upgrade: other values, and a collector of traces');
  await story.run(`${UPGRADE}${jaeger === null ? '' : OTLP_ENDPOINT}`, { last: 3 });
  await story.rolledOut();
  await story.run('helm test remit -n remit', { last: 4 });
  if (jaeger !== null) await showTrace(cluster, story, { jaeger, pictures });
  // Last: the agent gets no task of this kind for minutes then.
  title('an operator ends the task of another agent while it calls, twice a second');
  const load = await startLoad(cluster, { rate: 2 });
  const [task] = JSON.parse(await story.run(`${AUTHORITY} task list --in active --json`, { last: 0 })) as [
    { id: string },
  ];
  await story.run(`${AUTHORITY} task end ${task.id} --cause 'runs wild' --by operator`);
  await delay(3_000);
  const { answers } = await endLoad(cluster, load);
  for (const [answer, times] of Object.entries(answers)) print(`  ${times} calls of the agent: ${answer}`);
  const pods = await story.run('kubectl get pods -A');
  if (pictures !== null)
    await takePicture(cluster, { url: terminal(pods), shows: 'tools', to: join(pictures, 'pods.png') });
}

/** Has an agent call a tool server whose pod is made anew, with a Jaeger on the node, and prints a trace. */
async function showTrace(
  cluster: Cluster,
  story: Story,
  { jaeger, pictures }: { readonly jaeger: string; readonly pictures: string | null },
): Promise<void> {
  title('a trace of a call, in a Jaeger on the node');
  await startJaegerOn(cluster, { binary: jaeger, pages: installed(jaegerUiFolder) });
  await story.run('kubectl -n demo rollout restart deployment/tools', { last: 1 });
  await story.rolledOut();
  await startAgent(cluster, { name: 'traced', program: 'agent.mjs', environment: { CALLS: CALLS.join('\n') } });
  await linesOf(cluster, 'traced');
  const trace = await traceOfCall(cluster);
  for (const line of traceLines(trace)) print(`  ${line}`);
  if (pictures !== null)
    await takePicture(cluster, { url: pageOf(trace), shows: 'remit', to: join(pictures, 'trace.png') });
}

/** A page with what a command printed. */
const terminal = (text: string): string =>
  `data:text/html,${encodeURIComponent(`<pre style="font-size:20px">${text}`)}`;

/** Takes a picture of a page, in the cluster, once it has a word. */
async function takePicture(
  cluster: Cluster,
  { shows, to, url }: { readonly url: string; readonly shows: string; readonly to: string },
): Promise<void> {
  const program = join(import.meta.dirname, 'picture.ts');
  await cluster.run([process.execPath, '--no-warnings', program, 'chromium', url, shows, to]);
  print(`  ${to}`);
}

async function main(words: readonly string[]): Promise<number> {
  const [option, to] = words;
  const isPicture = option === '--pictures' && to !== undefined;
  if (words.length > 0 && !isPicture) {
    process.stdout.write(HELP);
    return option === '--help' ? 0 : 2;
  }
  const pictures = isPicture ? resolve(process.env['INIT_CWD'] ?? '', to) : null;
  const parts = findClusterParts();
  if ('missing' in parts) {
    process.stderr.write(`demo: a part of the cluster is missing: \`${parts.missing}\` installs it\n`);
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'remit-show-'));
  const cluster = await startCluster(parts, { say: (line) => print(`cluster: ${line}`) });
  try {
    await play(cluster, folder, pictures);
    return 0;
  } finally {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
    print('\ncluster: gone');
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
