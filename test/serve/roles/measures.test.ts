import { describe, expect, it } from '@jest/globals';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { measuredSink } from '../../../src/serve/ledger/measured-sink.ts';
import { UNSEALED } from '../../../src/core/order/unsealed.ts';
import { countedLoad, measureStops } from '../../../src/serve/roles/measures.ts';
import { newMetrics } from '../../../src/core/telemetry/metrics/metrics.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';

const counting = () => {
  const metrics = newMetrics();
  const clock = { nowMs: 0 };
  const lines = () => metrics.scrape('text').body.split('\n');
  return { at: { metrics, ports: { monotonicMs: () => clock.nowMs, nowMs: () => clock.nowMs } }, clock, lines };
};

const setOf = (
  hash: string,
  slices: number,
  untilMs: Readonly<Record<string, number>> = {},
  policies: readonly Partial<PolicySet['policies'][number]>[] = [],
) =>
  ({
    hash,
    policies,
    observed: Object.entries(untilMs).map(([id, until]) => ({ id, untilMs: until })),
    sizes: () => ({ slices, parsed: { slices: 2, policies: 5 }, cached: { allows: 7, denials: 1 } }),
  }) as unknown as PolicySet;

describe('measuredSink', () => {
  it('times each commit and counts those that failed', async () => {
    const { at, clock, lines } = counting();
    const answers = [null, { code: 'full', detail: 'no room' }];
    const sink = measuredSink(
      {
        appendRecords: () => {
          clock.nowMs += 20;
          return answers.shift() ?? null;
        },
      },
      at,
    );
    expect([await sink.appendRecords([]), await sink.appendRecords([])]).toEqual([
      null,
      { code: 'full', detail: 'no room' },
    ]);
    expect(lines()).toContain('remit_ledger_write_duration_seconds_sum 0.04');
    expect(lines()).toContain('remit_ledger_failures_total 1');
  });
});

describe('measureStops', () => {
  it('counts the stops in force by kind, and those that no authority wrote', () => {
    const { at, lines } = counting();
    measureStops(at.metrics, { list: [stopOrder(), stopOrder({ by: UNSEALED }), observeOrder({ by: UNSEALED })] });
    expect(lines()).toContain('remit_stops{kind="agent"} 2');
    expect(lines()).toContain('remit_stops_unsealed 1');
    measureStops(at.metrics, { list: [] });
    expect(lines()).toContain('remit_stops{kind="agent"} 0');
    expect(lines()).toContain('remit_stops_unsealed 0');
  });
});

describe('countedLoad', () => {
  it('shows the set in force with its age, and counts a load that failed', async () => {
    const { at, clock, lines } = counting();
    const finding = { file: 'a.cedar', line: 1, column: 1, message: 'wrong', help: null };
    const loads = [setOf('sha-256:one', 3), { findings: [finding] }, setOf('sha-256:two', 4)];
    const load = countedLoad(() => Promise.resolve(loads.shift() ?? { findings: [] }), at);
    expect(lines().join('\n')).not.toContain('remit_policy_age');
    await load();
    clock.nowMs = 7_000;
    expect(await load()).toEqual({ findings: [finding] });
    expect(lines()).toContain('remit_policy_info{hash="sha-256:one"} 1');
    expect(lines()).toContain('remit_policy_age_seconds 7');
    expect(lines()).toContain('remit_policy_load_failures_total 1');
    expect(lines()).toContain('remit_policy_slices{state="known"} 3');
    expect(lines()).toContain('remit_policy_slices{state="parsed"} 2');
    expect(lines()).toContain('remit_policies_parsed 5');
    expect(lines()).toContain('remit_cache_entries{cache="allow"} 7');
    expect(lines()).toContain('remit_cache_entries{cache="deny"} 1');
    await load();
    expect(lines()).toContain('remit_policy_slices{state="known"} 4');
    expect(lines()).toContain('remit_policy_age_seconds 0');
    expect(lines()).not.toContain('remit_policy_info{hash="sha-256:one"} 1');
  });

  it('shows what is observed until when, by entry, and no more of an entry that has ended or is gone', async () => {
    const { at, clock, lines } = counting();
    const loads = [setOf('sha-256:one', 1, { legacy: 5_000_000, old: 1_000 }), setOf('sha-256:two', 1)];
    const load = countedLoad(() => Promise.resolve(loads.shift() ?? { findings: [] }), at);
    expect(lines()).toContain('remit_observe_entries 0');
    await load();
    expect(lines()).toContain('remit_observe_entries 2');
    expect(lines()).toContain('remit_observe_entry_until_timestamp_seconds{entry="legacy"} 5000');
    clock.nowMs = 1_000;
    expect(lines()).toContain('remit_observe_entries 1');
    expect(lines().join('\n')).not.toContain('entry="old"');
    await load();
    expect(lines()).toContain('remit_observe_entries 0');
    expect(lines().join('\n')).not.toContain('entry="legacy"');
  });

  it('shows when permits end, the first 100, and nothing of one that has ended (issue 43, point 4)', async () => {
    const { at, clock, lines } = counting();
    const shown = () => lines().filter((line) => line.startsWith('remit_policy_permit_until_timestamp_seconds{'));
    const many = Array.from({ length: 150 }, (_, n) => ({ id: `p${n}`, shadow: false, untilMs: 200_000 - n * 1_000 }));
    const others = [
      { id: 'always', shadow: false },
      { id: 'tried', shadow: true, untilMs: 5_000 },
    ];
    const load = countedLoad(() => Promise.resolve(setOf('sha-256:one', 1, {}, [...others, ...many])), at);
    await load();
    expect(shown()).toHaveLength(100);
    expect(shown()).toContain('remit_policy_permit_until_timestamp_seconds{policy="p149"} 51');
    clock.nowMs = 199_000;
    expect(shown()).toEqual(['remit_policy_permit_until_timestamp_seconds{policy="p0"} 200']);
  });
});
