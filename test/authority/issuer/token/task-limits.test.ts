import { afterEach, describe, expect, it } from '@jest/globals';
import type { Limit } from '../../../../src/core/limit/limit.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { must } from '../../../builders/must.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { type Answer, type Bench, startBench } from '../bench.ts';

const MINUTE = 60_000;
const folder = testFolders();

const limit = (of: Partial<Limit>): Limit => ({
  id: 'a-minute',
  agents: ['spiffe://acme.test/ns/agents/*'],
  actions: null,
  per: ['agent'],
  windowMs: MINUTE,
  measures: [{ of: 'tasks', max: 2 }],
  effect: 'deny',
  place: { file: 'limits.yaml', line: 2, column: 5 },
  ...of,
});
const open = (of: Partial<Limit> = {}): Limit =>
  limit({ id: 'open', windowMs: null, measures: [{ of: 'openTasks', max: 1 }], ...of });

let bench: Bench;
afterEach(() => bench.close());
/** It stands still, so that no window ends meanwhile. */
let nowMs = Date.now();
const start = async (...taskLimits: readonly Limit[]): Promise<void> => {
  bench = await startBench(folder(), { ports: { ...systemPorts, nowMs: () => nowMs }, taskLimits });
};
const statuses = (answers: readonly Answer[]): readonly number[] => answers.map(({ status }) => status);
const tokenOf = ({ json }: Answer): string => String(json['access_token']);

describe('limits over all tasks, at the issuer', () => {
  it('bound the tasks that an agent declares in a window, and refuse with the reason, recorded', async () => {
    await start(limit({}));
    const first = await bench.token();
    expect(statuses([first, await bench.token()])).toEqual([200, 200]);
    const refused = await bench.token();
    const ends = new Date((Math.floor(nowMs / MINUTE) + 1) * MINUTE).toISOString().replace('.000Z', 'Z');
    expect(refused).toMatchObject({
      status: 403,
      json: {
        error: 'access_denied',
        reason: 'limit.exceeded',
        next: 'ask_person',
        error_description: `limit \`a-minute\` allows 2 declared tasks: not before ${ends}`,
      },
    });
    expect(bench.refusals.at(-1)).toMatchObject({ kind: 'intent', decision: 'deny', reason: 'limit.exceeded' });
    // Further tokens of a task declare nothing, and other agents have counters of their own.
    expect(statuses([await bench.exchange(tokenOf(first)), await bench.token({}, bench.reporter)])).toEqual([200, 200]);
    nowMs += MINUTE;
    expect((await bench.token()).status).toBe(200);
  });

  it('count all that are declared at once exactly', async () => {
    await start(limit({ per: [], measures: [{ of: 'tasks', max: 3 }] }));
    const answers = await Promise.all(Array.from({ length: 12 }, () => bench.token()));
    expect(statuses(answers).filter((status) => status === 200)).toHaveLength(3);
  });

  it('bound the tasks that are open, until one of them ends', async () => {
    await start(open());
    const first = await bench.token();
    expect([first.status, (await bench.token()).json]).toMatchObject([
      200,
      { reason: 'limit.exceeded', error_description: 'limit `open` allows 1 open tasks: not before a task ends' },
    ]);
    expect((await bench.token({}, bench.reporter)).status).toBe(200);
    const id = String(first.json['txn']);
    expect((await bench.ask(`/tasks/${id}/complete`, { method: 'POST' })).status).toBe(200);
    expect((await bench.token()).status).toBe(200);
  });

  it('are shown to operators alone', async () => {
    const operatorId = mustSpiffeId('spiffe://acme.test/ns/ops/sa/operator');
    bench = await startBench(folder(), {
      ports: { ...systemPorts, nowMs: () => nowMs },
      taskLimits: [limit({})],
      settings: { operators: new Set([operatorId]) },
    });
    const operator = await bench.authority.svid('/ns/ops/sa/operator');
    expect((await bench.ask('/limits', { as: operator })).json).toEqual({ limits: [] });
    expect((await bench.token()).status).toBe(200);
    const startsMs = Math.floor(nowMs / MINUTE) * MINUTE;
    expect((await bench.ask('/limits', { as: operator })).json).toEqual({
      limits: [
        {
          limit: 'a-minute',
          counts: 'tasks',
          who: ['spiffe://acme.test/ns/agents/sa/planner'],
          max: 2,
          used: 1,
          left: 1,
          starts: new Date(startsMs).toISOString(),
          ends: new Date(startsMs + MINUTE).toISOString(),
        },
      ],
    });
    expect((await bench.ask('/limits')).status).toBe(403);
  });

  it('stop the agent if they say so, and issue nothing to it from then on', async () => {
    await start(open({ effect: 'stop' }));
    const first = await bench.token();
    expect((await bench.token()).json).toMatchObject({ reason: 'limit.exceeded' });
    expect(must(bench.store.ordersInForce()).list).toMatchObject([
      {
        of: 'stop',
        kind: 'agent',
        what: 'spiffe://acme.test/ns/agents/sa/planner',
        by: 'remit',
        because: 'limit open',
      },
    ]);
    expect((await bench.exchange(tokenOf(first))).json).toMatchObject({ reason: 'stopped.agent', next: 'stop' });
    expect((await bench.token({}, bench.reporter)).status).toBe(200);
  });
});
