import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { DevProcess } from '../../src/dev/child.ts';

/** One series of the answer to a query. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
}

/** What a query came to: its series, or why it is none. */
export type QueryResult = { readonly series: readonly Series[] } | { readonly problem: string };

const WITHIN_MS = 90_000;

/**
 * A real Prometheus of our own on loopback that scrapes one target as the job `remit` once a second. Lifecycle: `start` gives
 * one that answers, `stop` ends it and removes its folder.
 */
export class Prometheus {
  readonly #base: string;
  readonly #child: DevProcess;
  readonly #folder: string;

  private constructor(base: string, child: DevProcess, folder: string) {
    this.#base = base;
    this.#child = child;
    this.#folder = folder;
  }

  /** @param ruleFiles alert rules to evaluate once a second */
  static async start(
    binary: string,
    { port, ruleFiles }: { readonly port: number; readonly ruleFiles: readonly string[] },
  ): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), 'prometheus-'));
    const file = join(folder, 'prometheus.yml');
    await writeFile(
      file,
      stringify({
        global: { scrape_interval: '1s', evaluation_interval: '1s' },
        rule_files: ruleFiles,
        scrape_configs: [{ job_name: 'remit', static_configs: [{ targets: [`127.0.0.1:${port}`] }] }],
      }),
    );
    const child = new DevProcess(binary, [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
      '--enable-feature=exemplar-storage',
      '--web.enable-otlp-receiver',
    ]);
    const address = await readyAddress(child);
    if (address !== null) return new Prometheus(`http://${address}`, child, folder);
    await child.end();
    await rm(folder, { recursive: true, force: true });
    throw new Error(`Prometheus did not start: ${child.stderr.join('\n')}`);
  }

  /** Where it takes metrics by OTLP over HTTP. */
  get otlpMetrics(): string {
    return `${this.#base}/api/v1/otlp/v1/metrics`;
  }

  /** Asks for the value at this moment. */
  async query(expression: string): Promise<QueryResult> {
    const answer = await this.#get('query', { query: expression });
    return answer.status === 'success' ? { series: answer.data.result } : { problem: answer.error };
  }

  /** Waits until the expression has a series; throws where it has none in 20 s. */
  async until(expression: string): Promise<void> {
    for (let waitedMs = 0; waitedMs < WITHIN_MS; waitedMs += 200) {
      const result = await this.query(expression);
      if ('series' in result && result.series.length > 0) return;
      await delay(200);
    }
    throw new Error(`\`${expression}\` had no series within ${WITHIN_MS} ms`);
  }

  /** The labels of the exemplars of a metric in the last hour. */
  async exemplars(metric: string): Promise<readonly Readonly<Record<string, string>>[]> {
    const now = Date.now() / 1000;
    const answer = await this.#get('query_exemplars', {
      query: metric,
      start: String(now - 3600),
      end: String(now + 1),
    });
    const found: readonly { readonly exemplars: readonly { readonly labels: Record<string, string> }[] }[] =
      answer.data;
    return found.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels));
  }

  /** The health of every rule that was evaluated, by name. */
  async rules(): Promise<ReadonlyMap<string, string>> {
    const answer = await this.#get('rules', {});
    const groups: readonly { readonly rules: readonly { readonly name: string; readonly health: string }[] }[] =
      answer.data.groups;
    return new Map(groups.flatMap(({ rules }) => rules.map(({ name, health }) => [name, health] as const)));
  }

  async stop(): Promise<void> {
    await this.#child.end();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #get(path: string, parameters: Readonly<Record<string, string>>) {
    const response = await fetch(`${this.#base}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
    return JSON.parse(await response.text());
  }
}

async function readyAddress(child: DevProcess): Promise<string | null> {
  for (let waitedMs = 0; waitedMs < WITHIN_MS && !child.ended; waitedMs += 100) {
    const log = child.stderr.join('\n');
    const address = /msg="Listening on" component=web address=(\S+)/.exec(log)?.[1];
    if (address !== undefined && log.includes('Server is ready')) return address;
    await delay(100);
  }
  return null;
}
