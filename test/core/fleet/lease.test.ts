import { describe, expect, it } from '@jest/globals';
import { Lease } from '../../../src/core/fleet/lease.ts';

/** A moment by clocks that agree. */
const at = (monotonicMs: number, aheadMs = 0) => ({ monotonicMs, wallMs: 1_000_000 + monotonicMs + aheadMs });

describe('the lease of a sidecar', () => {
  it('runs from the moment at which the answered ping was sent', () => {
    const lease = new Lease();
    expect(lease.isCurrent(at(0))).toBe(false);
    const n = lease.ping(at(1_000));
    expect(lease.isCurrent(at(1_000))).toBe(false);
    expect(lease.renew(n, 5_000)).toBe(true);
    expect([lease.isCurrent(at(5_999)), lease.isCurrent(at(6_000))]).toEqual([true, false]);
  });

  it('is renewed by the answer to its own ping alone, and once', () => {
    const lease = new Lease();
    const n = lease.ping(at(0));
    expect(lease.renew(n + 1, 5_000)).toBe(false);
    expect(lease.renew(n, 5_000)).toBe(true);
    expect(lease.renew(n, 50_000)).toBe(false);
    expect([lease.leftMs(at(0)), lease.leftMs(at(5_001))]).toEqual([5_000, 0]);
  });

  it('is not shortened by a late answer to an earlier ping, which is no longer awaited', () => {
    const lease = new Lease();
    const [first, second] = [lease.ping(at(0)), lease.ping(at(1_000))];
    expect(lease.renew(second, 5_000)).toBe(true);
    expect(lease.renew(first, 5_000)).toBe(false);
    expect(lease.leftMs(at(0))).toBe(6_000);
  });

  it('is over once the wall clock has run ahead of it, as after a pause of the machine (issue 37, point 13)', () => {
    const lease = new Lease();
    lease.renew(lease.ping(at(0)), 5_000);
    // The machine stood still for an hour, and its monotonic clock with it.
    expect([lease.isCurrent(at(1_000)), lease.isCurrent(at(1_000, 3_600_000))]).toEqual([true, false]);
    // By less than the lease.
    expect([lease.isCurrent(at(1_000, 3_999)), lease.isCurrent(at(1_000, 4_000))]).toEqual([true, false]);
    // A clock that is set back lengthens nothing, and one that stays ahead has a lease again with the next answer.
    expect([lease.isCurrent(at(4_999, -3_600_000)), lease.isCurrent(at(5_000, -3_600_000))]).toEqual([true, false]);
    lease.renew(lease.ping(at(2_000, 3_600_000)), 5_000);
    expect([lease.isCurrent(at(6_999, 3_600_000)), lease.isCurrent(at(7_000, 3_600_000))]).toEqual([true, false]);
  });

  it('waits for the last 64 pings', () => {
    const lease = new Lease();
    const numbers = Array.from({ length: 65 }, (_, index) => lease.ping(at(index)));
    expect(lease.renew(numbers[0] ?? 0, 5_000)).toBe(false);
    expect(lease.renew(numbers[1] ?? 0, 5_000)).toBe(true);
  });

  it('ends at once', () => {
    const lease = new Lease();
    const n = lease.ping(at(0));
    lease.renew(n, 5_000);
    const unanswered = lease.ping(at(1));
    lease.end();
    expect([lease.isCurrent(at(1)), lease.renew(unanswered, 5_000)]).toEqual([false, false]);
  });
});
