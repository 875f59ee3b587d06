import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { playStory } from '../../src/dev/story.ts';
import { both, describeWith, envoyPart, prometheusPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { startDomain } from '../e2e/domain.ts';
import { alertRules, alertsFile, dashboardQueries } from './dashboards.ts';
import { Prometheus } from './prometheus.ts';

/** Metrics that the scenario has no series of, and what would have to be there. */
const needing: ReadonlyMap<string, string> = new Map([
  ['remit_keys_age_seconds', 'a key server'],
  ['remit_spans_taken', 'a collector of spans'],
  ['remit_limit_used_ratio', 'a `limits.yaml`'],
  ['remit_signals_oldest_seconds', 'an `issuer.signals.transmit`'],
  ['remit_signals_sent_total', 'an `issuer.signals.transmit`'],
  ['remit_signals_waiting', 'an `issuer.signals.transmit`'],
  ['remit_tool_pins_overdue_seconds', 'an `issuer.toolPins`'],
  ['remit_observed_decisions_total', 'an `enforcement.yaml`'],
  ['remit_observe_entry_until_timestamp_seconds', 'an `enforcement.yaml`'],
  ['remit_policy_permit_until_timestamp_seconds', 'a permit with `@until`'],
  ['remit_observed_faults_total', 'an `enforcement.yaml`, and a fault'],
  ['remit_svid_refused', 'a renewed SVID that is not taken over'],
  ['remit_ledger_room_seconds', 'ten minutes of growth'],
  ['remit_sidecar_lease_seconds', 'a sidecar'],
  ['remit_sidecar_following', 'a sidecar'],
  ['remit_sidecar_position', 'a sidecar'],
  ['remit_sidecar_cards', 'a sidecar'],
  ['remit_ledger_unacknowledged', 'a sidecar'],
  ['remit_ledger_index_records', 'a minute of service'],
  ['remit_ledger_witness_', 'witnesses of the ledger'],
  ['remit_authority_', 'an authority'],
  ['remit_database_', 'an authority on a PostgreSQL'],
  ['remit_received_', 'an authority that keeps the records of sidecars'],
]);

/** What a command says, on both streams; its failure is in the text. */
const said = (command: string, args: readonly string[], input = ''): Promise<string> =>
  new Promise((settle) => {
    const child = execFile(command, args, (error, out, err) => settle(`${out}${err}${error === null ? '' : 'failed'}`));
    child.stdin?.end(input);
  });

describeWith(both(envoyPart(), prometheusPart()), 'Prometheus', ([envoy, { prometheus, promtool }]) => {
  const scratch = testFolder(async () => {
    await server?.stop();
    await domain?.stop();
  });
  let domain: DevDomain;
  let server: Prometheus;
  const traceIds: string[] = [];

  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder });
    const { planner, envoyPort } = domain.stage;
    server = await Prometheus.start(prometheus, { port: domain.remit.adminPort, ruleFiles: [alertsFile] });
    // Twice, with scrapes before and in between, so that every rate has two samples to be one of.
    await server.until('up{job="remit"} == 1');
    for (const tokens of [1, 2]) {
      await planner.call(envoyPort, {
        host: 'payments.acme.test',
        path: '/v1/payments/p-1',
        headers: { 'x-api-key': 'k'.repeat(40) },
      });
      const { steps } = await playStory(domain.stage, () => undefined);
      traceIds.push(...steps.flatMap(({ decision }) => decision?.traceId ?? []));
      await domain.remit.flush();
      await server.until(`remit_tokens_issued_total == ${tokens}`);
    }
  });

  it('finds nothing against the metrics', async () => {
    // The older text alone is what `promtool check metrics` reads; the server below reads the other form.
    const response = await fetch(`http://127.0.0.1:${domain.remit.adminPort}/metrics`);
    expect(await said(promtool, ['check', 'metrics'], await response.text())).toBe('');
  });

  it('scrapes OpenMetrics without an error, with the traces of checks as exemplars', async () => {
    const up = await server.query('up{job="remit"} == 1');
    expect('series' in up && up.series).toHaveLength(1);
    const labels = await server.exemplars('remit_check_duration_seconds_bucket');
    expect(labels.length).toBeGreaterThan(0);
    const traces = labels.map((exemplar) => exemplar['trace_id'] ?? '');
    for (const trace of traces) expect(trace).toMatch(/^[0-9a-f]{32}$/);
    expect(traces.some((trace) => traceIds.includes(trace))).toBe(true);
  });

  describe('every query of the dashboards', () => {
    it.each(dashboardQueries.map(({ where, expression }) => [where, expression] as const))(
      'has a series after the story: %s',
      async (_where, expression) => {
        // A rate needs two scrapes after the event.
        let result = await server.query(expression);
        for (let tries = 0; tries < 30 && 'series' in result && result.series.length === 0; tries += 1) {
          if ([...needing.keys()].some((name) => expression.includes(name))) break;
          await delay(500);
          result = await server.query(expression);
        }
        const metric = [...needing.keys()].find((name) => expression.includes(name));
        const found = 'series' in result ? result.series.length : result.problem;
        if (metric === undefined) expect(found).toBeGreaterThan(0);
        // Here it would be shown: then it is to be taken off the list.
        else expect([metric, needing.get(metric), found]).toEqual([metric, needing.get(metric), 0]);
      },
    );
  });

  it('evaluates every alert rule', async () => {
    const rules = await server.rules();
    expect(Object.fromEntries(rules)).toEqual(Object.fromEntries(alertRules.map(({ alert }) => [alert, 'ok'])));
  });

  it('accepts the alert rules, and they fire when they should and only then', async () => {
    expect(await said(promtool, ['check', 'rules', alertsFile])).toContain(`SUCCESS: ${alertRules.length} rules found`);
    const tests = resolve(import.meta.dirname, 'alerts.test.yaml');
    expect(await said(promtool, ['test', 'rules', tests])).toMatch(/SUCCESS\s*$/);
  });
});
