import { expect, it } from '@jest/globals';
import { encodedRecord } from '../../../../src/core/ledger/encoded-record.ts';
import { orderMade } from '../../../../src/core/ledger/order-record.ts';
import { signalLimits } from '../../../../src/core/state/signal-queue.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { must } from '../../../builders/must.ts';
import { observeOrder, stopOrder } from '../../../builders/order.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { byOperator, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { describeEach } from './each-implementation.ts';

const recordOf = (order: Parameters<typeof orderMade>[0]) => must(encodedRecord(orderMade(order)));

const record = (at: number) =>
  must(encodedRecord({ kind: 'end', at, task: 't', state: 'revoked', cause: 'operator.revoked', note: '', by: 'x' }));

describeEach('signals', ({ name, open, place }) => {
  /** Records are of now, since a database judges their age by its own clock. */
  let nowMs = Date.now();
  const opened = async (file?: string) => {
    const where = file ?? (await place());
    const state = await open(
      where,
      agreeing(() => nowMs),
    );
    const waiting = async (receiver: string) =>
      must(await state.authority.signalQueue(receiver)).signals.map(({ record }) => {
        const { kind, event = null, task, cause } = JSON.parse(Buffer.from(record.bytes).toString('utf8'));
        return [kind, event, task, cause];
      });
    return { ...state, file: where, waiting };
  };
  const task = (n: number) => taskNumber(n, { createdAtMs: nowMs, deadlineMs: nowMs + 600_000, lastUsedMs: nowMs });
  const stop = () => stopOrder({ madeAtMs: nowMs });
  const end = (n: number) => ['end', null, task(n).id, 'operator.cancelled'];

  it('wait for each receiver from its first claim on: stops, stolen tokens and ends, once, in order, and survive a restart', async () => {
    const { authority, waiting, close, file } = await opened();
    for (const n of [1, 2, 3]) must(await authority.insertTask(task(n), tokenNumber(n), []));
    must(await authority.applyTaskEvent(task(3), byOperator('cancel'), 'operator'));
    expect(must(await authority.signalQueue('siem'))).toEqual({
      holder: 'none',
      waiting: 0,
      oldestMs: null,
      signals: [],
    });
    for (const receiver of ['siem', 'idp']) expect(await authority.claimSignals(receiver)).toEqual({ dropped: 0 });
    await authority.applyTaskEvent(task(1), byOperator('cancel'), 'operator');
    await authority.applyTaskEvent(task(1), byOperator('cancel'), 'operator');
    await authority.revokeToken(tokenNumber(2).jtiDigest, causeOf('binding.violation', ''), 'spiffe://acme.test/thief');
    await authority.putOrder(stop(), [recordOf(stop())]);
    await authority.putOrder(observeOrder(), [recordOf(observeOrder())]);
    const all = [
      ['event', 'order-made', null, 'operator.stopped'],
      ['event', 'token-revoked', task(2).id, 'binding.violation'],
      end(1),
    ];
    expect([await waiting('siem'), await waiting('idp'), await waiting('other')]).toEqual([all, all, []]);
    const queue = must(await authority.signalQueue('siem'));
    expect(queue).toMatchObject({ holder: 'this', waiting: 3 });
    // Those that failed come last, in the order in which they are named.
    const seqs = queue.signals.map(({ seq }) => seq);
    const later = seqs.slice(0, 2).toReversed();
    expect(must(await authority.signalQueue('siem', later)).signals.map(({ seq }) => seq)).toEqual(seqs.toReversed());
    const [first] = queue.signals;
    expect(await authority.dropSignals('siem', [first?.seq ?? -1])).toBeNull();
    expect([await waiting('siem'), await waiting('idp')]).toEqual([all.slice(1), all]);
    // The number of a signal of another receiver drops nothing.
    expect(
      await authority.dropSignals('siem', [must(await authority.signalQueue('idp')).signals[0]?.seq ?? -1]),
    ).toBeNull();
    await close();
    const again = await opened(file);
    expect(must(await again.authority.signalQueue('idp'))).toMatchObject({ waiting: 3 });
    await again.close();
  });

  it('are written with what they are about, or not at all', async () => {
    const { authority, waiting, close } = await opened();
    await authority.claimSignals('siem');
    await authority.insertTask(task(1), tokenNumber(1), []);
    // The second stop has the id of the first, so it is not written again, nor is its record.
    for (let n = 0; n < 2; n += 1) await authority.putOrder(stop(), [recordOf(stop())]);
    expect(await authority.applyTaskEvent(task(7), byOperator('cancel'), 'operator')).toBeUndefined();
    expect(await waiting('siem')).toEqual([['event', 'order-made', null, 'operator.stopped']]);
    await close();
  });

  it('are bounded in number and age: the oldest ends are dropped first, so an agent that ends its tasks drops no stop', async () => {
    const { authority, close } = await opened();
    await authority.claimSignals('siem');
    await authority.appendRecords([record(nowMs - signalLimits.maxAgeMs - 60_000), record(nowMs)]);
    expect(await authority.claimSignals('siem')).toEqual({ dropped: 1 });
    expect(must(await authority.signalQueue('siem'))).toMatchObject({ waiting: 1, oldestMs: nowMs });
    await authority.appendRecords([recordOf(stop())]);
    const many = Array.from({ length: 500 }, () => record(nowMs + 1));
    for (let n = 0; n < signalLimits.maxWaiting / many.length; n += 1) must(await authority.appendRecords(many));
    expect(await authority.claimSignals('siem')).toEqual({ dropped: 2 });
    const queue = must(await authority.signalQueue('siem'));
    expect([queue.waiting, queue.oldestMs, queue.signals.length]).toEqual([
      signalLimits.maxWaiting,
      nowMs,
      signalLimits.maxAtOnce,
    ]);
    expect(queue.signals.map(({ record: { signalled } }) => signalled).slice(0, 2)).toEqual(['stops', 'ends']);
    await close();
  });

  // Issue 42, point 4: a file let grow what nobody delivered.
  it('are bounded between two claims too, and the next claim says how many were dropped', async () => {
    const { authority, close } = await opened();
    await authority.claimSignals('siem');
    await authority.appendRecords([recordOf(stop())]);
    const many = Array.from({ length: 500 }, () => record(nowMs + 1));
    for (let n = 0; n <= signalLimits.maxWaiting / many.length; n += 1) must(await authority.appendRecords(many));
    const waiting = async () => must(await authority.signalQueue('siem')).waiting;
    // A file drops with each 128th signal, and a database with the next step of pruning, so that no two writes wait for each other.
    expect(await waiting()).toBe(signalLimits.maxWaiting + (name === 'postgres' ? 501 : 0));
    must(await authority.prune(0));
    const queue = must(await authority.signalQueue('siem'));
    expect([queue.waiting, queue.signals[0]?.record.signalled]).toEqual([signalLimits.maxWaiting, 'stops']);
    expect(await authority.claimSignals('siem')).toEqual({ dropped: 501 });
    expect(await authority.claimSignals('siem')).toEqual({ dropped: 0 });
    await close();
  });

  it('of a receiver have one process that delivers them, and another only once the claim of that is over', async () => {
    const { authority, close, file } = await opened();
    await authority.claimSignals('siem');
    expect(must(await authority.signalQueue('siem')).holder).toBe('this');
    const other = await opened(file);
    await other.authority.claimSignals('siem');
    // A state file has one process that serves with it.
    const shared = name === 'postgres' ? 'other' : 'this';
    expect([
      must(await other.authority.signalQueue('siem')).holder,
      must(await authority.signalQueue('siem')).holder,
    ]).toEqual([shared, 'this']);
    await authority.appendRecords([recordOf(stop())]);
    expect([(await other.waiting('siem')).length, must(await other.authority.signalQueue('siem')).waiting]).toEqual([
      name === 'postgres' ? 0 : 1,
      1,
    ]);
    await other.close();
    await close();
  });
});
