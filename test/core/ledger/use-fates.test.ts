import { describe, expect, it } from '@jest/globals';
import { fatesText, UseFates } from '../../../src/core/ledger/use-fates.ts';

const allowed = (decisionId: string) => ({ kind: 'use', decision: 'allow', decisionId });
const outcome = (decisionId: string, details = 'via_upstream', attempts = 1) => ({
  kind: 'outcome',
  decision: 'allow',
  decisionId,
  details,
  attempts,
});
const found = (...records: readonly Readonly<Record<string, unknown>>[]) => {
  const fates = new UseFates();
  for (const record of records) fates.see(record);
  return fates.found();
};
const none = { allowed: 0, executed: 0, unanswered: 0, notSent: 0, withdrawn: 0, unknown: 0 };

describe('UseFates', () => {
  it('tells seven allowed calls from the only call that was executed', () => {
    const uses = Array.from({ length: 7 }, (_, index) => allowed(`d${index}`));
    const counts = found(...uses, outcome('d3'));
    expect(counts).toEqual({ ...none, allowed: 7, executed: 1, unknown: 6 });
    expect(fatesText(counts)).toBe('7 allowed: 1 executed, 6 without a recorded outcome');
  });

  it.each([
    [
      'sent without an answer',
      outcome('d', 'upstream_reset_before_response_started{connection_failure}'),
      { unanswered: 1 },
    ],
    ['not sent', outcome('d', 'no_healthy_upstream', 0), { notSent: 1 }],
    ['withdrawn', { kind: 'use', decision: 'deny', decisionId: 'e', withdraws: 'd' }, { withdrawn: 1 }],
    ['executed, by the log of another process', { ...outcome('d'), decision: null }, { executed: 1 }],
    ['of unknown fate by the outcome of another call', outcome('other'), { unknown: 1 }],
    ['of unknown fate by a record of another version', { kind: 'outcome', decisionId: 7 }, { unknown: 1 }],
  ])('counts an allowed call that is %s', (_name, record, counts) => {
    expect(found(allowed('d'), record)).toEqual({ ...none, allowed: 1, ...counts });
  });

  it('joins an outcome that comes before its use, as in the log of another process', () => {
    expect(found(outcome('d'), allowed('d'))).toEqual({ ...none, allowed: 1, executed: 1 });
  });

  it('counts an outcome once', () => {
    expect(found(allowed('d'), outcome('d'), outcome('d'))).toEqual({ ...none, allowed: 1, executed: 1 });
  });

  it('counts no denied call', () => {
    const denied = { ...allowed('d'), decision: 'deny' };
    expect(found(denied, { ...outcome('d'), decision: 'deny' })).toEqual(none);
  });
});
