import { describe, expect, it } from '@jest/globals';
import { reasons } from '../../../../src/core/decision/reasons.ts';
import type { CheckToTrace } from '../../../../src/sidecar/check/trace/check-to-trace.ts';
import { MAX_WAITS, TraceWaits } from '../../../../src/sidecar/check/trace/trace-waits.ts';
import type { TraceFilter } from '../../../../src/sidecar/check/trace/trace-filter.ts';
import type { TracedCheck } from '../../../../src/sidecar/check/trace/traced-check.ts';

const refused = { decisionId: 'd-1', reason: 'check.deadline', cause: 'queue', atMs: 5 } as const;

const withWaits = () => {
  const faults: unknown[] = [];
  const waits = new TraceWaits(
    (text) => text,
    (error) => void faults.push(error),
  );
  const begun = (filter: TraceFilter = {}) => {
    const lines: string[] = [];
    const stop = waits.begin({ filter, onLine: (line) => lines.push(line) });
    return { lines, stop: stop === 'full' ? () => undefined : stop, isFull: stop === 'full' };
  };
  return { waits, begun, faults };
};

describe('TraceWaits', () => {
  it('takes four subscriptions, and another when a subscription has ended', () => {
    const { waits, begun } = withWaits();
    expect(waits.isAwaited).toBe(false);
    const all = Array.from({ length: MAX_WAITS }, () => begun());
    expect([all.some(({ isFull }) => isFull), begun().isFull]).toEqual([false, true]);
    all[0]?.stop();
    all[0]?.stop();
    expect([begun().isFull, begun().isFull]).toEqual([false, true]);
  });

  it('is awaited until the last subscription has left', () => {
    const { waits, begun } = withWaits();
    const [one, two] = [begun(), begun()];
    one.stop();
    expect(waits.isAwaited).toBe(true);
    two.stop();
    expect(waits.isAwaited).toBe(false);
  });

  it('tells of a check that was refused unread to those who want it: a denial with its cause', () => {
    const { waits, begun } = withWaits();
    const wanting = [begun(), begun({ reason: 'check.*' }), begun({ decision: 'deny' })];
    const others = [begun({ agent: '*' })];
    waits.refused(refused);
    for (const { lines } of others) expect(lines).toEqual([]);
    const { httpStatus, text } = reasons['check.deadline'];
    for (const { lines } of wanting) {
      expect(lines.map((line) => JSON.parse(line) as TracedCheck)).toEqual([
        {
          decisionId: 'd-1',
          traceId: null,
          atMs: 5,
          decision: 'deny',
          reason: 'check.deadline',
          totalMs: 0,
          stages: [
            {
              name: 'answer',
              result: 'denied',
              ms: null,
              details: [
                ['decision', 'd-1'],
                ['answered', `${httpStatus} check.deadline: ${text}`],
                ['cause', 'refused before it was read or decided: queue'],
              ],
            },
          ],
        },
      ]);
    }
  });

  it('tells nothing to a subscription that is over', () => {
    const { waits, begun } = withWaits();
    const { lines, stop } = begun();
    stop();
    waits.refused(refused);
    expect(lines).toEqual([]);
  });

  it('lets no fault of a trace reach the check', () => {
    const { waits, begun, faults } = withWaits();
    begun();
    waits.checked({} as CheckToTrace);
    expect(faults).toEqual([expect.any(TypeError)]);
  });
});
