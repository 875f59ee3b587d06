import { describe, expect, it } from '@jest/globals';
import { keysOfEntity, scopeFrom } from '../../src/policy/scope.ts';
import type { Scope, Slots } from '../../src/policy/scope.ts';
import { SliceIndex } from '../../src/policy/slice.ts';
import { freshCedar } from '../../src/policy/cedar.ts';
import { mustJson } from './policies.ts';

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

  it('gives each policy once and in order, whatever constraint it is found by', () => {
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

  it('is empty where nothing can match', () => {
    expect(new SliceIndex([]).sliceFor(asked)).toEqual({ name: '', members: [] });
  });
});
