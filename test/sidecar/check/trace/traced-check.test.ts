import { describe, expect, it } from '@jest/globals';
import { deny } from '../../../../src/core/decision/decision.ts';
import type { Decision } from '../../../../src/core/decision/decision.ts';
import { reasons } from '../../../../src/core/decision/reasons.ts';
import type { ReasonCode } from '../../../../src/core/decision/reasons.ts';
import type { UseRecord } from '../../../../src/core/ledger/record.ts';
import type { CheckToTrace } from '../../../../src/sidecar/check/trace/check-to-trace.ts';
import { STAGE_NAMES } from '../../../../src/sidecar/check/trace/stages.ts';
import { tracedCheckFrom } from '../../../../src/sidecar/check/trace/traced-check.ts';

const unknown = deny('internal', 'not read');
/** Nothing of the call is known, as if each fact had been refused. */
const facts = {
  caller: unknown,
  credential: unknown,
  task: unknown,
  action: unknown,
  call: unknown,
  presented: { proof: null, scheme: 'bearer' },
  secrets: [],
  nowMs: 7,
  floorMs: 7,
};
const allow: Decision = { ...deny('internal', ''), kind: 'allow' as never };

/** The trace of a check that was decided so. `byPolicy` is what facts and policies said. */
const traceOf = (decision: Decision, byPolicy: Decision = decision) =>
  tracedCheckFrom(
    {
      asked: { facts: unknown, call: { traceparent: null } },
      check: {
        decision,
        facts,
        decisionId: 'd',
        policySet: null,
        policyGeneration: 0,
        cache: 'bypass',
        withdraws: null,
      },
      byPolicy,
      traceId: null,
      isTokenHanded: false,
      readMs: 1,
      taskMs: 2,
      decideMs: 3,
      settleMs: 4,
      totalMs: 10,
    } as unknown as CheckToTrace,
    { reason: 'reason' in decision ? decision.reason : null, reuse: [], refusedCaller: null } as unknown as UseRecord,
    (text) => text,
  );
const resultsOf = (decision: Decision, byPolicy?: Decision): readonly string[] =>
  traceOf(decision, byPolicy).stages.map(({ result }) => result);
const codes = Object.keys(reasons) as ReasonCode[];

describe('tracedCheckFrom', () => {
  it('has all stages in the order of the data path, each with its own time or that of `asked`', () => {
    const { stages, totalMs } = traceOf(unknown);
    expect(stages.map(({ name, ms }) => [name, ms])).toEqual([
      ['asked', 1],
      ['identity', null],
      ['token', null],
      ['task', 2],
      ['action', null],
      ['policy', 3],
      ['answer', 4],
    ]);
    expect(totalMs).toBe(10);
  });

  it.each(codes)('marks one stage that denied, those before as passed, those after as unused: %s', (reason) => {
    const results = resultsOf(deny(reason, 'why'));
    const at = results.indexOf('denied');
    const [room = ''] = reason.split('.');
    // A stop is looked for once the caller is known, that of a user once the task is.
    const stage = { request: 'asked', stopped: reason === 'stopped.user' ? 'task' : 'identity' }[room] ?? room;
    expect(STAGE_NAMES[at]).toBe((STAGE_NAMES as readonly string[]).includes(stage) ? stage : 'answer');
    const after = STAGE_NAMES.slice(at + 1).map((name) => (name === 'answer' ? 'passed' : 'unused'));
    expect(results).toEqual([...STAGE_NAMES.slice(0, at).map(() => 'passed'), 'denied', ...after]);
  });

  it.each(codes)('names the answer if the policies permitted, and it was denied then: %s', (reason) => {
    expect(resultsOf(deny(reason, 'why'), allow)).toEqual([...STAGE_NAMES.slice(1).map(() => 'passed'), 'denied']);
  });

  it('has no stage that denied for an allow', () => {
    expect(resultsOf(allow)).toEqual(STAGE_NAMES.map(() => 'passed'));
  });
});
