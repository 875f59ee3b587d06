import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ByteBudget, messageBudgets } from '../../../../src/sidecar/envoy/grpc/byte-budget.ts';
import { MAX_CHECK_BYTES } from '../../../../src/sidecar/envoy/check/check-call.ts';
import { GrpcMessages } from '../../../../src/sidecar/envoy/grpc/grpc-messages.ts';
import { HELD_BYTES } from '../../../../src/sidecar/envoy/limits.ts';

describe('ByteBudget', () => {
  it('takes bytes from child and parent, or nothing if either has too few', () => {
    const whole = new ByteBudget(100);
    const [one, other] = [new ByteBudget(80, whole), new ByteBudget(80, whole)];
    expect([one.take(81), one.take(80), one.take(1), other.take(21), other.take(20)]).toEqual([
      false,
      true,
      false,
      false,
      true,
    ]);
    expect([whole.held, one.held, other.held]).toEqual([100, 80, 20]);
    one.give(1);
    expect([whole.held, whole.take(2), other.take(1), whole.held]).toEqual([99, false, true, 100]);
  });

  it('has room for the largest check, and for complete checks beside everything else', () => {
    expect(HELD_BYTES.unfinishedChecks).toBeGreaterThanOrEqual(2 * MAX_CHECK_BYTES);
    const { all, unfinishedChecks, accessLogs } = messageBudgets();
    expect([unfinishedChecks.take(HELD_BYTES.unfinishedChecks), accessLogs.take(HELD_BYTES.accessLogs)]).toEqual([
      true,
      true,
    ]);
    expect(all.take(2 * MAX_CHECK_BYTES)).toBe(true);
  });

  it('gets everything back from messages, whatever happened to them', () => {
    const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 }), { maxLength: 12 });
    fc.assert(
      fc.property(chunks, fc.integer({ min: 100, max: 3_000 }), (sent, max) => {
        const budget = new ByteBudget(max);
        const messages = new GrpcMessages(300, budget);
        for (const chunk of sent) {
          messages.add(Buffer.from(chunk));
          const isHeld = messages.hold();
          expect(budget.held).toBeLessThanOrEqual(max);
          expect(isHeld || (budget.held === 0 && !messages.isPartial)).toBe(true);
          if (!messages.isPartial) messages.letGo();
        }
        messages.letGo();
        messages.letGo();
        expect(budget.held).toBe(0);
      }),
    );
  });
});
