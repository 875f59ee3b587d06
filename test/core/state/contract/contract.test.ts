import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { uuidV7 } from '../../../../src/core/decision/uuid.ts';
import type { LimitSpend } from '../../../../src/core/limit/limit-spend.ts';
import type { TaskSpend } from '../../../../src/core/state/spend.ts';
import type { UseState } from '../../../../src/core/state/store-reader.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { allowedUse, endRecord } from '../../../builders/ledger-record.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { must, mustFind } from '../../../builders/must.ts';
import { byOperator, isExhausted, issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { commands, newModel, settleAll, TASKS } from './model.ts';
import type { Real } from './model.ts';
import { describeEach } from './each-implementation.ts';
import type { OpenedState } from './implementations.ts';
import { drawn } from '../../../drawn.ts';
import { thoroughly } from '../../../thoroughly.ts';

// Threads and processes start here, which is slow on a loaded machine.

const key = { issuer, id: taskNumber(1).id };
const exhausted = (used: number, limit: number) => ({ problem: 'exhausted', budget: { limit, used } });
const calls = (limit: number, count = 1): readonly TaskSpend[] => [{ kind: 'calls', limit, count }];
const use = (decisionId: string, spends: readonly TaskSpend[] = calls(9)) => ({
  decisionId,
  key,
  jtiDigest: 'digest-1',
  spends,
});

const recorded = (id: string) => ({ ...use(id, calls(1)), record: allowedUse(1, 2_000, 'allow', id) });

const lookAt = async ({ look }: OpenedState): Promise<UseState> => mustFind(await look(key, 'digest-1'));
const stateOf = async (state: OpenedState): Promise<string> => (await lookAt(state)).task.state;
const entry = (version: number, action: string) => ({ version, action, labels: ['pii'] });
const loan = (to: string, amount: number) => ({ counts: 'calls', name: '', to, amount });
const handed = (count: number) => ({ jtiDigest: 'digest-1', spends: calls(5, count) });

/** The places of a token that was used from one node. */
const node = (address: string | null) => ({
  traces: [7],
  places: { address, certificate: 'c', connections: [], servers: ['payments'], risks: ['low'] },
});

/** A process that may serve one audience. */
const serving = (audience: string) => ({ name: 'one', audiences: [audience] });

describeEach('contract of the state', ({ name, open, place, spent, outbox, settled, age }) => {
  let nowMs = 1_000;
  const clock = agreeing(() => nowMs);

  /** A state with tasks 1 to 3, each with a token of its number. */
  async function opened(): Promise<{ file: string; state: OpenedState }> {
    nowMs = 1_000;
    const file = await place();
    const state = await open(file, clock);
    for (const n of TASKS) expect(await state.authority.insertTask(taskNumber(n), tokenNumber(n), [])).toBeNull();
    return { file, state };
  }

  it('runs the calls of one turn in order, and shows each to every look after its promise resolved', async () => {
    const { state, file } = await opened();
    const { authority, settling } = state;
    const seen: unknown[] = [];
    const answers = await Promise.all([
      settling.settle(use('d-1')),
      authority.applyTaskEvent(key, byOperator('suspend'), 'operator').then(async (end) => {
        seen.push(await stateOf(state));
        return end;
      }),
      settling.settle(use('d-2')),
      authority.applyTaskEvent(key, byOperator('complete'), 'operator'),
      authority.insertToken(key, { ...tokenNumber(8), generation: 1 }, []),
    ]);
    expect(answers).toMatchObject([
      null,
      { changed: true, task: { state: 'suspended' } },
      'ended',
      { changed: true, task: { state: 'completed' } },
      { code: 'conflict', detail: 'the task is `completed`' },
    ]);
    // Other calls of the turn may also be on disk by then.
    expect(['suspended', 'completed']).toContain(seen[0]);
    expect(await stateOf(state)).toBe('completed');
    expect(await authority.taskOf(issuer, key.id)).toMatchObject({ state: 'completed' });
    expect(await spent(file, key.id)).toBe(1);
    await state.close();
  });

  it('settles a decision once, however often it is sent, with the same answer', async () => {
    const { state, file } = await opened();
    const { settling } = state;
    const twice = await Promise.all([settling.settle(use('d-1', calls(1))), settling.settle(use('d-1', calls(1)))]);
    expect(twice).toEqual([null, null]);
    expect(await settling.settle(use('d-1', calls(1)))).toBeNull();
    expect(await settling.settle(use('d-2', calls(1)))).toEqual(exhausted(1, 1));
    expect(await settling.settle(use('d-2', calls(1)))).toEqual(exhausted(1, 1));
    await state.authority.applyTaskEvent(key, byOperator('complete'), 'operator');
    expect(await settling.settle(use('d-1', calls(1)))).toBeNull();
    expect(await spent(file, key.id)).toBe(1);
    await state.close();
  });

  it('remembers no use that changes nothing, which is judged again if it is sent again (issue 37, point 7)', async () => {
    const { state, file } = await opened();
    const { settling } = state;
    const nothing = { decisionId: 'd-1', key, jtiDigest: 'digest-1', spends: [] };
    const checked = { ...nothing, decisionId: 'd-2', entry: { version: 0, action: '', labels: [] } };
    const zero = {
      ...nothing,
      decisionId: 'd-3',
      spends: [{ kind: 'amount', name: 'a', amount: 0, limit: 5 }] as const,
    };
    for (const use of [nothing, checked, zero]) expect(await settling.settle(use)).toBeNull();
    expect(await settled(file)).toBe(0);
    const added = { ...nothing, decisionId: 'd-4', entry: entry(0, 'a.read') };
    expect([await settling.settle(added), await settled(file)]).toEqual([null, 1]);
    const known = { ...nothing, decisionId: 'd-5', entry: entry(1, 'a.read') };
    expect([await settling.settle(known), await settled(file)]).toEqual([null, 1]);
    const kept = { ...nothing, decisionId: 'd-6', record: allowedUse(1, 2_000, 'allow', 'd-6') };
    for (let n = 0; n < 2; n += 1) expect(await settling.settle(kept)).toBeNull();
    expect([await settled(file), (await outbox(file)).length]).toEqual([2, 1]);
    await state.authority.applyTaskEvent(key, byOperator('complete'), 'operator');
    expect(await Promise.all([nothing, checked, zero, known].map((use) => settling.settle(use)))).toEqual(
      Array.from({ length: 4 }, () => 'ended'),
    );
    // Those did their work, and are answered as before.
    expect([await settling.settle(added), await settling.settle(kept)]).toEqual([null, null]);
    await state.close();
  });

  it('sums decimals exactly, and says that they are some (issue 37, point 19)', async () => {
    const { state } = await opened();
    const { settling } = state;
    const tenth: readonly TaskSpend[] = [{ kind: 'decimal', name: 'price', amount: 1_000, limit: 3_000 }];
    expect(await settling.settle(use('d-1', tenth))).toBeNull();
    expect(await settling.settle(use('d-2', tenth))).toBeNull();
    expect(await settling.settle(use('d-3', [{ kind: 'amount', name: 'price', amount: 1, limit: 1 }]))).toBeNull();
    expect(await settling.settle(use('d-4', tenth))).toBeNull();
    const least: readonly TaskSpend[] = [{ kind: 'decimal', name: 'price', amount: 1, limit: 3_000 }];
    expect(await settling.settle(use('d-5', least))).toEqual({
      problem: 'exhausted',
      budget: { limit: 3_000, used: 3_000, decimal: true },
    });
    await state.close();
  });

  it('gives back what a use took, once', async () => {
    const { state, file } = await opened();
    const { settling } = state;
    expect(await settling.settle(use('d-1', calls(9, 3)))).toBeNull();
    expect(await settling.settle(use('d-2', calls(9, 2)))).toBeNull();
    const back = (id: string, count: number) => settling.giveBack(use(id, calls(9, count)));
    expect(await Promise.all([back('d-1', 3), back('d-1', 3), back('d-9', 1)])).toEqual([true, false, false]);
    expect(await back('d-1', 3)).toBe(false);
    expect(await spent(file, key.id)).toBe(2);
    // The decision stays settled: sent again, it takes nothing.
    expect(await settling.settle(use('d-1', calls(9, 3)))).toBeNull();
    expect(await spent(file, key.id)).toBe(2);
    await state.close();
  });

  it('gives back to a sidecar what itself took, and exactly that (issue 37, point 14)', async () => {
    const { state, file } = await opened();
    const { settling } = state;
    const [one, two] = ['spiffe://acme.test/one', 'spiffe://acme.test/two'];
    const other = { issuer, id: taskNumber(2).id };
    expect(await settling.settle({ ...use('d-1', calls(9, 3)), by: one })).toBeNull();
    expect(await settling.settle({ ...use('d-2', calls(9, 2)), by: two })).toBeNull();
    expect(await settling.settle(use('d-3', calls(9, 1)))).toBeNull();
    for (const wrong of [
      { ...use('d-1', calls(9, 3)), by: two },
      { ...use('d-1', calls(9, 4)), by: one },
      { ...use('d-1', [...calls(9, 3), ...calls(9, 3)]), by: one },
      { ...use('d-1', [{ kind: 'amount' as const, name: 'amount', amount: 3, limit: 9 }]), by: one },
      { ...use('d-1', calls(9, 3)), key: other, by: one },
      { ...use('d-1 took', calls(9, 3)), by: one },
      { ...use('d-3', calls(9, 1)), by: one },
    ])
      expect([wrong, await settling.giveBack(wrong)]).toEqual([wrong, false]);
    expect(await spent(file, key.id)).toBe(6);
    // A limit is the authority's.
    expect(await settling.giveBack({ ...use('d-1', calls(99, 3)), by: one })).toBe(true);
    expect(await settling.giveBack({ ...use('d-1', calls(9, 3)), by: one })).toBe(false);
    expect(await spent(file, key.id)).toBe(3);
    await state.close();
  });

  it('lends ahead once, counts it as spent, and takes back at most what it lent, from who has it', async () => {
    const { state, file } = await opened();
    const { settling } = state;
    const [one, two] = ['spiffe://acme.test/one', 'spiffe://acme.test/two'];
    const share = { ...use('d-1', calls(100, 0)), ahead: [50], by: one };
    expect(await settling.settle(share)).toEqual({ lent: [12] });
    expect(await spent(file, key.id)).toBe(12);
    // Its answer may have been lost.
    expect(await settling.settle(share)).toEqual({ lent: [12] });
    expect(await settling.settle({ ...share, by: two })).toBeNull();
    expect(await spent(file, key.id)).toBe(12);
    expect(await settling.settle({ ...use('d-2', calls(100, 1)), ahead: [3] })).toEqual({ lent: [3] });
    expect(await spent(file, key.id)).toBe(16);
    expect(await state.loansOf(key)).toEqual([loan(one, 12), loan('', 3)]);
    const back = (count: number, left: number, by: string) =>
      settling.giveBack({ ...use('d-1', calls(100, count)), left: [left], by });
    expect(await Promise.all([back(12, 5, two), back(11, 5, one), back(13, 5, one)])).toEqual([false, false, false]);
    expect(await settling.giveBack({ ...use('d-1', calls(100, 12)), left: [-5], by: one })).toMatchObject({
      code: 'refused',
    });
    expect(await settling.settle({ ...use('d-3'), ahead: [0.5] })).toMatchObject({ code: 'refused' });
    expect(await back(12, 99, one)).toBe(true);
    expect(await back(12, 99, one)).toBe(false);
    expect(await spent(file, key.id)).toBe(4);
    expect(await state.loansOf(key)).toEqual([loan('', 3)]);
    // Of what one process lent itself, part is spent.
    expect(await settling.giveBack({ ...use('d-2', calls(100, 4)), left: [2] })).toBe(true);
    expect(await spent(file, key.id)).toBe(2);
    await state.close();
  });

  it('takes back what it lent in parts, each once and after those before it, and together no more than it lent', async () => {
    const { state, file } = await opened();
    const { settling } = state;
    const by = 'spiffe://acme.test/one';
    const ofLimit: LimitSpend = {
      kind: 'limit',
      limit: 'a-day',
      measure: 'calls',
      who: '[]',
      windowMs: 86_400_000,
      amount: 0,
      max: 100,
      effect: 'deny',
    };
    const id = uuidV7(nowMs, randomBytes(16));
    const withoutTask = { decisionId: id, key: null, jtiDigest: '', by };
    expect(await settling.settle({ ...use('d-1', calls(100, 0)), ahead: [50], by })).toEqual({ lent: [12] });
    expect(await settling.settle({ ...withoutTask, spends: [ofLimit], ahead: [50] })).toEqual({ lent: [12] });
    const backOf = {
      budget: (left: number, before: number) =>
        settling.giveBack({ ...use('d-1', calls(100, 12)), left: [left], before, by }),
      limit: (left: number, before: number) =>
        settling.giveBack({ ...withoutTask, spends: [{ ...ofLimit, amount: 12 }], left: [left], before }),
    };
    for (const back of Object.values(backOf)) {
      // Before the first part there is no other.
      expect(await back(1, 4)).toBe(false);
      expect(await back(4, 0)).toBe(true);
      expect([await back(4, 0), await back(1, 3), await back(1, 5), await back(0, 4), await back(9, 4)]).toEqual(
        Array.from({ length: 5 }, () => false),
      );
      expect(await back(3, 4)).toBe(true);
      expect([await back(3, 4), await back(1, 4), await back(6, 7)]).toEqual([false, false, false]);
      expect(await Promise.all([back(5, 7), back(5, 7)])).toEqual([true, false]);
      expect([await back(1, 12), await back(12, 0)]).toEqual([false, false]);
      expect(await back(1, -1)).toMatchObject({ code: 'refused' });
    }
    expect([await spent(file, key.id), await state.loansOf(key)]).toEqual([0, []]);
    expect(must(await state.authority.limitUses({})).map(({ used }) => used)).toEqual([0]);
    // What is given back whole has no parts, nor has what is no loan.
    expect(await settling.settle({ ...use('d-2', calls(9, 3)), by })).toBeNull();
    expect(await settling.giveBack({ ...use('d-2', calls(9, 3)), by })).toBe(true);
    expect(await settling.giveBack({ ...use('d-2', calls(9, 3)), left: [1], before: 2, by })).toBe(false);
    await state.close();
  });

  it('gives a use back for ten minutes', async () => {
    const { state, file } = await opened();
    const by = 'spiffe://acme.test/one';
    const id = '0198c0de-0000-7000-8000-000000000000';
    expect(await state.settling.settle({ ...use(id, calls(9, 3)), by })).toBeNull();
    nowMs += 1_800_000;
    await age(file, 3);
    for (let isMore = true; isMore;) ({ isMore } = must(await state.authority.prune(0)));
    expect(await state.settling.giveBack({ ...use(id, calls(9, 3)), by })).toBe(false);
    await state.close();
  });

  it('adds the record of a use with what it takes: once, however often it is sent, and none with a problem', async () => {
    const { state, file } = await opened();
    const { settling } = state;
    expect(await Promise.all([settling.settle(recorded('d-1')), settling.settle(recorded('d-1'))])).toEqual([
      null,
      null,
    ]);
    expect(await settling.settle(recorded('d-1'))).toBeNull();
    expect(await settling.settle(recorded('d-2'))).toMatchObject({ problem: 'exhausted' });
    expect((await outbox(file)).map(({ kind, decisionId }) => [kind, decisionId])).toEqual([['use', 'd-1']]);
    await state.close();
  });

  it('adds the record of a decision that takes nothing once, however often it is sent', async () => {
    const { state, file } = await opened();
    const record = allowedUse(1, 2_000, 'allow', 'd-1');
    const { authority } = state;
    expect(await Promise.all([authority.keepRecord('d-1', record), authority.keepRecord('d-1', record)])).toEqual([
      null,
      null,
    ]);
    expect(await authority.keepRecord('d-1', record)).toBeNull();
    expect((await outbox(file)).map(({ decisionId }) => decisionId)).toEqual(['d-1']);
    await state.close();
  });

  it('restarts the idle time of a task by the record of its use', async () => {
    const { state } = await opened();
    const idling = taskNumber(20, { idleMs: 60_000 });
    expect(await state.authority.insertTask(idling, tokenNumber(20), [])).toBeNull();
    nowMs = 31_000;
    const record = allowedUse(20, 30_000, 'allow', 'd-1');
    const one = { decisionId: 'd-1', key: idling, jtiDigest: 'digest-20', spends: [], record };
    expect(await state.settling.settle(one)).toBeNull();
    expect(await state.authority.taskOf(issuer, idling.id)).toMatchObject({ lastUsedMs: 30_000 });
    await state.close();
  });

  it('settles a decision whose history had changed, once it is decided again', async () => {
    const { state } = await opened();
    expect(await state.settling.settle({ ...use('d-1'), entry: entry(0, 'a.read') })).toBeNull();
    expect(await state.settling.settle({ ...use('d-2'), entry: entry(0, 'b.read') })).toBe('history-changed');
    expect(await state.settling.settle({ ...use('d-2'), entry: entry(1, 'b.read') })).toBeNull();
    expect(await lookAt(state)).toMatchObject({
      history: { version: 2, actions: ['a.read', 'b.read'], labels: ['pii'] },
    });
    await state.close();
  });

  it('remembers decisions for 10 minutes, and forgets them within 30, in bounded steps', async () => {
    const { state, file } = await opened();
    const settled = Array.from({ length: 300 }, (_, n) => state.settling.settle(use(`d-${n}`, calls(300))));
    expect((await Promise.all(settled)).every((one) => one === null)).toBe(true);
    nowMs += 599_999;
    await age(file, 1);
    expect(await state.authority.prune(0)).toEqual({ tasks: 0, isMore: false });
    expect(await state.settling.settle(use('d-299', calls(300)))).toBeNull();
    nowMs += 1_200_001;
    await age(file, 2);
    for (let isMore = true; isMore;) ({ isMore } = must(await state.authority.prune(0)));
    // Its task has ended by then, which only a forgotten decision is told.
    expect(await state.settling.settle(use('d-299', calls(300)))).toBe('ended');
    await state.close();
  });

  it('never takes more than a budget from concurrent calls', async () => {
    const { state, file } = await opened();
    const asked = Array.from({ length: 60 }, (_, n) => state.settling.settle(use(`d-${n}`, calls(10, 1 + (n % 2)))));
    const answers = await Promise.all(asked);
    expect(answers.filter((answer) => answer !== null && !isExhausted(answer))).toEqual([]);
    expect(answers.some(isExhausted)).toBe(true);
    expect(await spent(file, key.id)).toBe(10);
    await state.close();
  });

  it('takes nothing for a use that exceeds one of its budgets', async () => {
    const { state, file } = await opened();
    const both: readonly TaskSpend[] = [
      { kind: 'calls', limit: 5 },
      { kind: 'amount', name: 'eur', amount: 11, limit: 10 },
    ];
    expect(await state.settling.settle(use('d-1', both))).toEqual(exhausted(0, 10));
    expect(await spent(file, key.id)).toBe(0);
    await state.close();
  });

  it('writes nothing of a failed call, and lets it fail no other call of the turn', async () => {
    const { state, file } = await opened();
    const { authority, settling } = state;
    const answers = await Promise.all([
      settling.settle(use('d-1')),
      authority.insertTask(taskNumber(1), tokenNumber(1), [endRecord(1)]),
      settling.settle(use('d-2')),
      authority.insertTask(taskNumber(9), tokenNumber(9), []),
      authority.rememberOnce('signal', 'a\0b', 5_000),
    ]);
    expect(answers).toMatchObject([null, { code: 'conflict' }, null, null, { code: 'refused' }]);
    expect(await spent(file, key.id)).toBe(2);
    expect(await authority.taskOf(issuer, taskNumber(9).id)).toMatchObject({ state: 'active' });
    await state.close();
  });

  it('takes a budget and writes the part it is for, or does neither', async () => {
    const { state, file } = await opened();
    const part = (n: number) => taskNumber(n, { parentId: key.id });
    const { authority } = state;
    const answers = await Promise.all([
      authority.insertPart(part(11), tokenNumber(11), [], handed(3)),
      authority.insertPart(part(12), tokenNumber(12), [], handed(3)),
      authority.insertPart(part(13), tokenNumber(13), [], handed(2)),
    ]);
    expect(answers).toEqual([null, 'exhausted', null]);
    expect(await spent(file, key.id)).toBe(5);
    expect(await authority.taskOf(issuer, part(12).id)).toBeUndefined();
    await state.close();
  });

  it.each<[string, (state: OpenedState) => Promise<unknown>]>([
    ['an end', ({ authority }) => authority.applyTaskEvent(key, byOperator('cancel'), 'operator')],
    ['a suspension', ({ authority }) => authority.applyTaskEvent(key, byOperator('suspend'), 'operator')],
    ['a risk', ({ authority }) => authority.setRisk(key, 'high', causeOf('signal.risk-level-change', ''), 'idp')],
    [
      'a context',
      ({ authority }) => authority.setContext(key, { kind: 'agent', by: taskNumber(1).agent, values: { model: 'b' } }),
    ],
  ])(
    'writes the expiry of a task past its time that it refuses %s, so that no other clock permits it',
    async (_what, change) => {
      const { state } = await opened();
      const part = taskNumber(7, { parentId: key.id });
      expect(await state.authority.insertPart(part, tokenNumber(7), [], handed(1))).toBeNull();
      nowMs = taskNumber(1).deadlineMs + 1;
      expect(await change(state)).toEqual({ problem: 'ended', state: 'expired' });
      for (const id of [key.id, part.id]) {
        expect(await state.authority.taskOf(issuer, id)).toMatchObject({
          state: expect.stringMatching(/^(?:expired|cancelled)$/),
          endedAtMs: expect.any(Number),
        });
      }
      await state.close();
    },
  );

  it('refuses to resume a part by the state of its parent, whatever that is', async () => {
    const { state } = await opened();
    const { authority } = state;
    const part = taskNumber(11, { parentId: key.id });
    const resumed = () => authority.applyTaskEvent(part, byOperator('resume'), 'operator');
    expect(await authority.insertPart(part, tokenNumber(11), [], handed(1))).toBeNull();
    await authority.applyTaskEvent(key, byOperator('suspend'), 'operator');
    expect(await resumed()).toEqual({ problem: 'parent', state: 'suspended' });
    await authority.applyTaskEvent(key, byOperator('complete'), 'operator');
    expect(await resumed()).toEqual({ problem: 'parent', state: 'completed' });
    await state.close();
  });

  it('refuses a stolen token at once, before the revocation is written', async () => {
    const { state, file } = await opened();
    // It serves no checks, and so it refuses nothing for itself.
    if (state.states === null) return state.close();
    state.states.refuse('digest-1');
    expect((await lookAt(state)).issued?.revokedAtMs).toBe(1_000);
    expect(await state.settling.settle(use('d-1'))).toBe('ended');
    const part = taskNumber(11, { parentId: key.id });
    expect(await state.authority.insertPart(part, tokenNumber(11), [], handed(1))).toBe('ended');
    expect(await spent(file, key.id)).toBe(0);
    await state.close();
  });

  it('keeps what the first and the latest seven processes reported of the uses of a token, once for each', async () => {
    const { state } = await opened();
    const { authority, reportedUses } = state;
    const last = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };
    const report = (name: string, uses: number, allowed: ReturnType<typeof node> | null, jtiDigest = 'digest-1') =>
      authority.writeUses([{ jtiDigest, uses, last, allowed }], { name, audiences: null });
    const counts = async (): Promise<readonly number[]> =>
      ((await reportedUses('digest-1')) as readonly { uses: number }[]).map(({ uses }) => uses);

    expect(await report('denied', 1, null)).toBeNull();
    expect(await report('first', 2, node('10.0.0.1'))).toBeNull();
    // A report that comes again, or late, changes nothing.
    expect(await report('first', 1, node('10.6.6.6'))).toBeNull();
    // The node of an allowed use comes before that of a process of which only denied ones are known.
    expect(await reportedUses('digest-1')).toMatchObject([
      { uses: 2, last, allowed: node('10.0.0.1') },
      { uses: 1, last, allowed: null },
    ]);
    for (let n = 0; n < 12; n += 1) expect(await report(`later-${n}`, 10 + n, node(null))).toBeNull();
    const kept = await counts();
    expect([kept.length, kept[0]]).toEqual([8, 2]);
    expect(await reportedUses('digest-1')).toMatchObject([
      { allowed: node('10.0.0.1') },
      ...kept.slice(1).map(() => ({})),
    ]);
    expect(await report('first', 99, node('10.0.0.1'), 'unknown')).toBeNull();
    expect(await reportedUses('unknown')).toEqual([]);
    await state.close();
  });

  it('forgets what was reported of a token together with the token', async () => {
    const { state } = await opened();
    const { authority } = state;
    const uses = { jtiDigest: 'digest-1', uses: 1, last: null, allowed: null };
    expect(await authority.writeUses([uses], { name: 'one', audiences: null })).toBeNull();
    await authority.applyTaskEvent(key, byOperator('cancel'), 'operator');
    expect(await authority.forget(1_000)).toBeNull();
    nowMs += 86_400_000;
    for (let isMore = true; isMore;) ({ isMore } = must(await authority.prune(0)));
    expect(await authority.tokenOf('digest-1')).toBeUndefined();
    expect(await state.reportedUses('digest-1')).toEqual([]);
    // Nor is anything of it written any more.
    expect(await authority.writeUses([uses], { name: 'one', audiences: null })).toBeNull();
    expect(await state.reportedUses('digest-1')).toEqual([]);
    await state.close();
  });

  it('takes reports of uses only for the audiences that a process may serve', async () => {
    const { state } = await opened();
    const uses = [1, 2].map((n) => ({ jtiDigest: `digest-${n}`, uses: 1, last: null, allowed: null }));
    expect(await state.authority.writeUses(uses, serving('https://files.acme.test'))).toBeNull();
    expect(await state.reportedUses('digest-1')).toEqual([]);
    expect(await state.authority.writeUses(uses, serving(tokenNumber(1).audience))).toBeNull();
    expect(await state.reportedUses('digest-1')).toMatchObject([{ uses: 1 }]);
    await state.close();
  });

  it('has every change that decisions depend on in its feed, in order and without a gap', async () => {
    const { state } = await opened();
    const { authority, settling, feed } = state;
    const [one, two, three] = TASKS.map((n) => taskNumber(n).id);
    await settling.settle(use('d-1'));
    await authority.touchTasks(new Map([[key.id, 1_500]]));
    expect(await feed.feedEnd()).toBe(0);
    await authority.setRisk(taskNumber(2), 'high', causeOf('signal.risk-level-change'), 'operator');
    await settling.settle({ ...use('d-2'), entry: { version: 0, action: 'a.read', labels: [] } });
    await authority.revokeToken('digest-3', causeOf('operator.revoked'), 'operator');
    await authority.applyTaskEvent(taskNumber(2), byOperator('complete'), 'operator');
    const changes = [
      { root: two, part: 'task' },
      { root: one, part: 'history' },
      { root: three, part: 'task' },
      { root: two, part: 'task' },
    ];
    expect(await feed.feedAfter(0)).toEqual({ changes, position: 4 });
    expect(await feed.feedAfter(3)).toEqual({ changes: changes.slice(3), position: 4 });
    expect(await feed.feedAfter(4)).toEqual({ changes: [], position: 4 });
    await state.close();
  });

  it('decides by the clock readings of the instant of the call', async () => {
    const { state } = await opened();
    const early = state.settling.settle(use('d-1'));
    nowMs = 200_000;
    const late = state.settling.settle(use('d-2'));
    expect([await early, await late]).toEqual([null, 'ended']);
    expect(await state.authority.endExpired()).toBe(3);
    expect(await stateOf(state)).toBe('expired');
    await state.close();
  });

  it('keeps everything when it is opened again, and its clock does not go back', async () => {
    const { state, file } = await opened();
    await state.settling.settle(use('d-1', calls(1)));
    nowMs = 50_000;
    await state.authority.applyTaskEvent(taskNumber(2), byOperator('complete'), 'operator');
    await state.close();
    nowMs = 1_000;
    const again = await open(file, clock);
    expect(again.authority.floorMs()).toBeGreaterThanOrEqual(50_000);
    expect(await again.settling.settle(use('d-1', calls(1)))).toBeNull();
    expect(await again.settling.settle(use('d-2', calls(1)))).toEqual(exhausted(1, 1));
    expect(await again.feed.feedEnd()).toBe(1);
    await again.close();
  });

  it('fails every call after it is closed', async () => {
    const { state } = await opened();
    await state.close();
    const failure = { code: 'broken', detail: expect.stringMatching(/^the (?:state file|database) is closed$/) };
    expect(await state.settling.settle(use('d-1'))).toMatchObject(failure);
    expect(await state.authority.taskOf(issuer, key.id)).toMatchObject(failure);
    expect(await state.look(key, 'digest-1')).toMatchObject(failure);
  });

  it('agrees with the model under random concurrent calls: budgets, histories, ends, repeated decisions, restarts', async () => {
    await fc.assert(
      fc.asyncProperty(commands(), async (steps) => {
        const { state, file } = await opened();
        const real: Real = { state, reopen: () => open(file, clock), waiting: [] };
        const model = newModel();
        await fc.asyncModelRun(() => ({ model, real }), steps);
        await settleAll(model, real);
        for (const n of TASKS) expect(await spent(file, taskNumber(n).id)).toBe(model.tasks.get(n)?.spent);
        await real.state.close();
      }),
      { numRuns: thoroughly(25, 10) },
    );
  });

  it('settles a decision entirely or not at all when killed at any moment, and once when it is sent again', async () => {
    const { state, file } = await opened();
    await state.close();
    const script = join(import.meta.dirname, 'killed-settler.ts');
    const { seed, random } = drawn();
    let first = 1;
    for (let kill = 0; kill < thoroughly(6, 3); kill += 1) {
      const words = ['--no-warnings', script, name, file, String(first)];
      const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
      let said = '';
      const killAt = random.whole(1, 20);
      child.stdout.on('data', (data) => {
        said += String(data);
        if (said.split('\n').length > killAt) child.kill('SIGKILL');
      });
      await once(child, 'close');
      const lines = said.split('\n').slice(0, -1);
      const others = lines.filter((line) => !/^(?:opened \d+|\d+)$/.test(line));
      expect({ seed, others }).toEqual({ seed, others: [] });
      const acknowledged = lines.slice(1).map(Number);
      const last = Math.max(first - 1, ...acknowledged) + 7;
      const again = await open(file, clock);
      const before = await spent(file, key.id);
      const isKept = before >= first - 1 + acknowledged.length;
      expect({ seed, isKept }).toEqual({ seed, isKept: true });
      const ids = (await outbox(file)).map(({ decisionId }) => String(decisionId));
      expect(ids).toHaveLength(before);
      expect(ids).toEqual(expect.arrayContaining(acknowledged.map((n) => `decision-${n}`)));
      const asked = Array.from({ length: last }, (_, n) =>
        again.settling.settle({
          ...use(`decision-${n + 1}`, calls(1_000_000)),
          record: allowedUse(1, n + 1, 'allow', `decision-${n + 1}`),
        }),
      );
      expect((await Promise.all(asked)).every((one) => one === null)).toBe(true);
      expect(await spent(file, key.id)).toBe(last);
      expect(new Set((await outbox(file)).map(({ decisionId }) => decisionId)).size).toBe(last);
      expect(await outbox(file)).toHaveLength(last);
      await again.close();
      first = last + 1;
    }
  });
});
