import { describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import type { SpiffeId } from '../../../src/core/identity/spiffe-id.ts';
import { encodedRecord } from '../../../src/core/ledger/encoded-record.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import { Reports } from '../../../src/core/state/reports.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { type BindingEffect, settleBindingViolation } from '../../../src/core/task/binding-violation.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';

const folder = testFolders();

const thief = 'spiffe://acme.test/ns/agents/sa/thief' as SpiffeId;
const { jtiDigest } = tokenNumber(1);

const withToken = () => {
  const store = mustOpen(join(folder(), 'state.db'));
  const reports = new Reports(directAuthority(store), { after, log: () => undefined });
  const task = taskNumber(1);
  store.insertTask(task, tokenNumber(1), []);
  const settle = async (effect: BindingEffect) => {
    const token = store.tokenOf(jtiDigest);
    const issued = isStoreFailure(token) ? undefined : token;
    const violation = { issuer: task.issuer, taskId: task.id, issued, presentedBy: thief, nowMs: 1_000 };
    const record = settleBindingViolation(reports, violation, effect);
    await reports.flush();
    return record;
  };
  const state = () => {
    const [now, token] = [store.taskOf(task.issuer, task.id), store.tokenOf(jtiDigest)];
    if (now === undefined || isStoreFailure(now) || token === undefined || isStoreFailure(token)) return null;
    return [now.state, token.revokedAtMs !== null];
  };
  return { store, settle, state };
};

describe('settleBindingViolation', () => {
  it.each<[BindingEffect, string, boolean, string]>([
    ['revoke-token', 'active', true, 'pending'],
    ['revoke-task', 'revoked', true, 'pending'],
    ['ignore', 'active', false, 'none'],
  ])('with %s: the task is %s', async (effect, task, isRevoked, revocation) => {
    const { store, settle, state } = withToken();
    const record = await settle(effect);
    expect(state()).toEqual([task, isRevoked]);
    expect(record).toEqual({
      kind: 'event',
      at: 1_000,
      task: taskNumber(1).id,
      event: 'binding-violation',
      cause: 'binding.violation',
      note: `the token was presented by ${thief}`,
      by: thief,
      details: { jti_digest: jtiDigest, revocation },
    });
    expect(record === null ? null : encodedRecord(record)).toMatchObject({ kind: 'event' });
    store.close();
  });

  it.each<[BindingEffect]>([['revoke-token'], ['revoke-task']])(
    'with %s settles a repetition without a write',
    async (effect) => {
      const { store, settle } = withToken();
      await settle(effect);
      const before = store.recordsOf(taskNumber(1).id, 10);
      expect(await settle(effect)).toBeNull();
      expect(store.recordsOf(taskNumber(1).id, 10)).toEqual(before);
      store.close();
    },
  );

  it('does nothing about a token that was never issued here', () => {
    const violation = { issuer: 'x', taskId: 'y', issued: undefined, presentedBy: thief, nowMs: 1 };
    const killer = {
      revoke: () => {
        throw new Error('nothing is to be revoked');
      },
    };
    expect(settleBindingViolation(killer, violation, 'revoke-task')).toBeNull();
  });
});
