import { beforeAll, describe, expect, it } from '@jest/globals';
import { runObserve } from '../../../src/cli/observe.ts';
import { writeBundle, writeCredential } from '../../../src/dev/authority.ts';
import { startBench } from '../../authority/issuer/bench.ts';
import type { Bench } from '../../authority/issuer/bench.ts';
import { commandRun } from '../../builders/command-run.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

const folder = testFolders(() => bench.close());
const operatorId = 'spiffe://acme.test/ns/ops/sa/desk';
const AGENTS = 'spiffe://acme.test/ns/agents/*';
let bench: Bench;
let place: readonly string[];
let isEnforced = true;

beforeAll(async () => {
  const at = folder();
  bench = await startBench(at, {
    settings: { emergencyOperators: new Set([mustSpiffeId(operatorId)]) },
    enforcement: {
      enforced: async () => ({ enforced: isEnforced, holders: 2, acknowledged: 2, fenced: 0 }),
      monotonicMs: () => 0,
    },
  });
  const bundle = await writeBundle(at, 'bundle', bench.authority);
  const { certificate, key } = await writeCredential(at, 'desk', await bench.authority.svid('/ns/ops/sa/desk'));
  await writeCredential(at, 'planner', bench.planner);
  const issuerId = 'spiffe://acme.test/ns/remit/sa/issuer';
  place = ['--issuer', `https://localhost:${bench.port}`, '--issuer-id', issuerId, '--bundle', bundle];
  place = [...place, '--svid-cert', certificate, '--svid-key', key];
});

const ranObserve = (...args: readonly string[]) => commandRun(runObserve, args, { progress: () => undefined });

const start = (...args: readonly string[]) => ranObserve('start', ...args, ...place);

/** Issue 41, point 7. */
describe('remit observe start, end and emergencies', () => {
  it('start an emergency, list it and end it, and print how many sidecars know it', async () => {
    const started = await start('--agents', AGENTS, '--servers', 'payments', '--minutes', '30', '--because', 'INC-42');
    expect(started.err).toEqual([]);
    expect(started.code).toBe(0);
    const [first = '', receipt, next = ''] = started.out;
    expect(first).toMatch(
      /^emergency [0-9a-f]{16}: spiffe:\/\/acme\.test\/ns\/agents\/\* at payments is only observed until 20\d\d-/,
    );
    expect(receipt).toBe('enforced after 0 ms: 2 sidecars held it, 2 acknowledged, the lease of 0 ran out');
    const id = /remit observe end ([0-9a-f]{16})$/.exec(next)?.[1] ?? '';
    const listed = await ranObserve('emergencies', ...place);
    expect(listed.out.join('\n')).toMatch(new RegExp(`${id} .*at payments .*${operatorId} +INC-42`));
    expect(await ranObserve('end', id, '--because', ' ', ...place)).toMatchObject({ code: 2 });
    const ended = await ranObserve('end', id, '--because', 'INC-42 is over', ...place);
    const notes = must(bench.store.outbox(0, 100)).map(({ bytes }) => Buffer.from(bytes).toString('utf8'));
    expect(notes.filter((text) => text.includes('"INC-42 is over"'))).toHaveLength(1);
    expect(ended.out[0]).toBe(`emergency ${id} has ended: its calls are enforced`);
    expect((await ranObserve('emergencies', ...place)).out).toEqual(['no emergency is in force']);
    expect(await ranObserve('end', id, ...place)).toMatchObject({
      code: 1,
      err: ['remit observe end: not_found: there is no emergency with this id in force'],
    });
  });

  it('print JSON with --json', async () => {
    const { out } = await start('--agents', '*', '--servers', 'payments', '--because', 'INC-43', '--json');
    const { id, enforcement } = JSON.parse(out[0] ?? '');
    expect(enforcement).toEqual({ enforced: true, holders: 2, acknowledged: 2, fenced: 0, ms: 0 });
    const listed = await ranObserve('emergencies', ...place, '--json');
    expect(JSON.parse(listed.out[0] ?? '')).toMatchObject([{ id, agents: ['*'], because: 'INC-43' }]);
    expect((await ranObserve('end', id, ...place)).code).toBe(0);
  });

  it('exit with 1 if sidecars may not know it yet: it is in force all the same', async () => {
    isEnforced = false;
    const started = await start('--agents', AGENTS, '--because', 'INC-44');
    isEnforced = true;
    expect([started.code, started.err]).toEqual([
      1,
      ['remit observe start: sidecars may still decide by the older state'],
    ]);
    expect(must(bench.store.ordersInForce()).list).toHaveLength(1);
    const [, id = ''] = /^emergency ([0-9a-f]{16})/.exec(started.out[0] ?? '') ?? [];
    expect((await ranObserve('end', id, ...place)).code).toBe(0);
  });

  it('exit with 1 for an identity that may not, and say who may', async () => {
    const planner = place.map((word) => word.replace(/desk\.(pem|key)$/, 'planner.$1'));
    const refused = await ranObserve('start', '--agents', AGENTS, '--because', 'x', ...planner);
    expect(refused).toMatchObject({
      code: 1,
      err: [
        'remit observe start: access_denied: emergencies are for the workloads of enforcement.emergency.operators alone',
      ],
    });
  });

  it.each([
    [[], /--agents is required/],
    [['--agents', AGENTS], /--because is required/],
    [['--agents', AGENTS, '--because', 'x', '--minutes', '90m'], /--minutes must be 1 to 60/],
    [['--agents', AGENTS, '--because', 'x', '--minutes', '61'], /minutes/],
    [['--agents', '*', '--because', 'x'], /are all, at every server/],
    [['--agents', AGENTS, '--servers', 'paymets', '--because', 'x'], /paymets is neither in the catalog nor a host/],
  ])('%j is bad use', async (words, why) => {
    const refused = await start(...words);
    expect([refused.code, refused.out]).toEqual([2, []]);
    expect(refused.err.join('\n')).toMatch(why);
  });

  it('say how to name the issuer and the SVID', async () => {
    const refused = await ranObserve('start', '--agents', AGENTS, '--because', 'x');
    expect(refused).toMatchObject({ code: 2, err: [expect.stringContaining('--issuer URL is required')] });
  });
});
