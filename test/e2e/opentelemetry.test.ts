import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { builtSources } from '../built-sources.ts';
import { freePort } from '../free-port.ts';
import { Collector } from '../core/telemetry/collector.ts';
import { asScraped } from '../core/telemetry/pushed-request.ts';
import { until } from '../until.ts';
import { ran, remit } from './process.ts';
import type { Running } from './process.ts';
import { soundSettings } from './sound-settings.ts';
import { killedAfterEach } from './killed.ts';
import { testFolders } from '../builders/test-folders.ts';

/** A module for `--import` that writes the URL of each loaded module into a file. */
const recordingModules = (file: string): string => `
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
registerHooks({
  load(url, context, next) {
    appendFileSync(${JSON.stringify(file)}, url + '\\n');
    return next(url, context);
  },
});
`;

// Issue 16, point 6: the SDK is used where a destination is configured, and is not loaded otherwise.
describe('remit serve with OpenTelemetry', () => {
  const folders = testFolders();
  let folder = '';
  let collector: Collector;
  let config = '';
  let adminPort = 0;
  const killed = killedAfterEach();

  beforeEach(async () => {
    folder = folders();
    collector = await Collector.start();
    adminPort = await freePort();
    config = join(folder, 'remit.yaml');
    await writeFile(config, stringify(await soundSettings(folder, { adminPort })));
  });
  afterEach(() => collector.close());

  async function serving(environment: Readonly<Record<string, string>>): Promise<Running> {
    const started = killed(remit(['serve', '--config', config], environment));
    await started.said('checks on');
    return started;
  }

  async function packagesOf(environment: Readonly<Record<string, string>>): Promise<ReadonlySet<string>> {
    const [hook, loaded] = [join(folder, 'hook.mjs'), join(folder, 'loaded.txt')];
    await writeFile(hook, recordingModules(loaded));
    const started = await serving({ NODE_OPTIONS: `--import=${pathToFileURL(hook).href}`, ...environment });
    await ended(started);
    return packagesIn(await readFile(loaded, 'utf8'));
  }

  it.each([
    ['no destination is configured', {}],
    ['the SDK is disabled', { OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }],
    [
      'every exporter is none',
      { OTEL_TRACES_EXPORTER: 'none', OTEL_LOGS_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' },
    ],
  ])('loads nothing of the SDK if %s', async (_name, environment) => {
    expect([...(await packagesOf(environment))]).toEqual(['@opentelemetry/api']);
  });

  it('loads the SDK if a destination is configured', async () => {
    const packages = await packagesOf({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces` });
    expect([...packages]).toEqual(expect.arrayContaining(['@opentelemetry/sdk-node', '@opentelemetry/sdk-trace']));
  });

  it('pushes the metrics of a scrape, at its interval and once more at its end', async () => {
    const started = await serving({
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${collector.url}/v1/metrics`,
      OTEL_METRIC_EXPORT_INTERVAL: '200',
    });
    expect(started.err()).toContain(`spans to none; metrics to ${collector.url}/v1/metrics`);
    await until(async () => collector.pushes.length >= 2);
    const response = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
    const scraped = (await response.text()).trimEnd().split('\n');
    await ended(started);
    const pushed = asScraped(collector.pushes.at(-1) ?? []);
    // Compares names, types, help and series of all metrics, and the values of those that change only with calls.
    expect(pushed.map(withoutValue)).toEqual(scraped.map(withoutValue));
    expect(pushed.filter(isStill)).toEqual(scraped.filter(isStill));
    expect(pushed.filter(isStill)).toContain('remit_bypasses_total 0');
  });

  it('refuses to start with invalid variables, as does `--check`', async () => {
    const environment = { OTEL_TRACES_EXPORTER: 'zipkin', OTEL_EXPORTER_OTLP_HEADERS: 'authorization s3cret' };
    for (const args of [
      ['serve', '--config', config],
      ['serve', '--config', config, '--check'],
    ]) {
      const { code, err } = await ran(args, environment);
      expect(code).toBe(2);
      expect(err).toContain(
        'remit serve: `OTEL_TRACES_EXPORTER` is `zipkin`: expected otlp, console, none, with commas between\n',
      );
      expect(err).toContain('remit serve: `OTEL_EXPORTER_OTLP_HEADERS`: expected `name=value` pairs');
      expect(err).not.toContain('s3cret');
    }
  });
});

async function ended({ child, exit }: Running): Promise<void> {
  child.kill('SIGTERM');
  expect(await exit).toBe(0);
}

/** Packages of OpenTelemetry in loaded modules, one URL a line. */
function packagesIn(loaded: string): ReadonlySet<string> {
  const files = loaded.split('\n').filter((url) => url.startsWith('file:'));
  const sources = builtSources(files.map((url) => fileURLToPath(url))).join('\n');
  return new Set(Array.from(sources.matchAll(/node_modules\/(@opentelemetry\/[^/]+)\//g), ([, name = '']) => name));
}

const withoutValue = (line: string): string => (line.startsWith('#') ? line : line.slice(0, line.lastIndexOf(' ')));

/** Whether a line belongs to a metric that changes only with calls. A process drains before it ends. */
const isStill = (line: string): boolean =>
  !/^(?:# )?.*(?:process_|event_loop|_age_|unconfirmed|disk_free|ledger_|clock_lead|state_|drain)/.test(line);
