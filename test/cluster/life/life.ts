import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { until } from '../../until.ts';
import type { ClusterParts } from '../cluster-parts.ts';
import { startCluster } from '../cluster.ts';
import type { Cluster, Ran } from '../cluster.ts';
import type { ToolsOptions } from '../demo.ts';
import { prepare } from '../installed.ts';
import { endLoad, startLoad } from '../load.ts';
import { IMAGE } from '../release.ts';
import type { Release } from '../release.ts';

/** Agents, each with connections of its own. */
const AGENTS = 3;
const RATE_OF_EACH = 7;
/** How long the load goes on once an event is over. */
const AFTER_MS = 3_000;
/** An answer of Envoy whose server had no processor time for 15 s; no event has it. */
const SLOW = /^504 forward\.upstream-slow/;
const TIMEOUT = '--timeout=600s';

/** The chart of this tree. */
export const CHART = resolve(import.meta.dirname, '../../../deploy/chart');

/** What an event may cost. */
export interface Cost {
  /** Answers that calls may have in place of 200. */
  readonly answers: RegExp;
  /** The reason, as the page has it. */
  readonly why: string;
}

/** How many calls had each answer in place of 200. */
export type Lost = Readonly<Record<string, number>>;

const sum = (counts: readonly number[]): number => counts.reduce((all, each) => all + each, 0);

const at = (ms: number): string => new Date(ms).toISOString().slice(11, 23);

/** A row of a table of Markdown. */
const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |\n`;

/**
 * A cluster with tool servers, and what happens to it under the load of agents. Each event prints a row of a table: calls made, calls lost, and why.
 *
 * Lifecycle: {@link startLife}, events one after the other, `close`.
 */
export class Life {
  readonly cluster: Cluster;
  /** With the folder of policies. */
  readonly folder: string;
  /** The image of agents. */
  agentImage = IMAGE;
  /** How many calls the last event cost. */
  lost = 0;

  constructor(cluster: Cluster, folder: string) {
    this.cluster = cluster;
    this.folder = folder;
  }

  async close(): Promise<void> {
    await this.cluster.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs `kubectl` with these words and waits for what they say. */
  waitFor(words: string): Promise<string> {
    return this.cluster.kubectl(`${words} ${TIMEOUT}`);
  }

  authorityReady(): Promise<string> {
    return this.waitFor('-n remit rollout status statefulset/remit-authority');
  }

  toolsReady(): Promise<string> {
    return this.waitFor('-n demo rollout status deployment/tools');
  }

  /** Makes the pods of the tool servers anew. */
  async restartTools(): Promise<void> {
    await this.cluster.kubectl('-n demo rollout restart deployment/tools');
    await this.toolsReady();
  }

  helm(words: string): Promise<Ran> {
    return this.cluster.tried(['helm', ...words.split(' ')], { cwd: this.folder });
  }

  /** Upgrades the release to further values. Rejects if Helm fails. */
  async upgrade(values: string): Promise<void> {
    await this.cluster.run(
      `helm upgrade remit ${CHART} -n remit --install --create-namespace --reset-then-reuse-values ${values}`.split(
        ' ',
      ),
      { cwd: this.folder },
    );
  }

  /** Names of the tool servers' pods, as `pod/tools-…`. */
  async toolPods(): Promise<readonly string[]> {
    return (await this.cluster.kubectl('-n demo get pods -l app=tools -o name')).trim().split('\n');
  }

  /** Waits until sidecars of one version, and no others, follow an authority of one. */
  async follow(authority: string, sidecars: string): Promise<void> {
    await until(
      async () => {
        const text = await this.cluster.kubectl('-n remit exec remit-authority-0 -- remit fleet --json');
        const fleet: { readonly version: string; readonly sidecars: readonly { readonly version: string }[] } =
          JSON.parse(text);
        const versions = fleet.sidecars.map(({ version }) => version);
        return fleet.version === authority && versions.length > 1 && versions.every((one) => one === sidecars);
      },
      { what: `sidecars ${sidecars} of an authority ${authority}` },
    );
  }

  /** Changes the template of the tool servers' pods, which makes them anew. */
  async patchTools(template: object): Promise<void> {
    const change = JSON.stringify({ spec: { template } });
    await this.cluster.run(['kubectl', '-n', 'demo', 'patch', 'deployment', 'tools', '-p', change]);
  }

  /**
   * Makes calls while something happens, and prints the row of the event. Returns what calls had in place of 200 and the event may not cost, as an
   * agent under `remit run` sees it: calls that could not be decided were repeated by then, and are among those of a second or more. Answers of a
   * machine that is too slow do not count.
   */
  async event(event: string, happens: () => Promise<unknown>, cost?: Cost): Promise<Lost> {
    const { agentImage: image, cluster } = this;
    const loads = await Promise.all(
      Array.from({ length: AGENTS }, () => startLoad(cluster, { image, rate: RATE_OF_EACH })),
    );
    const startedMs = Date.now();
    let results;
    try {
      await happens();
      await new Promise((done) => setTimeout(done, AFTER_MS));
    } finally {
      results = await Promise.all(loads.map((load) => endLoad(cluster, load)));
      await cluster.kubectl('-n agents delete pods --all --wait=false');
    }
    const seconds = Math.round((Date.now() - startedMs) / 1_000);
    const lost: Record<string, number> = {};
    for (const [answer, count] of results.flatMap(({ answers }) => Object.entries(answers)))
      if (answer !== '200' && !SLOW.test(answer)) lost[answer] = (lost[answer] ?? 0) + count;
    const answers = Object.entries(lost).map(([answer, each]) => `${each} × ${answer}`);
    const calls = sum(results.map(({ made }) => made));
    const late = sum(results.map((each) => each.late));
    const count = sum(Object.values(lost));
    process.stdout.write(
      row([event, seconds, calls, count, answers.join(', '), count > 0 ? (cost?.why ?? 'not said') : '', late]),
    );
    this.lost = count;
    const unsaid = Object.entries(lost).filter(([answer]) => cost?.answers.test(answer) !== true);
    if (unsaid.length > 0) {
      const failures = results
        .flatMap((result) => result.failures)
        .filter(({ answer }) => unsaid.some(([one]) => one === answer))
        .map(({ answer, atMs }) => `${at(atMs)} ${answer}`);
      const events = await cluster.kubectl('get events -A --sort-by=.metadata.creationTimestamp');
      process.stdout.write([`began ${at(startedMs)}`, ...failures, ...events.split('\n').slice(-40), ''].join('\n'));
    }
    return Object.fromEntries(unsaid);
  }
}

/** What is not the same in every life. */
export interface LifeOptions {
  /** Default that of this tree. */
  readonly release?: Promise<Release>;
  readonly tools?: ToolsOptions;
}

/** Starts a cluster with two tool servers, and what Remit needs to be installed. */
export async function startLife(parts: ClusterParts, { release, tools = {} }: LifeOptions = {}): Promise<Life> {
  const folder = mkdtempSync(join(tmpdir(), 'rl-'));
  const cluster = await startCluster(parts);
  const life = new Life(cluster, folder);
  try {
    await prepare(cluster, folder, { replicas: 2, ...tools }, release);
  } catch (error) {
    await life.close();
    throw error;
  }
  const columns = ['event', 'seconds', 'calls', 'lost', 'by which answer', 'why', 'a second or more'];
  process.stdout.write(row(columns) + row(columns.map(() => '---')));
  return life;
}
