import { describe, expect, it } from '@jest/globals';
import type { ServedCall } from '../../../src/sidecar/outcome/served-call.ts';
import { UnsentCalls } from '../../../src/sidecar/outcome/unsent-calls.ts';
import { answeredCall, decisionId, logged, NAME, refusedCall, servedCall } from './samples.ts';

const denied = (n: number): Partial<ServedCall> => ({
  decision: logged(n, { kind: 'deny' }),
  details: 'ext_authz_denied',
  flags: ['UAEX'],
  attempts: 0,
});

describe('UnsentCalls (issue 37, point 14)', () => {
  it.each<[string, ServedCall, number]>([
    ['denied', servedCall(denied(1)), 1],
    ['refused by Envoy before its answer came', refusedCall(), 1],
    ['without an upstream', servedCall({ decision: logged(1), flags: ['UH'], attempts: 0 }), 1],
    ['sent', servedCall({ decision: logged(1) }), 0],
    ['sent, although denied', servedCall({ ...denied(1), attempts: 1 }), 0],
    ['sent without an answer', servedCall({ decision: logged(1), flags: ['UF'], attempts: 2 }), 0],
    // A filter other than the router may have sent it: the number of attempts is the router's.
    ['answered without an attempt', servedCall({ decision: logged(1), attempts: 0 }), 0],
    ['whose client left', servedCall({ decision: logged(1), flags: ['DC'], attempts: 0, status: null }), 0],
    ['that went on after its check failed', refusedCall({ flags: [], isFailureModeAllowed: true }), 0],
    ['of another name', refusedCall({ callName: `${NAME}1` }), 0],
    ['without a name', refusedCall({ callName: null }), 0],
    ['of another decision', servedCall({ ...denied(2), callName: NAME }), 0],
  ])('undoes what a call took once if it was certainly not sent: a call %s', (_what, call, times) => {
    const calls = new UnsentCalls();
    let undone = 0;
    calls.answered(answeredCall(1, () => (undone += 1)));
    calls.ended(call);
    calls.ended(call);
    expect(undone).toBe(times);
  });

  it('undoes nothing of a call of the same name, once it was sent', () => {
    const calls = new UnsentCalls();
    let undone = 0;
    calls.answered(answeredCall(1, () => (undone += 1)));
    calls.ended(servedCall({ decision: logged(1), callName: NAME }));
    calls.ended(refusedCall());
    expect(undone).toBe(0);
  });

  it('takes a name of two checks for none', () => {
    const calls = new UnsentCalls();
    let undone = 0;
    for (const n of [1, 2]) calls.answered(answeredCall(n, () => (undone += n)));
    expect(calls.refused(refusedCall())).toBeNull();
    calls.ended(refusedCall());
    expect(undone).toBe(0);
    // By its decision it is known all the same.
    calls.ended(servedCall({ ...denied(2), callName: NAME }));
    expect(undone).toBe(2);
  });

  it.each<[string, ServedCall]>([
    ['its denial', servedCall(denied(1))],
    ['its name', refusedCall()],
  ])('undoes what is only known after the log of the call, by %s', (_what, call) => {
    const calls = new UnsentCalls();
    let undone = 0;
    calls.ended(call);
    calls.answered(answeredCall(1, () => (undone += 1)));
    calls.ended(call);
    expect(undone).toBe(1);
  });

  it('names the check of a refused call, while it is not known how that went', () => {
    const calls = new UnsentCalls();
    calls.answered(answeredCall(1, null));
    expect(calls.refused(refusedCall())?.decisionId).toBe(decisionId(1));
    expect(calls.refused(servedCall({ callName: NAME }))).toBeNull();
    calls.ended(refusedCall());
    expect(calls.refused(refusedCall())).toBeNull();
  });
});
