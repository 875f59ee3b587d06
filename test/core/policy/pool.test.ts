import { describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../src/core/policy/cedar.ts';
import { SlicePool } from '../../../src/core/policy/pool.ts';
import type { Pooled } from '../../../src/core/policy/pool.ts';

const request = {
  principal: { type: 'User', id: 'a' },
  action: { type: 'Action', id: 'a' },
  resource: { type: 'File', id: 'f' },
  context: {},
  entities: [],
};

/** A slice of that many policies, and how often it was parsed. */
const slice = (name: string, size = 1, text = 'permit (principal, action, resource);') => {
  let parsed = 0;
  const pooled: Pooled = {
    key: {},
    size,
    policies: () => {
      parsed += 1;
      const ids = Array.from({ length: size }, (_, index) => [`${name}${index}`, text]);
      return { staticPolicies: Object.fromEntries(ids) };
    },
  };
  return { pooled, parsed: () => parsed };
};

const asked = (pool: SlicePool, pooled: Pooled): readonly string[] => {
  const name = pool.nameOf(pooled);
  if (name === null) return ['refused'];
  const answer = pool.run((cedar) => cedar.statefulIsAuthorized({ ...request, preparsedPolicySetId: name }));
  return answer.type === 'failure' ? ['failure'] : answer.response.diagnostics.reason.toSorted();
};

describe('SlicePool', () => {
  it('parses a slice once, and gives each slice its own policies', () => {
    const pool = new SlicePool();
    const [a, b] = [slice('a', 2), slice('b')];
    for (let round = 0; round < 3; round += 1) {
      expect(asked(pool, a.pooled)).toEqual(['a0', 'a1']);
      expect(asked(pool, b.pooled)).toEqual(['b0']);
    }
    expect([a.parsed(), b.parsed()]).toEqual([1, 1]);
    expect(pool.sizes).toEqual({ slices: 2, policies: 3 });
  });

  it('holds at most `maxSlices` and evicts the least recently used', () => {
    const pool = new SlicePool(freshCedar, { maxSlices: 2, maxPolicies: 100 });
    const [a, b, c] = [slice('a'), slice('b'), slice('c')];
    for (const one of [a, b, a, c]) asked(pool, one.pooled);
    expect(pool.sizes).toEqual({ slices: 2, policies: 2 });
    expect(asked(pool, a.pooled)).toEqual(['a0']);
    expect(a.parsed()).toBe(1);
    expect(asked(pool, b.pooled)).toEqual(['b0']);
    expect(b.parsed()).toBe(2);
    expect(asked(pool, c.pooled)).toEqual(['c0']);
    expect(c.parsed()).toBe(2);
  });

  it('holds at most `maxPolicies`; a larger slice is held alone', () => {
    const pool = new SlicePool(freshCedar, { maxSlices: 10, maxPolicies: 5 });
    const [a, b, c, large] = [slice('a', 2), slice('b', 3), slice('c', 1), slice('l', 7)];
    for (const one of [a, b]) asked(pool, one.pooled);
    expect(pool.sizes).toEqual({ slices: 2, policies: 5 });
    asked(pool, c.pooled);
    expect(pool.sizes).toEqual({ slices: 2, policies: 4 });
    expect(asked(pool, large.pooled)).toHaveLength(7);
    expect(pool.sizes).toEqual({ slices: 1, policies: 7 });
    expect(asked(pool, b.pooled)).toEqual(['b0', 'b1', 'b2']);
    expect(pool.sizes).toEqual({ slices: 1, policies: 3 });
  });

  it('gives up all slices at once, and parses those still in use again', () => {
    const pool = new SlicePool(freshCedar, { maxSlices: 2, maxPolicies: 5 });
    const [a, b, c] = [slice('a', 2), slice('b', 3), slice('c', 5)];
    for (const one of [a, b]) asked(pool, one.pooled);
    pool.clear();
    expect(pool.sizes).toEqual({ slices: 0, policies: 0 });
    expect(asked(pool, c.pooled)).toHaveLength(5);
    expect(asked(pool, a.pooled)).toEqual(['a0', 'a1']);
    expect([a.parsed(), c.parsed()]).toEqual([2, 1]);
    pool.clear();
    expect(pool.sizes).toEqual({ slices: 0, policies: 0 });
  });

  it('returns no name for policies that the engine refuses, and loses none', () => {
    const pool = new SlicePool(freshCedar, { maxSlices: 1, maxPolicies: 5 });
    for (let round = 0; round < 3; round += 1)
      expect(asked(pool, slice('x', 1, 'permit (').pooled)).toEqual(['refused']);
    expect(asked(pool, slice('a').pooled)).toEqual(['a0']);
    expect(pool.sizes).toEqual({ slices: 1, policies: 1 });
  });

  it('starts with a new instance after a trap', () => {
    let instances = 0;
    const pool = new SlicePool(() => {
      instances += 1;
      return freshCedar();
    });
    const a = slice('a');
    asked(pool, a.pooled);
    expect(() =>
      pool.run(() => {
        throw Object.assign(new Error('unreachable'), { name: 'RuntimeError' });
      }),
    ).toThrow('unreachable');
    expect(asked(pool, a.pooled)).toEqual(['a0']);
    expect([instances, a.parsed()]).toEqual([2, 2]);
    expect(pool.sizes).toEqual({ slices: 1, policies: 1 });
    const plain = (): never =>
      pool.run(() => {
        throw new Error('refused');
      });
    expect(plain).toThrow('refused');
    expect(asked(pool, a.pooled)).toEqual(['a0']);
    expect(instances).toBe(2);
  });

  it('holds one schema at a time, and none that the engine refuses', () => {
    const pool = new SlicePool();
    expect(pool.schemaName('entity A;')).toBe('schema');
    expect(pool.schemaName('entity A;')).toBe('schema');
    expect(pool.schemaName('entity')).toBeNull();
    expect(pool.schemaName({ '': { entityTypes: { B: {} }, actions: {} } })).toBe('schema');
  });
});
