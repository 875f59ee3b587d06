import { describe, expect, it } from '@jest/globals';
import { DroppedSpans } from '../../../../src/core/telemetry/spans/dropped-spans.ts';

describe('DroppedSpans', () => {
  it('counts each, and logs at once, then once a minute', () => {
    const said: string[] = [];
    const timers: (() => void)[] = [];
    const dropped = new DroppedSpans({
      log: (line) => said.push(line),
      after: (delayMs, run) => {
        expect(delayMs).toBe(60_000);
        timers.push(run);
        return () => undefined;
      },
    });
    for (let n = 0; n < 5; n += 1) dropped.add('allows', 2, 'full');
    expect(said).toEqual(['spans: 2 dropped of `allows`: its queue is full']);
    timers.shift()?.();
    dropped.add('denials', 1, 'failed');
    expect([dropped.count('allows'), dropped.count('denials')]).toEqual([10, 1]);
    dropped.close();
    expect(said.slice(1)).toEqual([
      'spans: 8 dropped of `allows`: its queue is full',
      'spans: 1 dropped of `denials`: the collector rejected them',
    ]);
  });
});
