import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { Attestation } from '../../src/task/attestation.ts';
import { changedNames, contextAfter, contextChanges, contextEffects } from '../../src/task/context-change.ts';
import type { Task } from '../../src/task/task.ts';

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
    expect(contextChanges(none, claimed)).toEqual([{ name: 'a', otherwise: 'revoke' }]);
    expect(contextChanges(none, attested)).toEqual([{ name: 'approval', otherwise: 'ask' }]);
    expect(contextChanges(attested, none)).toEqual([{ name: 'approval', otherwise: 'revoke' }]);
    const other = { ...none, attested: [{ ...approval, value: 'nobody' }] };
    expect(contextChanges(attested, other)).toEqual([{ name: 'approval', otherwise: 'revoke' }]);
    expect(contextChanges(attested, attested)).toEqual([]);
  });
});

describe('contextAfter', () => {
  it('never makes an attested value of what an agent says, nor a claim of what others say', () => {
    const saying = fc.record({
      kind: fc.constantFrom('agent' as const, 'writer' as const, 'operator' as const),
      by: fc.constantFrom('a', 'b', 'c'),
      values: fc.dictionary(fc.constantFrom('x', 'y', 'constructor'), fc.string(), { maxKeys: 3 }),
      withdraw: fc.subarray(['a', 'b', 'c']),
    });
    fc.assert(
      fc.property(fc.array(saying, { maxLength: 12 }), (sayings) => {
        let task: Pick<Task, 'claimed' | 'attested'> = { claimed: {}, attested: [] };
        for (const one of sayings) {
          const before = task;
          const facts = contextAfter(task, one);
          if ('problem' in facts) throw new Error(facts.problem);
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

describe('contextEffects', () => {
  it('revokes for a name without a rule, whatever it is called', () => {
    const changes = ['a', 'constructor'].map((name) => ({ name, otherwise: 'revoke' as const }));
    expect([...contextEffects({ contextRules: { a: 'ask' } }, changes)]).toEqual(['ask', 'revoke']);
  });
});
