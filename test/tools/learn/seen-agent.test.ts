import { describe, expect, it } from '@jest/globals';
import { Room } from '../../../src/tools/learn/seen/room.ts';
import { SeenAgent } from '../../../src/tools/learn/seen/seen-agent.ts';
import { Observations } from '../../../src/tools/learn/seen/observations.ts';
import { learntCallFrom } from '../../../src/tools/learn/learnt-call.ts';
import type { LearntCall } from '../../../src/tools/learn/learnt-call.ts';
import { observedUse } from './learning.ts';

const DAY_MS = 86_400_000;
const agent = 'spiffe://acme.test/ns/a/sa/one';
const span = { fromMs: 0, toMs: DAY_MS };

function callOf(change: Parameters<typeof observedUse>[0]): LearntCall {
  const call = learntCallFrom(JSON.parse(JSON.stringify(observedUse(change))));
  if (typeof call === 'string' || 'left' in call) throw new Error('the record teaches nothing');
  return call;
}

// Issue 41, bad input: what is kept of a hostile ledger is bounded.
describe('SeenAgent', () => {
  it.each([
    ['as many tasks at once as there is room for', new Room(), 20],
    ['one task at a time without room', new Room(0), 1],
  ])('counts the calls of %s', (_what, room, most) => {
    const seen = new SeenAgent(agent, span);
    for (let n = 0; n < 20; n += 1) for (const task of ['a', 'b', 'c']) seen.add(callOf({ agent, task, at: n }), room);
    expect(seen.mostCalls).toBe(most);
  });

  it('takes room for the hours that it counts, and is left out without room for them', () => {
    const long = new SeenAgent(agent, { fromMs: 0, toMs: 90 * DAY_MS });
    expect(long.bytes).toBeGreaterThan(new SeenAgent(agent, span).bytes + 8_000);
    const seen = new Observations({ fromMs: 0, toMs: 10_000 * DAY_MS });
    const names = Array.from({ length: 20_000 }, (_, n) => `spiffe://acme.test/ns/a/sa/${n}`);
    for (const name of names) seen.add(callOf({ agent: name, at: 1, path: '/orders' }));
    expect(seen.agents.size).toBeLessThan(5_001);
    expect([...seen.left.keys()]).toEqual([expect.stringContaining('of more agents than there is room for')]);
  });
});
