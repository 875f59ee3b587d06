import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { testFolder } from '../builders/test-folders.ts';
import { soundSettings } from '../e2e/sound-settings.ts';
import { remit } from '../e2e/process.ts';
import type { Running } from '../e2e/process.ts';
import { describeWith, prometheusPart } from '../parts.ts';
import { until } from '../until.ts';
import { Prometheus } from './prometheus.ts';
import { freePort } from '../free-port.ts';

/** A port on which nobody listens. */

describeWith(prometheusPart(), 'metrics pushed to a real Prometheus', ({ prometheus: binary }) => {
  const scratch = testFolder(async () => {
    serving?.child.kill('SIGTERM');
    await serving?.exit;
    await prometheus?.stop();
  });
  let prometheus: Prometheus;
  let serving: Running;
  let adminPort = 0;

  beforeAll(async () => {
    // It scrapes nothing that is there: all it knows of Remit was pushed.
    prometheus = await Prometheus.start(binary, { port: await freePort(), ruleFiles: [] });
    adminPort = await freePort();
    const file = join(scratch.folder, 'remit.yaml');
    await writeFile(file, stringify(await soundSettings(scratch.folder, { adminPort })));
    serving = remit(['serve', '--config', file], {
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: prometheus.otlpMetrics,
      OTEL_METRIC_EXPORT_INTERVAL: '500',
    });
    await serving.said('checks on');
  });

  it('has the names and labels of a scrape', async () => {
    const response = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
    const scraped = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    const ofRemit = '{job="remit",__name__=~"(remit|process)_.+"}';
    const pushed = await until(async () => {
      const found = await prometheus.query(ofRemit);
      return 'series' in found && found.series.length > 0 && found.series;
    });
    const expected = scraped.map((line) => seriesOf(line.slice(0, line.lastIndexOf(' '))));
    expect(pushed.map(({ metric }) => textOf(metric)).toSorted()).toEqual(expected.toSorted());
  });
});

/** A series of a scrape, its labels in order. */
function seriesOf(series: string): string {
  const [name = '', labels = ''] = series.split(/[{}]/);
  return textOf(
    Object.fromEntries([
      ['__name__', name],
      ...Array.from(labels.matchAll(/(\w+)="([^"]*)"/g), ([, label = '', value = '']) => [label, value] as const),
    ]),
  );
}

/** One of Prometheus without what it adds, its labels in order; bounds as numbers, since each writes them in its own way. */
const textOf = (metric: Readonly<Record<string, string>>): string =>
  Object.entries(metric)
    .filter(([name]) => name !== 'job' && name !== 'instance')
    .map(([name, value]) => `${name}=${name === 'le' && value !== '+Inf' ? Number(value) : value}`)
    .toSorted()
    .join(' ');
