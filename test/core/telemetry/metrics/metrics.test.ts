import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { metricTable } from '../../../../src/core/telemetry/metrics/metric-table.ts';
import { newMetrics } from '../../../../src/core/telemetry/metrics/metrics.ts';

const specs = Object.values(metricTable);

/** A row of a Markdown table, without padding. */
const cells = (line: string): string =>
  line
    .split('|')
    .map((cell) => cell.trim())
    .join('|');

describe('metricTable', () => {
  it('names each metric once, in base units, by the conventions of Prometheus', () => {
    const names = specs.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, type } of specs) {
      expect(name).toMatch(/^(?:remit|process)_[a-z]+(?:_[a-z]+)*$/);
      expect(name.endsWith('_total')).toBe(type === 'counter');
      expect(name).not.toMatch(/_(?:ms|milliseconds|minutes|kb|percent)(?:_|$)/);
    }
  });

  it('has no label whose values a request chooses', () => {
    const open = specs.flatMap(({ labels }) => Object.entries(labels).filter(([, values]) => values === null));
    // Values come from the table of reasons, the policy folder, `static-secret.ts`, the endpoints and statuses of the issuer, or the
    // configuration.
    const bounded = new Set([
      'reason',
      'action',
      'entry',
      // A receiver of signals, by its name in the configuration.
      'receiver',
      // An MCP server with pins, by its id in the configuration.
      'server',
      'kind',
      'limit',
      'hash',
      'issuer',
      'name',
      'version',
      'node',
      'endpoint',
      'status',
      // Ids of permits of the operator, at most 100.
      'policy',
      // A witness, by the name of its key in the configuration.
      'witness',
    ]);
    expect(open.map(([name]) => name).filter((name) => !bounded.has(name))).toEqual([]);
  });

  it('describes each metric in one sentence', () => {
    for (const { help } of specs) expect(help).toMatch(/^[A-Z].*[^.]$/);
  });
});

describe('deploy/guide/watch/metrics.md', () => {
  it('has a row for each metric of the table and no other, word for word', () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../../../deploy/guide/watch/metrics.md'), 'utf8');
    const rows = page
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map(cells);
    const expected = specs.map(({ name, type, labels, help }) => {
      const names = Object.keys(labels).map((label) => `\`${label}\``);
      return `|\`${name}\`|${type}|${names.join(', ')}|${help}|`;
    });
    expect(rows).toEqual(expected);
  });
});

describe('newMetrics', () => {
  it('measures before each scrape', () => {
    const metrics = newMetrics();
    let measured = 0;
    metrics.beforeScrape(() => metrics.ledgerQueued.of({}).set((measured += 1)));
    metrics.scrape('text');
    expect(metrics.scrape('text').body).toContain('\nremit_ledger_queued 2\n');
  });

  it('shows rare events as zero before the first event, so that it is an increase', () => {
    const { body } = newMetrics().scrape('text');
    for (const line of [
      'remit_failure_mode_allowed_total 0',
      'remit_bypasses_total 0',
      'remit_ledger_failures_total 0',
      'remit_server_refusals_total{cause="failed"} 0',
      'remit_task_ends_total{state="revoked",cause="signal"} 0',
    ]) {
      expect(body).toContain(`\n${line}\n`);
    }
  });
});
