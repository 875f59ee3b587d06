import { expect, it } from '@jest/globals';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { SpiffeId } from '../../../../src/core/identity/spiffe-id.ts';
import type { StopQuery } from '../../../../src/core/task/stop.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import type { CauseCode } from '../../../../src/core/task/cause.ts';
import type { Task, TaskEvent } from '../../../../src/core/task/task.ts';
import { endRecord } from '../../../builders/ledger-record.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { describeEach } from './each-implementation.ts';

// Threads and a database start here, which is slow on a loaded machine.

const agent = taskNumber(1).agent;
const other = 'spiffe://acme.test/ns/agents/sa/reporter' as SpiffeId;
const detailsOf = (...actions: readonly string[]): string => JSON.stringify([{ actions }]);
const task = (n: number, change: Partial<Task> = {}): Task =>
  taskNumber(n, { detailsJson: detailsOf('payments.read', 'payments.create'), ...change });
const query = (change: Partial<StopQuery> = {}): StopQuery => ({
  issuer,
  agent,
  subject: 'somebody',
  actions: ['payments.create'],
  ...change,
});
const suspended = { cause: 'operator.suspended', sinceMs: 5_000, endedAtMs: null };
const event = (kind: TaskEvent['kind'], code: CauseCode): TaskEvent => ({ kind, cause: causeOf(code) });

describeEach('stops', ({ name, open, place, outbox }) => {
  let nowMs = 5_000;
  const opened = async (file?: string) => {
    const where = file ?? (await place());
    const state = await open(
      where,
      agreeing(() => nowMs),
    );
    const add = async (...tasks: readonly Task[]) => {
      for (const one of tasks) {
        const token = tokenNumber(Number(one.id.slice(-4)));
        expect(await state.authority.insertTask(one, token, [])).toBeNull();
      }
    };
    return { ...state, add, file: where };
  };
  const at = (ms: number): void => void (nowMs = ms);

  it.each<[string, TaskEvent, string, object | null]>([
    ['a suspension by an operator', event('suspend', 'operator.suspended'), 'operator', suspended],
    [
      'a cancellation by an operator',
      event('cancel', 'operator.cancelled'),
      'operator',
      { cause: 'operator.cancelled', sinceMs: 5_000, endedAtMs: 5_000 },
    ],
    [
      'a security event',
      event('revoke', 'signal.credential-compromise'),
      'https://idp.acme.test',
      { cause: 'signal.credential-compromise', sinceMs: 5_000, endedAtMs: 5_000 },
    ],
    [
      'a stolen token',
      event('revoke', 'binding.violation'),
      'spiffe://acme.test/thief',
      { cause: 'binding.violation', sinceMs: 5_000, endedAtMs: 5_000 },
    ],
    [
      'a changed value that others attest',
      event('suspend', 'context.changed'),
      'spiffe://acme.test/writer',
      { cause: 'context.changed', sinceMs: 5_000, endedAtMs: null },
    ],
    ['a changed value of its own', event('revoke', 'context.changed'), agent, null],
    ['its own cancellation', event('cancel', 'agent.cancelled'), agent, null],
    ['its own completion', event('complete', 'agent.completed'), agent, null],
    ['its own revocation', event('revoke', 'agent.revoked'), agent, null],
    ['its own suspension', event('suspend', 'agent.suspended'), agent, null],
    ['its deadline', event('expire', 'deadline'), 'remit', null],
    ['the end of all tasks of a restored state', event('revoke', 'operator.restored'), 'operator', null],
  ])('finds %s, if it is a stop', async (_what, given, by, expected) => {
    at(5_000);
    const { add, authority, close } = await opened();
    await add(task(1, given.kind === 'expire' ? { deadlineMs: 4_000 } : {}));
    expect(await authority.stopOf(query())).toBeNull();
    await authority.applyTaskEvent(task(1), given, by);
    expect(await authority.stopOf(query())).toEqual(expected);
    await close();
  });

  it('concerns the same agent and issuer and a common action, for any subject', async () => {
    const { add, authority, close } = await opened();
    await add(task(1));
    await authority.applyTaskEvent(task(1), byOperator('suspend'), 'operator');
    const answers = await Promise.all(
      [
        query({ actions: ['x.y', 'payments.read'] }),
        query({ subject: agent }),
        query({ actions: ['payments.refund'] }),
        query({ agent: other }),
        query({ issuer: 'https://other.acme.test' }),
        query({ actions: [] }),
      ].map((asked) => authority.stopOf(asked)),
    );
    expect(answers).toEqual([suspended, suspended, null, null, null, null]);
    await close();
  });

  it('concerns only the subject of the task after an event about a user', async () => {
    const { add, authority, close } = await opened();
    await add(task(1, { subject: 'ann' }));
    const cause = { ...causeOf('signal.session-revoked'), reach: 'subject' } as const;
    await authority.applyTaskEvent(task(1), { kind: 'revoke', cause }, 'https://idp.acme.test');
    expect(await authority.stopOf(query({ subject: 'bob' }))).toBeNull();
    expect(await authority.stopOf(query({ subject: 'ann' }))).toMatchObject({ cause: 'signal.session-revoked' });
    await close();
  });

  it('lasts until an operator resumes each suspended task, and over a restart', async () => {
    at(5_000);
    const first = await opened();
    await first.add(task(1), task(2));
    for (const n of [1, 2]) await first.authority.applyTaskEvent(task(n), byOperator('suspend'), 'operator');
    await first.close();
    const { authority, close } = await opened(first.file);
    expect(await authority.stopOf(query())).toEqual(suspended);
    await authority.applyTaskEvent(task(2), byOperator('resume'), 'operator');
    expect(await authority.stopOf(query())).toEqual(suspended);
    await authority.applyTaskEvent(task(1), byOperator('resume'), 'operator');
    expect(await authority.stopOf(query())).toBeNull();
    await close();
  });

  it('lasts from the end of a suspended task, however it ends', async () => {
    at(5_000);
    const { add, authority, close } = await opened();
    await add(task(1));
    await authority.applyTaskEvent(task(1), byOperator('suspend'), 'operator');
    at(9_000);
    await authority.applyTaskEvent(task(1), event('cancel', 'agent.cancelled'), agent);
    const ended = { ...suspended, endedAtMs: 9_000 };
    expect(await authority.stopOf(query())).toEqual(ended);
    // An earlier end that is written later changes nothing, a later one does.
    await add(task(2), task(3));
    await authority.applyTaskEvent(task(2), byOperator('suspend'), 'operator');
    at(100_000);
    await authority.applyTaskEvent(task(2), event('expire', 'deadline'), 'remit');
    expect(await authority.stopOf(query())).toMatchObject({ sinceMs: 9_000, endedAtMs: 100_000 });
    await close();
  });

  it('stops the parts of other agents too, also those that were suspended, and lifts them with the task', async () => {
    at(5_000);
    const { add, authority, close } = await opened();
    await add(
      task(1),
      task(2, { parentId: task(1).id, agent: other }),
      task(3, { parentId: task(2).id, agent: other }),
    );
    const asked = query({ agent: other });
    await authority.applyTaskEvent(task(1), event('suspend', 'agent.suspended'), agent);
    expect(await authority.stopOf(asked)).toBeNull();
    await authority.applyTaskEvent(task(1), byOperator('suspend'), 'operator');
    expect(await authority.stopOf(asked)).toEqual(suspended);
    await authority.applyTaskEvent(task(3), byOperator('suspend'), 'operator');
    await authority.applyTaskEvent(task(1), byOperator('resume'), 'operator');
    // The operator suspended part 3 by itself as well.
    expect(await authority.stopOf(asked)).toEqual(suspended);
    await authority.applyTaskEvent(task(2), event('resume', 'agent.resumed'), other);
    await authority.applyTaskEvent(task(3), byOperator('resume'), 'operator');
    expect(await authority.stopOf(asked)).toBeNull();
    // The end of a task by its own agent stops nobody.
    await authority.applyTaskEvent(task(1), event('complete', 'agent.completed'), agent);
    expect([await authority.stopOf(asked), await authority.stopOf(query())]).toEqual([null, null]);
    await close();
  });

  it('refuses a declaration as `changed` if the agent was stopped or freed since the reading', async () => {
    at(5_000);
    const { add, authority, close } = await opened();
    await add(task(1));
    const decidedBy = (was: typeof suspended | null) =>
      ({ tasks: [], stop: { query: query(), was } }) as Parameters<typeof authority.insertTask>[3];
    const changed = expect.objectContaining({ code: 'changed' });
    // In one turn, and so in one transaction.
    const [, late] = await Promise.all([
      authority.applyTaskEvent(task(1), byOperator('suspend'), 'operator'),
      authority.insertTask(task(2), tokenNumber(2), [], decidedBy(null)),
    ]);
    expect(late).toEqual(changed);
    expect(await authority.insertTask(task(3), tokenNumber(3), [], decidedBy(null))).toEqual(changed);
    expect(await authority.insertTask(task(4), tokenNumber(4), [], decidedBy(suspended))).toBeNull();
    const part = task(5, { parentId: task(4).id });
    const handed = { jtiDigest: 'digest-4', spends: [] };
    expect(await authority.insertPart(part, tokenNumber(5), [], handed, decidedBy(null))).toEqual(changed);
    await authority.applyTaskEvent(task(1), byOperator('resume'), 'operator');
    expect(await authority.insertTask(task(6), tokenNumber(6), [], decidedBy(suspended))).toEqual(changed);
    expect(await authority.insertTask(task(6), tokenNumber(6), [], decidedBy(null))).toBeNull();
    for (const n of [2, 3, 5]) expect(await authority.taskOf(issuer, task(n).id)).toBeUndefined();
    await close();
  });

  // A state file has one authority.
  if (name === 'postgres') {
    it('is found by each of two authorities: no declaration is committed after a stop that it does not know', async () => {
      at(5_000);
      const one = await opened();
      const two = await opened(one.file);
      const declare = ({ authority }: typeof one, n: number) =>
        authority.insertTask(task(n), tokenNumber(n), [endRecord(n)], {
          tasks: [],
          stop: { query: query(), was: null },
        });
      const raced: number[] = [];
      for (let n = 1; n <= 40; n += 2) {
        const [stopping, declaring] = n % 4 === 1 ? [one, two] : [two, one];
        expect(await declare(stopping, n)).toBeNull();
        const [end, answer] = await Promise.all([
          stopping.authority.applyTaskEvent(task(n), byOperator('suspend'), 'operator'),
          declare(declaring, n + 1),
        ]);
        expect(end).toMatchObject({ changed: true });
        expect([null, 'changed']).toContain(isStoreFailure(answer) ? answer.code : answer);
        if (answer === null) raced.push(n);
        expect(await declare(declaring, n + 100)).toMatchObject({ code: 'changed' });
        await stopping.authority.applyTaskEvent(task(n), byOperator('resume'), 'operator');
      }
      expect(await declare(two, 200)).toBeNull();
      // Records are numbered in the order of commits.
      const records = await outbox(one.file);
      const placeOf = (kind: string, n: number): number =>
        records.findIndex((record) => record['kind'] === kind && record['task'] === task(n).id);
      for (const n of raced) expect(placeOf('end', n + 1)).toBeLessThan(placeOf('event', n));
      await Promise.all([one.close(), two.close()]);
    });
  }

  it('is lifted by an operator for the actions of a task that has ended, with a record', async () => {
    at(5_000);
    const { add, authority, close, file } = await opened();
    await add(
      task(1),
      task(2),
      task(3, { subject: 'ann', detailsJson: detailsOf('payments.refund', 'payments.read') }),
    );
    await authority.applyTaskEvent(task(1), byOperator('cancel'), 'operator');
    const cause = { ...causeOf('signal.session-revoked'), reach: 'subject' } as const;
    await authority.applyTaskEvent(task(3), { kind: 'revoke', cause }, 'https://idp.acme.test');
    await authority.applyTaskEvent(task(2), byOperator('suspend'), 'operator');
    const allow = () => authority.liftStops(task(1), causeOf('operator.allowed', 'looked at'), 'operator');
    expect(await allow()).toMatchObject({ id: task(1).id });
    // The suspended task stops its agent until it is resumed.
    expect(await authority.stopOf(query())).toEqual(suspended);
    await authority.applyTaskEvent(task(2), byOperator('resume'), 'operator');
    expect(await authority.stopOf(query())).toBeNull();
    expect(await authority.stopOf(query({ subject: 'ann', actions: ['payments.read'] }))).toBeNull();
    expect(await authority.stopOf(query({ subject: 'ann', actions: ['payments.refund'] }))).not.toBeNull();
    expect(await outbox(file)).toContainEqual(
      expect.objectContaining({ event: 'stop-lifted', cause: 'operator.allowed', note: 'looked at', by: 'operator' }),
    );
    expect(await authority.liftStops(task(9), causeOf('operator.allowed'), 'operator')).toBeUndefined();
    await close();
  });

  it('remembers a stop for a day after the end, also if its task is pruned', async () => {
    at(5_000);
    const { add, authority, close } = await opened();
    await add(task(1), task(2));
    await authority.applyTaskEvent(task(1), byOperator('cancel'), 'operator');
    await authority.applyTaskEvent(task(2), byOperator('suspend'), 'operator');
    await authority.applyTaskEvent(task(2), byOperator('resume'), 'operator');
    const day = 86_400_000;
    for (const [ms, isKept] of [
      [5_000 + day - 1, true],
      [5_000 + day, false],
    ] as const) {
      at(ms);
      await authority.prune(0);
      expect((await authority.stopOf(query())) !== null).toBe(isKept);
    }
    await close();
  });
});
