import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { cardOf, heldTaskOf } from '../../../src/core/fleet/card.ts';
import type { HeldTask } from '../../../src/core/fleet/card.ts';
import type { Down } from '../../../src/core/fleet/messages.ts';
import { methodOf } from '../../../src/core/fleet/service.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import { noHistory } from '../../../src/core/task/history.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const instant = fc.integer({ min: 1, max: 2 ** 53 - 1 });

const held: fc.Arbitrary<HeldTask> = fc
  .record({
    n: fc.integer({ min: 1, max: 99 }),
    purpose: text,
    parentId: fc.option(fc.uuid(), { nil: null }),
    idleMs: fc.option(instant, { nil: null }),
    deadlineMs: instant,
    isSuspended: fc.boolean(),
    claimed: fc.dictionary(text, text, { maxKeys: 3, noNullPrototype: true }),
    revokedAtMs: fc.option(instant, { nil: null }),
    history: fc.option(
      fc.record({ version: fc.integer({ min: 1, max: 320 }), actions: fc.array(text), labels: fc.array(text) }),
      { nil: noHistory },
    ),
  })
  .map(({ n, isSuspended, revokedAtMs, history, ...of }) => ({
    task: taskNumber(n, {
      ...of,
      ...(isSuspended ? { state: 'suspended', cause: causeOf('operator.suspended', of.purpose) } : {}),
    }),
    root: of.parentId ?? taskNumber(n).id,
    tokens: new Map([[tokenNumber(n).jtiDigest, { ...tokenNumber(n), revokedAtMs, elsewhere: null }]]),
    history,
  }));

describe('a card', () => {
  it('has the same task, tokens and history after the wire', () => {
    const { responseSerialize, responseDeserialize } = methodOf('Follow');
    fc.assert(
      fc.property(held, (one) => {
        const down: Down = {
          of: 'changes',
          changes: { from: 1, to: 2, cards: [cardOf(one)], at: 2, gone: [], mark: '' },
        };
        const read = responseDeserialize(responseSerialize(down));
        expect(read.of === 'changes' && read.changes.cards.map(heldTaskOf)).toEqual([one]);
      }),
    );
  });
});
