import { describe, expect, it } from '@jest/globals';
import { mostSpent, spendsOf } from '../../../../src/core/action/budget/budget.ts';
import type { Action, ArgumentValue } from '../../../../src/core/action/http/http.ts';
import { unconstrained } from '../../../../src/core/token/authorization-details.ts';
import type { AuthorizationDetail, Constraints } from '../../../../src/core/token/authorization-details.ts';
import { actionOf } from '../../../builders/action.ts';

const detail = (constraints: Partial<Constraints>): AuthorizationDetail => ({
  type: 'urn:remit:task',
  locations: ['https://payments.acme.test'],
  actions: ['payments.create'],
  constraints: { ...unconstrained, ...constraints },
  purpose: null,
});

const action = (args: Readonly<Record<string, ArgumentValue>>): Action =>
  actionOf({ args: new Map(Object.entries(args)) });

const maxAmount = { argument: 'amount', limit: 500, currency: null };
const decimalLimit = { argument: 'amount', limit: 5_000_001, isDecimal: true, currency: null } as const;
const inEuro = { ...maxAmount, currency: { argument: 'currency', value: 'EUR' } };

describe('spendsOf', () => {
  it.each<[string, Partial<Constraints>, Readonly<Record<string, ArgumentValue>>, unknown]>([
    ['nothing without constraints', {}, { amount: 5 }, []],
    ['nothing for times, which are judged before', { notBeforeMs: 1, notAfterMs: 2 }, {}, []],
    ['a call', { maxCalls: 3 }, {}, [{ kind: 'calls', limit: 3 }]],
    ['the only use', { singleUse: true }, {}, [{ kind: 'single-use' }]],
    ['an amount', { maxAmount }, { amount: 5 }, [{ kind: 'amount', name: 'amount', amount: 5, limit: 500 }]],
    ['an amount of nothing', { maxAmount }, { amount: 0 }, [{ kind: 'amount', name: 'amount', amount: 0, limit: 500 }]],
    [
      'all of them',
      { singleUse: true, maxCalls: 3, maxAmount: inEuro },
      { amount: 5, currency: 'EUR' },
      [{ kind: 'single-use' }, { kind: 'calls', limit: 3 }, { kind: 'amount', name: 'amount', amount: 5, limit: 500 }],
    ],
    [
      'a decimal in ten-thousandths (issue 37, point 19)',
      { maxAmount: decimalLimit },
      { amount: { decimal: '0.1' } },
      [{ kind: 'decimal', name: 'amount', amount: 1_000, limit: 5_000_001 }],
    ],
    [
      'a whole number under a decimal limit, in the same unit',
      { maxAmount: decimalLimit },
      { amount: 5 },
      [{ kind: 'decimal', name: 'amount', amount: 50_000, limit: 5_000_001 }],
    ],
    [
      'more than any limit for a decimal that no exact number holds',
      { maxAmount: decimalLimit },
      { amount: { decimal: '922337203685477.5807' } },
      [{ kind: 'decimal', name: 'amount', amount: Number.MAX_SAFE_INTEGER, limit: 5_000_001 }],
    ],
  ])('takes %s', (_name, constraints, args, spends) => {
    expect(spendsOf(detail(constraints), action(args))).toEqual(spends);
  });

  it.each<[string, Partial<Constraints>, Readonly<Record<string, ArgumentValue>>, string]>([
    ['no amount', { maxAmount }, {}, '`max_amount` needs `amount`, a whole number of 0 or more'],
    [
      'an amount that is a text',
      { maxAmount },
      { amount: '5' },
      '`max_amount` needs `amount`, a whole number of 0 or more',
    ],
    [
      'a decimal under a whole limit',
      { maxAmount },
      { amount: { decimal: '5.0' } },
      '`max_amount` needs `amount`, a whole number of 0 or more',
    ],
    [
      'a decimal below 0',
      { maxAmount: decimalLimit },
      { amount: { decimal: '-0.0001' } },
      '`max_amount` needs `amount`, a number of 0 or more',
    ],
    [
      'a long below 0 under a decimal limit',
      { maxAmount: decimalLimit },
      { amount: -1 },
      '`max_amount` needs `amount`, a number of 0 or more',
    ],
    [
      'a text under a decimal limit',
      { maxAmount: decimalLimit },
      { amount: '5.0' },
      '`max_amount` needs `amount`, a number of 0 or more',
    ],
    ['an amount below 0', { maxAmount }, { amount: -1 }, '`max_amount` needs `amount`, a whole number of 0 or more'],
    [
      'another currency',
      { maxAmount: inEuro },
      { amount: 5, currency: 'USD' },
      '`max_amount` is granted for one value of `currency` alone',
    ],
    ['no currency', { maxAmount: inEuro }, { amount: 5 }, '`max_amount` is granted for one value of `currency` alone'],
  ])('denies %s', (_name, constraints, args, message) => {
    expect(spendsOf(detail(constraints), action(args))).toMatchObject({
      reason: 'action.outside-intent',
      detail: message,
    });
  });
});

const answered = (names: readonly string[]): NonNullable<Action['continues']> => ({
  calls: { calls: [], isCut: false, isAnswered: () => false },
  answered: new Set(names),
  message: { session: 's', answer: 0 },
});
const amountOf = (amount: number, limit = 500) => ({ kind: 'amount', name: 'amount', amount, limit }) as const;

// Issue 37, point 2: an answer to a question of a server was not counted.
describe('spendsOf of what an answer brings', () => {
  const all: Partial<Constraints> = { maxAmount, maxCalls: 3, singleUse: true };
  const amount = { kind: 'amount', name: 'amount', amount: 5, limit: 500 };

  it.each<[string, Partial<Action>, unknown]>([
    ['its amount, and no further call', { continues: answered(['amount']) }, [amount]],
    ['nothing without an amount', { continues: answered(['note']) }, []],
    [
      'nothing of an amount that is still to be answered',
      { args: new Map(), unanswered: ['amount'] },
      [{ kind: 'single-use' }, { kind: 'calls', limit: 3 }],
    ],
  ])('is %s', (_name, over, expected) => {
    expect(spendsOf(detail(all), { ...action({ amount: 5 }), ...over })).toEqual(expected);
  });

  it('is the most that any reading takes, up to the least limit', () => {
    const calls = { kind: 'calls', limit: 3 } as const;
    expect(mostSpent([[calls, amountOf(1)], [amountOf(1_000_000, 400)], [calls, amountOf(2)]])).toEqual([
      calls,
      amountOf(1_000_000, 400),
    ]);
    expect(mostSpent([[calls]])).toEqual([calls]);
  });
});
