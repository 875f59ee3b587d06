import { describe, expect, it } from '@jest/globals';
import { taskJson } from '../../../src/core/task/task-json.ts';
import { taskNumber } from '../../builders/task.ts';
import { causeOf } from '../../../src/core/task/cause.ts';

const approval = {
  name: 'approval',
  value: 'finance',
  by: 'spiffe://acme.test/ns/finance/sa/approvals',
  kind: 'writer',
} as const;

describe('taskJson', () => {
  it('shows an unswept expiry as the sweep will write it', () => {
    const task = taskNumber(1);
    expect(taskJson(task, 99_999)).toMatchObject({ state: 'active', ended_at: null, cause: null, cause_note: null });
    expect(taskJson(task, 100_000)).toMatchObject({
      state: 'expired',
      ended_at: '1970-01-01T00:01:40.000Z',
      cause: 'deadline',
      cause_note: 'deadline reached',
    });
  });

  it('shows an unswept idle limit in the same way, and what else there is to the task', () => {
    const task = taskNumber(1, {
      idleMs: 90_000,
      lastUsedMs: 5_000,
      subject: 'user-7',
      parentId: 'parent',
      subjectAttributes: { groups: ['finance'] },
      claimed: { model: 'm' },
      attested: [approval],
      contextRules: { model: 'ask' },
      risk: 'medium',
      generation: 3,
    });
    expect(taskJson(task, 95_000)).toMatchObject({
      state: 'expired',
      ended_at: '1970-01-01T00:01:35.000Z',
      cause: 'idle',
      cause_note: 'idle limit reached',
      idle_seconds: 90,
      last_used_at: '1970-01-01T00:00:05.000Z',
      subject: 'user-7',
      parent: 'parent',
      subject_attributes: { groups: ['finance'] },
      claimed: { model: 'm' },
      attested: [approval],
      context_rules: { model: 'ask' },
      risk: 'medium',
      generation: 3,
    });
  });

  it('shows an end as it was', () => {
    const task = taskNumber(1, {
      state: 'revoked',
      endedAtMs: 5_000,
      cause: causeOf('operator.revoked', 'by hand'),
      detailsJson: '[{"type":"x"}]',
    });
    expect(taskJson(task, 200_000)).toMatchObject({
      state: 'revoked',
      ended_at: '1970-01-01T00:00:05.000Z',
      cause: 'operator.revoked',
      cause_note: 'by hand',
      authorization_details: [{ type: 'x' }],
    });
  });
});
