import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { keysOfEntity, scopeFrom } from '../../../../src/core/policy/answers/scope.ts';
import type { Constraint, Scope, Slots, Test } from '../../../../src/core/policy/answers/scope.ts';
import { SliceIndex } from '../../../../src/core/policy/answers/slice.ts';
import { freshCedar } from '../../../../src/core/policy/cedar.ts';
import { entityKey } from '../../../../src/core/policy/entities.ts';
import type { EntityUid } from '../../../../src/core/policy/entities.ts';
import { mustJson } from '../policies.ts';

const cedar = freshCedar();
const scopeOf = (head: string): Scope => scopeFrom(mustJson(`permit (${head});`));
const templateScope = (head: string, slots: Slots): Scope => {
  const read = cedar.templateToJson(`permit (${head});`);
  if (read.type === 'failure') throw new Error(head);
  return scopeFrom(read.json, slots);
};
const entity = (type: string, id: string, ...groups: readonly string[]) =>
  keysOfEntity({ type, id }, [`${type} ${id}`, ...groups]);

/** Alice of the group `payers`, in a group of all; `write`, of high risk; a file in a folder of a server. */
const asked = {
  principal: entity('N::User', 'alice', 'Group payers', 'Group all'),
  action: entity('Action', 'write', 'Action high'),
  resource: entity('File', 'f', 'Folder d', 'Server s'),
};
const matches = (scope: Scope): boolean => new SliceIndex([scope]).sliceFor(asked).members.length === 1;

/** One policy for each group, found by that group alone. */
const ofGroups = (count: number): SliceIndex =>
  new SliceIndex(
    Array.from({ length: count }, (_, group) => scopeOf(`principal in Group::"${group}", action, resource`)),
  );
const inGroups = (groups: readonly number[]) => ({
  ...asked,
  principal: entity('N::User', 'alice', ...groups.map((group) => `Group ${group}`)),
});
/** Indices of the set bits. */
const subset = (bits: number): readonly number[] =>
  Array.from({ length: 13 }, (_, at) => at).filter((at) => ((bits >> at) & 1) === 1);

/** An entity with its ancestors. */
interface One {
  readonly uid: EntityUid;
  readonly groups: readonly EntityUid[];
}
const types = ['N::User', 'User', 'Group'];
const someUid = fc.constantFrom(...types.flatMap((type) => ['a', 'b', 'a in b'].map((id) => ({ type, id }))));
const isSame = (left: EntityUid, right: EntityUid): boolean => left.type === right.type && left.id === right.id;
const isIn = ({ uid, groups }: One, group: EntityUid): boolean => [uid, ...groups].some((held) => isSame(held, group));
const keysOf = ({ uid, groups }: One) => keysOfEntity(uid, [uid, ...groups].map(entityKey));
/** Cedar's semantics of scopes, test by test. */
const holds = (constraint: Constraint, one: One): boolean =>
  constraint.some((test) => {
    if (test.kind === 'any') return true;
    if (test.kind === 'is') return one.uid.type === test.type && (test.within === null || isIn(one, test.within));
    return test.kind === 'equal' ? isSame(one.uid, test.uid) : isIn(one, test.uid);
  });

describe('SliceIndex.sliceFor', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['no constraint', 'principal, action, resource', true],
    ['the principal', 'principal == N::User::"alice", action, resource', true],
    ['another principal', 'principal == N::User::"bob", action, resource', false],
    ['the same id of another type', 'principal == User::"alice", action, resource', false],
    ['in the principal itself', 'principal in N::User::"alice", action, resource', true],
    ['a group of the principal', 'principal in Group::"payers", action, resource', true],
    ['a group of its group', 'principal in Group::"all", action, resource', true],
    ['a group it is not in', 'principal in Group::"other", action, resource', false],
    ['a group as the principal', 'principal == Group::"payers", action, resource', false],
    ['the type', 'principal is N::User, action, resource', true],
    ['another type', 'principal is User, action, resource', false],
    ['the type in a group', 'principal is N::User in Group::"all", action, resource', true],
    ['another type in a group', 'principal is User in Group::"all", action, resource', false],
    ['the type in another group', 'principal is N::User in Group::"other", action, resource', false],
    ['the action', 'principal, action == Action::"write", resource', true],
    ['another action', 'principal, action == Action::"read", resource', false],
    ['the group of the action', 'principal, action in Action::"high", resource', true],
    ['the group as the action', 'principal, action == Action::"high", resource', false],
    ['a list with the action', 'principal, action in [Action::"read", Action::"write"], resource', true],
    ['a list with its group', 'principal, action in [Action::"low", Action::"high"], resource', true],
    ['a list without', 'principal, action in [Action::"low", Action::"read"], resource', false],
    ['an empty list', 'principal, action in [], resource', false],
    ['the resource', 'principal, action, resource == File::"f"', true],
    ['another resource', 'principal, action, resource == File::"g"', false],
    ['the server of the resource', 'principal, action, resource in Server::"s"', true],
    ['another server', 'principal, action, resource in Server::"t"', false],
    ['the type of the resource in its folder', 'principal, action, resource is File in Folder::"d"', true],
    ['all three', 'principal in Group::"all", action in Action::"high", resource in Server::"s"', true],
    ['two of three', 'principal in Group::"all", action in Action::"high", resource in Server::"t"', false],
  ];
  it.each(rows)('%s', (_name, head, isMatch) => {
    expect(matches(scopeOf(head))).toBe(isMatch);
  });

  const alice = { type: 'N::User', id: 'alice' };
  const bob = { type: 'N::User', id: 'bob' };
  const links: readonly (readonly [string, string, Slots, boolean])[] = [
    ['a slot that is the principal', 'principal == ?principal, action, resource', { '?principal': alice }, true],
    ['a slot that is another', 'principal == ?principal, action, resource', { '?principal': bob }, false],
    ['a slot in', 'principal in ?principal, action, resource', { '?principal': { type: 'Group', id: 'all' } }, true],
    ['a typed slot', 'principal is User in ?principal, action, resource', { '?principal': alice }, false],
    [
      'a slot of the resource',
      'principal, action, resource in ?resource',
      { '?resource': { type: 'Server', id: 's' } },
      true,
    ],
    ['another resource', 'principal, action, resource == ?resource', { '?resource': { type: 'File', id: 'g' } }, false],
    ['a slot without a value, which holds for everything', 'principal == ?principal, action, resource', {}, true],
    ['a slot called like a property', 'principal == ?principal, action, resource', { toString: bob }, true],
  ];
  it.each(links)('a linked policy with %s', (_name, head, slots, isMatch) => {
    expect(matches(templateScope(head, slots))).toBe(isMatch);
  });

  it.each([
    ['no JSON at all', null],
    [
      'an operator that is not known',
      { principal: { op: 'near', entity: bob }, action: { op: 'All' }, resource: { op: 'All' } },
    ],
    ['an equality without an entity', { principal: { op: '==' } }],
    ['a list of something else', { action: { op: 'in', entities: [1] } }],
    ['a list that is none', { action: { op: 'in', entities: 'x' } }],
    ['a type that is no text', { principal: { op: 'is', entity_type: 1 } }],
    ['a type in something else', { principal: { op: 'is', entity_type: 'User', in: {} } }],
  ])('keeps a policy whose scope is %s', (_name, json) => {
    expect(matches(scopeFrom(json))).toBe(true);
  });

  it('returns policies without duplicates, in order', () => {
    const heads = [
      'principal, action in [Action::"write", Action::"high", Action::"write"], resource',
      'principal == N::User::"bob", action, resource',
      'principal, action, resource',
      'principal, action in [Action::"high"], resource',
    ];
    const index = new SliceIndex(heads.map(scopeOf));
    const slice = index.sliceFor(asked);
    expect(slice.members).toEqual([0, 2, 3]);
    expect(index.sliceFor({ ...asked, principal: entity('N::User', 'carol') })).toBe(slice);
    expect(index.size).toBe(1);
    const bobs = index.sliceFor({ ...asked, principal: entity('N::User', 'bob') });
    expect(bobs.members).toEqual([0, 1, 2, 3]);
    expect(bobs.name).not.toBe(slice.name);
    expect(index.size).toBe(2);
  });

  it('distinguishes slices whose names have the same digits', () => {
    const index = ofGroups(124);
    for (const groups of [[1, 2, 3], [1, 23], [123], [0], [12, 3], [2, 13]]) {
      expect(index.sliceFor(inGroups(groups)).members).toEqual(groups.toSorted((left, right) => left - right));
    }
  });

  it('returns one slice for equal groups in any order', () => {
    const index = ofGroups(30);
    const groups = fc.uniqueArray(fc.nat(29), { maxLength: 6 });
    fc.assert(
      fc.property(
        groups.chain((chosen) => fc.tuple(fc.constant(chosen), fc.shuffledSubarray(chosen))),
        ([chosen, some]) => {
          const slice = index.sliceFor(inGroups(chosen));
          expect(slice.members).toEqual(chosen.toSorted((left, right) => left - right));
          expect(index.sliceFor(inGroups(chosen.toReversed()))).toBe(slice);
          expect(index.sliceFor(inGroups(some)) === slice).toBe(some.length === chosen.length);
        },
      ),
    );
  });

  it('keeps 4,096 slices and builds evicted slices again', () => {
    const index = ofGroups(13);
    for (let bits = 0; bits < 2 ** 13; bits += 1) index.sliceFor(inGroups(subset(bits)));
    expect(index.size).toBe(4096);
    expect(index.sliceFor(inGroups(subset(5))).members).toEqual([0, 2]);
  });

  it('contains exactly the policies whose scope matches, for random questions', () => {
    const test: fc.Arbitrary<Test> = fc.oneof(
      fc.constant<Test>({ kind: 'any' }),
      fc.record({ kind: fc.constantFrom('equal', 'in'), uid: someUid }),
      fc.record({ kind: fc.constant('is'), type: fc.constantFrom(...types), within: fc.option(someUid) }),
    );
    const tests = fc.array(test, { maxLength: 2 });
    const scopes: fc.Arbitrary<Scope> = fc.record({ principal: tests, action: tests, resource: tests });
    const one: fc.Arbitrary<One> = fc.record({ uid: someUid, groups: fc.array(someUid, { maxLength: 3 }) });
    const question = fc.record({ principal: one, action: one, resource: one });
    fc.assert(
      fc.property(
        fc.array(scopes, { maxLength: 20 }),
        fc.array(question, { minLength: 1, maxLength: 8 }),
        (all, asks) => {
          const index = new SliceIndex(all);
          for (const { principal, action, resource } of asks) {
            const keys = { principal: keysOf(principal), action: keysOf(action), resource: keysOf(resource) };
            const expected = all.flatMap((scope, at) =>
              holds(scope.principal, principal) && holds(scope.action, action) && holds(scope.resource, resource)
                ? [at]
                : [],
            );
            expect(index.sliceFor(keys).members).toEqual(expected);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is empty if nothing can match', () => {
    expect(new SliceIndex([]).sliceFor(asked)).toEqual({ name: '', members: [] });
  });
});
