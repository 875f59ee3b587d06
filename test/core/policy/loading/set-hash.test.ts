import * as fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { hasSetHash, setHashOf } from '../../../../src/core/policy/loading/set-hash.ts';

const file = (name: string, text: string) => ({ name, file: name, text });

type Source = Parameters<typeof setHashOf>[0];

/** A set whose hash is written down below: in the form of this version, and in that of earlier ones. */
const set: Source = {
  catalogs: [file('actions.yaml', 'version: 1\n')],
  schema: file('base.cedarschema', 'namespace Remit {}\n'),
  entities: [file('people.cedarentities.json', '[]')],
  policies: [
    file('a.cedar', 'permit (principal, action, resource);'),
    file('b.cedar', 'forbid (principal, action, resource);'),
  ],
  descriptorSets: new Map([['shop.binpb', Buffer.from([1, 2, 255])]]),
};
const NOW = 'sha-256:zI-0JiS9iPrpIOStSKymOhHDNSBWYkUXI7BreSoBk4A';
const FORMER = 'sha-256:BwH_fGs_ykMPe5aqbiltYE8wZSNEyv5WR2zVLj3RkM4';

type Files = readonly (readonly (readonly [name: string, text: string])[])[];

function setWith([entities = [], policies = [], sets = []]: Files): Source {
  const placed = (files: Files[number]) => files.map(([name, text]) => file(name, text));
  const descriptorSets = new Map(sets.map(([name, text]) => [name, Buffer.from(text)] as const));
  return { ...set, entities: placed(entities), policies: placed(policies), descriptorSets };
}

/** Its forbid among the entities, where it decides nothing. */
const moved: Source = {
  ...set,
  entities: [...set.entities, ...set.policies],
  policies: [],
};

describe('setHashOf', () => {
  it('is written down: another hash would need a new version mark', () => {
    expect(setHashOf(set)).toBe(NOW);
  });

  it('is that of a set without enforcement only if there is none', () => {
    const observing = { ...set, enforcement: file('enforcement.yaml', '') };
    expect(setHashOf(observing)).not.toBe(NOW);
    expect([hasSetHash(observing, NOW), hasSetHash(observing, FORMER)]).toEqual([false, false]);
    expect(setHashOf({ ...set, enforcement: file('enforcement.yaml', 'observe: []') })).not.toBe(setHashOf(observing));
  });

  it('is that of a set without limits only if there are none', () => {
    const limited = { ...set, limits: file('limits.yaml', '') };
    expect(setHashOf(limited)).not.toBe(NOW);
    expect([hasSetHash(limited, NOW), hasSetHash(limited, FORMER)]).toEqual([false, false]);
    expect(setHashOf({ ...set, limits: file('limits.yaml', 'limits: []') })).not.toBe(setHashOf(limited));
    // What is a limit is no entry of enforcement, whatever the file is called.
    expect(setHashOf({ ...set, enforcement: file('limits.yaml', '') })).not.toBe(setHashOf(limited));
  });

  it('is that of a catalog of one file only if there is one (issue 43, point 2)', () => {
    const [first] = set.catalogs;
    const own = file('actions/payments.yaml', 'servers: {}');
    const both: Source = { ...set, catalogs: [...set.catalogs, own] };
    expect(setHashOf(both)).not.toBe(NOW);
    expect([hasSetHash(both, NOW), hasSetHash(both, FORMER)]).toEqual([false, false]);
    // The same texts in one file, or among the entities, are another set.
    expect(setHashOf({ ...set, catalogs: [{ ...own, text: `${first?.text ?? ''}${own.text}` }] })).not.toBe(
      setHashOf(both),
    );
    expect(setHashOf({ ...set, entities: [own, ...set.entities] })).not.toBe(setHashOf(both));
  });

  // Issue 37, point 3: these had the same hash.
  it.each<[string, Source]>([
    ['policies are among the entities', moved],
    ['an entity is among the policies', { ...set, entities: [], policies: [...set.entities, ...set.policies] }],
    [
      'a policy is a descriptor set',
      {
        ...set,
        policies: set.policies.slice(0, 1),
        descriptorSets: new Map([
          ...set.policies.slice(1).map(({ name, text }) => [name, Buffer.from(text)] as const),
          ...set.descriptorSets,
        ]),
      },
    ],
  ])('differs if %s', (_where, other) => {
    expect(setHashOf(other)).not.toBe(setHashOf(set));
    expect([hasSetHash(other, NOW), hasSetHash(other, FORMER)]).toEqual([false, false]);
  });

  it('differs for any two sets', () => {
    const files = fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 3 });
    const any = fc.tuple(
      files,
      files,
      fc.uniqueArray(fc.tuple(fc.string(), fc.string()), { selector: ([name]) => name }),
    );
    fc.assert(
      fc.property(
        any,
        any,
        (one, other) =>
          (setHashOf(setWith(one)) === setHashOf(setWith(other))) === (JSON.stringify(one) === JSON.stringify(other)),
      ),
    );
  });
});

describe('hasSetHash', () => {
  it('takes that of an earlier version too, which ledgers and bundles have', () => {
    expect([hasSetHash(set, NOW), hasSetHash(set, FORMER)]).toEqual([true, true]);
  });

  it('takes neither for another text', () => {
    const other = { ...set, schema: file('base.cedarschema', '') };
    expect([hasSetHash(other, NOW), hasSetHash(other, FORMER)]).toEqual([false, false]);
  });
});
