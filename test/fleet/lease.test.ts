import { describe, expect, it } from '@jest/globals';
import { Lease } from '../../src/fleet/lease.ts';

describe('the lease of a sidecar', () => {
  it('runs from the moment at which the answered ping was sent', () => {
    const lease = new Lease();
    expect(lease.isCurrent(0)).toBe(false);
    const n = lease.ping(1_000);
    expect(lease.isCurrent(1_000)).toBe(false);
    expect(lease.renew(n, 5_000)).toBe(true);
    expect([lease.isCurrent(5_999), lease.isCurrent(6_000)]).toEqual([true, false]);
  });

  it('is renewed by the answer to its own ping alone, and once', () => {
    const lease = new Lease();
    const n = lease.ping(0);
    expect(lease.renew(n + 1, 5_000)).toBe(false);
    expect(lease.renew(n, 5_000)).toBe(true);
    expect(lease.renew(n, 50_000)).toBe(false);
    expect(lease.untilMs).toBe(5_000);
  });

  it('is not shortened by a late answer to an earlier ping, which is no longer awaited', () => {
    const lease = new Lease();
    const [first, second] = [lease.ping(0), lease.ping(1_000)];
    expect(lease.renew(second, 5_000)).toBe(true);
    expect(lease.renew(first, 5_000)).toBe(false);
    expect(lease.untilMs).toBe(6_000);
  });

  it('waits for the last 64 pings', () => {
    const lease = new Lease();
    const numbers = Array.from({ length: 65 }, (_, index) => lease.ping(index));
    expect(lease.renew(numbers[0] ?? 0, 5_000)).toBe(false);
    expect(lease.renew(numbers[1] ?? 0, 5_000)).toBe(true);
  });

  it('ends at once', () => {
    const lease = new Lease();
    const n = lease.ping(0);
    lease.renew(n, 5_000);
    const unanswered = lease.ping(1);
    lease.end();
    expect([lease.isCurrent(1), lease.renew(unanswered, 5_000)]).toEqual([false, false]);
  });
});
