import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { thoroughly } from '../../../thoroughly.ts';
import { HubWorld, LEASE_MS } from '../hub-world.ts';

const numbers = fc.noBias(fc.array(fc.nat(), { minLength: 200, maxLength: 1_200, size: 'max' }));

/** A world after steps chosen by the numbers, of which the last are left for the choices within a step. */
function worldAfter(chosen: readonly number[], afterEach: (world: HubWorld) => void): HubWorld {
  const world = new HubWorld();
  for (const number of chosen) {
    let rest = number;
    const next = (bound: number): number => {
      const value = bound === 0 ? 0 : rest % bound;
      rest = Math.floor(rest / Math.max(bound, 1));
      return value;
    };
    world.step(next);
    afterEach(world);
  }
  return world;
}

describe('FeedHub', () => {
  it('lets no sidecar use a state from before an enforced change', () => {
    fc.assert(
      fc.property(numbers, (chosen) => {
        const violations: string[] = [];
        worldAfter(chosen, (world) => violations.push(...(world.violation() ?? [])));
        expect(violations).toEqual([]);
      }),
      { numRuns: thoroughly(60_000, 1_500), endOnFailure: true },
    );
  });

  it('renews all leases and enforces all changes once nothing fails', () => {
    fc.assert(
      fc.property(numbers, (chosen) => {
        const world = worldAfter(chosen, () => undefined);
        world.settle();
        expect(world.sidecars.map(({ leaseUntilMs }) => leaseUntilMs)).toEqual([
          world.nowMs + LEASE_MS,
          world.nowMs + LEASE_MS,
        ]);
        expect(world.violation()).toBeNull();
        expect(world.pending).toEqual([]);
        expect(world.hub.enforced).toBe(world.feed.length);
      }),
      { numRuns: thoroughly(2_000, 150), endOnFailure: true },
    );
  });

  it('enforces every change a lease and a margin after it, whatever sidecars do', () => {
    fc.assert(
      fc.property(numbers, (chosen) => {
        const world = worldAfter(chosen, () => undefined);
        world.poll();
        world.nowMs += LEASE_MS + 250;
        expect(world.violation()).toBeNull();
        expect(world.pending).toEqual([]);
      }),
      { numRuns: thoroughly(2_000, 100), endOnFailure: true },
    );
  });
});
