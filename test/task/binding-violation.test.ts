import { afterAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { encodedRecord } from '../../src/ledger/encoded-record.ts';
import { isStoreFailure } from '../../src/store/store-failure.ts';
import { type BindingEffect, settleBindingViolation } from '../../src/task/binding-violation.ts';
import { mustOpen, scratch, taskNumber, tokenNumber } from '../store/samples.ts';

const { folder, remove } = scratch();
afterAll(remove);

const thief = 'spiffe://acme.test/ns/agents/sa/thief' as SpiffeId;
const { jtiDigest } = tokenNumber(1);

const withToken = () => {
  const store = mustOpen(join(folder(), 'state.db'));
  const task = taskNumber(1);
  store.insertTask(task, tokenNumber(1), []);
  const settle = (effect: BindingEffect) => {
    const token = store.tokenOf(jtiDigest);
    const issued = isStoreFailure(token) ? undefined : token;
    const violation = { issuer: task.issuer, taskId: task.id, issued, presentedBy: thief, nowMs: 1_000 };
    return settleBindingViolation(store, violation, { effect, isFailure: isStoreFailure });
  };
  const state = () => {
    const [now, token] = [store.taskOf(task.issuer, task.id), store.tokenOf(jtiDigest)];
    if (now === undefined || isStoreFailure(now) || token === undefined || isStoreFailure(token)) return null;
    return [now.state, token.revokedAtMs !== null];
  };
  return { store, settle, state };
};

describe('settleBindingViolation', () => {
  it.each<[BindingEffect, string, string, boolean]>([
    ['revoke-token', 'token-revoked', 'active', true],
    ['revoke-task', 'task-revoked', 'revoked', true],
    ['ignore', 'nothing', 'active', false],
  ])('with %s: %s, the task is %s', (effect, done, task, isRevoked) => {
    const { store, settle, state } = withToken();
    const outcome = settle(effect);
    expect(outcome.done).toBe(done);
    expect(state()).toEqual([task, isRevoked]);
    expect(outcome.record).toEqual({
      kind: 'event',
      at: 1_000,
      task: taskNumber(1).id,
      event: 'binding-violation',
      cause: 'binding.violation',
      note: `the token was presented by ${thief}`,
      by: thief,
      details: { jti_digest: jtiDigest },
    });
    if (outcome.record !== null) expect(encodedRecord(outcome.record)).toMatchObject({ kind: 'event' });
    store.close();
  });

  it.each<[BindingEffect]>([['revoke-token'], ['revoke-task']])(
    'with %s settles a repetition without a write',
    (effect) => {
      const { store, settle } = withToken();
      settle(effect);
      const before = store.recordsOf(taskNumber(1).id, 10);
      expect(settle(effect)).toEqual({ done: 'nothing', record: null });
      expect(store.recordsOf(taskNumber(1).id, 10)).toEqual(before);
      store.close();
    },
  );

  it('does nothing about a token that was never issued here', () => {
    const { store } = withToken();
    const violation = { issuer: 'x', taskId: 'y', issued: undefined, presentedBy: thief, nowMs: 1 };
    expect(settleBindingViolation(store, violation, { effect: 'revoke-task', isFailure: isStoreFailure })).toEqual({
      done: 'nothing',
      record: null,
    });
    store.close();
  });

  it('gives the failure of the store with the record', () => {
    const { store, settle } = withToken();
    const issued = { jtiDigest, revokedAtMs: null };
    store.close();
    const violation = { issuer: 'x', taskId: 'y', issued, presentedBy: thief, nowMs: 1 };
    const outcome = settleBindingViolation(store, violation, { effect: 'revoke-token', isFailure: isStoreFailure });
    expect(outcome).toMatchObject({ done: { failure: { code: 'broken' } }, record: { event: 'binding-violation' } });
    expect(settle('revoke-token')).toEqual({ done: 'nothing', record: null });
  });
});
