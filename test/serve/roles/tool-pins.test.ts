import { describe, expect, it } from '@jest/globals';
import { newMetrics } from '../../../src/core/telemetry/metrics/metrics.ts';
import { measuredLists } from '../../../src/serve/roles/tool-pins.ts';

const of = (mail: number, tools: number) => [
  [expect.stringContaining('server="mail"'), mail],
  [expect.stringContaining('server="tools"'), tools],
];

describe('measuredLists', () => {
  it('measures how long the list of each server is overdue, from the start if there was none', () => {
    const metrics = newMetrics();
    let nowMs = 1_000_000;
    const place = { url: 'https://tools.acme.test/mcp', ca: 'bundle', id: null };
    const servers = [
      { server: 'mail', ...place },
      { server: 'tools', ...place },
    ];
    const onListed = measuredLists({ metrics, ports: { nowMs: () => nowMs } }, { everySeconds: 300, servers });
    const overdue = (): readonly (readonly [string, number])[] => {
      metrics.read();
      return metrics.toolPinsOverdue.samples().map(({ labels, value }) => [labels, Math.round(value)] as const);
    };
    nowMs += 330_000;
    expect(overdue()).toEqual(of(0, 0));
    nowMs += 60_000;
    onListed('mail');
    expect(overdue()).toEqual(of(0, 60));
    nowMs += 400_000;
    expect(overdue()).toEqual(of(70, 460));
  });
});
