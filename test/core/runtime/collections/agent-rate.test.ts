import { describe, expect, it } from '@jest/globals';
import { AgentRate } from '../../../../src/core/runtime/collections/agent-rate.ts';

const taken = (rate: AgentRate, agent: string, tries: number) =>
  Array.from({ length: tries }, () => rate.take(agent)).filter(Boolean).length;

describe('AgentRate', () => {
  const clock = { nowMs: 0 };
  const monotonicMs = () => clock.nowMs;

  it('limits each agent independently of others', () => {
    const rate = new AgentRate({ perSecond: 10, monotonicMs });
    expect(taken(rate, 'a', 50)).toBe(10);
    expect(taken(rate, 'b', 5)).toBe(5);
    clock.nowMs += 500;
    expect(taken(rate, 'a', 50)).toBe(5);
    expect(taken(rate, 'b', 50)).toBe(10);
    clock.nowMs += 60_000;
    expect(taken(rate, 'a', 50)).toBe(10);
  });

  it('drops the least recently seen agent at its bound', () => {
    const rate = new AgentRate({ perSecond: 1, monotonicMs, maxAgents: 2 });
    expect([rate.take('a'), rate.take('b'), rate.take('a'), rate.take('c')]).toEqual([true, true, false, true]);
    expect([rate.take('a'), rate.take('b')]).toEqual([false, true]);
  });
});
