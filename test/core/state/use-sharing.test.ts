import { describe, expect, it } from '@jest/globals';
import { jtiDigestOf } from '../../../src/core/token/jti-digest.ts';
import type { UsesOfToken } from '../../../src/core/state/reported-uses.ts';
import { UseSharing } from '../../../src/core/state/use-sharing.ts';
import { useKeyOf } from '../../../src/core/token/use-key.ts';
import { TokenUses } from '../../../src/core/token/uses.ts';
import { HeldTimers } from '../identity/held-timers.ts';
import { issuer, taskNumber } from '../../builders/task.ts';

const token = (n: number) => ({
  issuer,
  taskId: taskNumber(n).id,
  tokenId: `token-${n}`,
  useKey: useKeyOf(issuer, `token-${n}`),
});
const now = {
  traceId: 'a'.repeat(32),
  connection: '10.0.0.1:5000',
  address: '10.0.0.1',
  certificate: 'c',
  server: 'payments',
  risk: 'low',
};

function sharing() {
  const uses = new TokenUses(10);
  const timers = new HeldTimers();
  const reported: UsesOfToken[] = [];
  const made = new UseSharing({
    uses,
    usesBefore: (key, digest) =>
      digest === jtiDigestOf('token-9') ? undefined : { uses: key.id.length, last: null, allowed: null },
    report: (one) => reported.push(one),
    after: timers.after,
  });
  const use = (n: number): void => {
    const one = uses.next(token(n).useKey, now);
    made.used(token(n), { isNewPlace: uses.allowed(token(n).useKey, one) });
  };
  return { made, use, timers, told: () => reported.splice(0).map((one) => [one.jtiDigest, one.uses]) };
}

describe('UseSharing', () => {
  it('reports a use at a new place at once, and the others together after five seconds', () => {
    const { use, timers, told } = sharing();
    use(1);
    expect(told()).toEqual([[jtiDigestOf('token-1'), 1]]);
    for (let n = 0; n < 4; n += 1) use(1);
    use(2);
    use(2);
    expect(told()).toEqual([[jtiDigestOf('token-2'), 1]]);
    expect(timers.delays).toEqual([5_000]);
    timers.fire();
    expect(told()).toEqual([
      [jtiDigestOf('token-1'), 5],
      [jtiDigestOf('token-2'), 2],
    ]);
    expect(timers.delays).toEqual([]);
    use(1);
    timers.fire();
    expect(told()).toEqual([[jtiDigestOf('token-1'), 6]]);
  });

  it('reports what waits when it is closed', () => {
    const { made, use, timers, told } = sharing();
    use(1);
    use(1);
    told();
    made.close();
    expect([told(), timers.delays]).toEqual([[[jtiDigestOf('token-1'), 2]], []]);
  });

  it('says what others have reported of a token, and that nothing is known yet', () => {
    const { made } = sharing();
    expect(made.before(token(1))).toMatchObject({ uses: taskNumber(1).id.length });
    expect(made.before(token(9))).toBeUndefined();
  });
});
