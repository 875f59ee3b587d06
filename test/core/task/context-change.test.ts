import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { Attestation } from '../../../src/core/task/attestation.ts';
import { changedNames, contextAfter, contextChanges, contextEffects } from '../../../src/core/task/context-change.ts';
import type { Task } from '../../../src/core/task/task.ts';
import { must } from '../../builders/must.ts';

describe('changedNames', () => {
  it('names what is changed, new and gone, and only that', () => {
    const before = { same: '1', changed: '1', gone: '1' };
    expect(changedNames(before, { same: '1', changed: '2', new: '' })).toEqual(['changed', 'gone', 'new']);
  });

  it('is not misled by Object.prototype', () => {
    expect(changedNames({}, { constructor: 'x' })).toEqual(['constructor']);
    expect(changedNames({ toString: 'x' }, {})).toEqual(['toString']);
  });

  it('is empty for equal contexts and the same both ways', () => {
    const context = fc.dictionary(fc.string(), fc.string());
    fc.assert(
      fc.property(context, context, (a, b) => {
        expect(changedNames(a, { ...a })).toEqual([]);
        expect(changedNames(a, b)).toEqual(changedNames(b, a));
      }),
    );
  });
});

describe('contextChanges', () => {
  const approval = { name: 'approval', value: 'finance', by: 'w', kind: 'writer' } as const;

  it('revokes for whatever is other than it was, and asks for what is newly attested', () => {
    const none = { claimed: {}, attested: [] };
    const [claimed, attested] = [
      { ...none, claimed: { a: '1' } },
      { ...none, attested: [approval] },
    ];
    expect(contextChanges(none, claimed, 'agent')).toEqual([{ name: 'a', otherwise: 'revoke' }]);
    expect(contextChanges(none, attested, 'writer')).toEqual([{ name: 'approval', otherwise: 'ask' }]);
    expect(contextChanges(attested, none, 'writer')).toEqual([{ name: 'approval', otherwise: 'revoke' }]);
    const other = { ...none, attested: [{ ...approval, value: 'nobody' }] };
    expect(contextChanges(attested, other, 'writer')).toEqual([{ name: 'approval', otherwise: 'revoke' }]);
    expect(contextChanges(attested, attested, 'writer')).toEqual([]);
    for (const after of [none, other]) {
      expect(contextChanges(attested, after, 'signal')).toEqual([{ name: 'approval', otherwise: 'ask' }]);
    }
  });
});

describe('contextAfter', () => {
  it('never makes an attested value of what an agent says, nor a claim of what others say', () => {
    const names = fc.constantFrom('x', 'y', 'constructor');
    const said = {
      by: fc.constantFrom('a', 'b', 'c'),
      values: fc.dictionary(names, fc.string(), { maxKeys: 3 }),
      withdraw: fc.subarray(['a', 'b', 'c']),
    };
    const saying = fc.oneof(
      fc.record({ ...said, kind: fc.constantFrom('agent' as const, 'writer' as const, 'operator' as const) }),
      fc.record({
        kind: fc.constant('signal' as const),
        by: said.by,
        values: fc.dictionary(names, fc.option(fc.string()), { maxKeys: 3 }),
      }),
    );
    fc.assert(
      fc.property(fc.array(saying, { maxLength: 12 }), (sayings) => {
        let task: Pick<Task, 'claimed' | 'attested'> = { claimed: {}, attested: [] };
        for (const one of sayings) {
          const before = task;
          const facts = must(contextAfter(task, one));
          const { claimed, attested } = { ...before, ...facts };
          task = { claimed, attested };
          if (one.kind === 'agent') expect(task.attested).toBe(before.attested);
          else expect(task.claimed).toBe(before.claimed);
          const isTouched = ({ by }: Attestation): boolean =>
            by === one.by || (one.kind === 'operator' && one.withdraw.includes(by));
          const others = before.attested.filter((value) => !isTouched(value));
          expect(task.attested.filter(({ by }) => by !== one.by || one.kind === 'agent')).toEqual(
            one.kind === 'agent' ? before.attested : others,
          );
        }
      }),
    );
  });
});

const signal = (values: Readonly<Record<string, string | null>>) => ({ kind: 'signal', by: 't', values }) as const;
const numbered = (from: number, to: number) =>
  Object.fromEntries(Array.from({ length: to - from }, (_, n) => [`n${from + n}`, 'x']));

describe('contextAfter of a security event', () => {
  it('changes the values it names, takes away those that are null, and leaves the others of its transmitter', () => {
    const attested = [
      { name: 'a', value: '1', by: 't', kind: 'signal' },
      { name: 'b', value: '1', by: 't', kind: 'signal' },
      { name: 'c', value: '1', by: 't', kind: 'signal' },
      { name: 'a', value: '1', by: 'w', kind: 'writer' },
    ] as const;
    expect(contextAfter({ attested }, signal({ a: '2', b: null, d: '4' }))).toEqual({
      attested: [
        { name: 'a', value: '2', by: 't', kind: 'signal' },
        { name: 'c', value: '1', by: 't', kind: 'signal' },
        { name: 'd', value: '4', by: 't', kind: 'signal' },
        { name: 'a', value: '1', by: 'w', kind: 'writer' },
      ],
    });
  });

  it('has no more than 16 values by one transmitter, in one event or in many', () => {
    expect(contextAfter({ attested: [] }, signal(numbered(0, 17)))).toHaveProperty('problem');
    const first = contextAfter({ attested: [] }, signal(numbered(0, 16)));
    if (!('attested' in first)) throw new Error('there is room for 16');
    expect(contextAfter(first, signal(numbered(16, 17)))).toHaveProperty('problem');
    expect(contextAfter(first, signal({ n0: null, n16: 'x' }))).toHaveProperty('attested.length', 16);
  });
});

describe('contextEffects', () => {
  it('revokes for a name without a rule, whatever it is called', () => {
    const changes = ['a', 'constructor'].map((name) => ({ name, otherwise: 'revoke' as const }));
    expect([...contextEffects({ contextRules: { a: 'ask' } }, changes)]).toEqual(['ask', 'revoke']);
  });
});
