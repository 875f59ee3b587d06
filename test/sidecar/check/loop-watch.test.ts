import { describe, expect, it } from '@jest/globals';
import { LONG_TURN_MS, LoopWatch } from '../../../src/sidecar/check/loop-watch.ts';
import type { LongTurn } from '../../../src/sidecar/check/loop-watch.ts';

function watched() {
  const clock = { nowMs: 0 };
  const told: LongTurn[] = [];
  const counted: string[] = [];
  const watch = new LoopWatch({
    monotonicMs: () => clock.nowMs,
    onLong: (stage) => counted.push(stage),
    tell: (turn) => told.push(turn),
  });
  return { clock, told, counted, watch };
}

/** Issue 37, point 1: checks that held the event loop for seconds were in no metric and in no log. */
describe('LoopWatch', () => {
  it('reports a long turn with its stage and decision id, and no short turn', () => {
    const { watch, told, counted } = watched();
    watch.held('decide', LONG_TURN_MS, 'a');
    watch.held('read', LONG_TURN_MS + 1, 'b');
    expect(told).toEqual([{ stage: 'read', tookMs: LONG_TURN_MS + 1, decisionId: 'b', suppressed: 0 }]);
    expect(counted).toEqual(['read']);
  });

  it('counts each, and reports one a second with the number of the others', () => {
    const { clock, watch, told, counted } = watched();
    for (const nowMs of [0, 10, 999, 1_000]) {
      clock.nowMs = nowMs;
      watch.held('read', 80, String(nowMs));
    }
    expect(counted).toHaveLength(4);
    expect(told.map(({ decisionId, suppressed }) => [decisionId, suppressed])).toEqual([
      ['0', 0],
      ['1000', 2],
    ]);
  });

  it('knows the longest of the last one to two minutes, short turns too', () => {
    const { clock, watch } = watched();
    watch.held('read', 3, null);
    watch.held('report', 2, null);
    expect(watch.longestMs).toBe(3);
    clock.nowMs = 61_000;
    watch.held('read', 1, null);
    expect(watch.longestMs).toBe(3);
    clock.nowMs = 122_000;
    expect(watch.longestMs).toBe(1);
    clock.nowMs = 600_000;
    expect(watch.longestMs).toBe(0);
  });
});
