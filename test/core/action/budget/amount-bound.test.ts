import { describe, expect, it } from '@jest/globals';
import { constraintsOn, isAmountBound } from '../../../../src/core/action/budget/amount-bound.ts';
import { unconstrained } from '../../../../src/core/token/authorization-details.ts';
import type { MaxAmount } from '../../../../src/core/token/authorization-details.ts';
import { mustCatalog } from '../../../builders/catalog.ts';
import { mustFind } from '../../../builders/must.ts';

const catalog = mustCatalog(`servers:
  shop:
    hosts: [shop.test]
    audience: https://shop.test
    routes:
      - action: pay
        method: POST
        path: /pay
        risk: high
        args: { amount: { from: body, type: long }, currency: { from: body }, price: { from: body, type: decimal }, cents: { from: body, type: bool } }
      - { action: page, method: GET, path: '/pages/{number:int}', risk: low }
      - { action: look, method: GET, path: /pay, risk: low }
`);
const action = (id: string) => mustFind(catalog.actions.get(id));
const amount = (argument: string, currency: string | null = null): MaxAmount => ({
  argument,
  limit: 5,
  currency: currency === null ? null : { argument: currency, value: 'EUR' },
});

describe('isAmountBound', () => {
  it.each<[string, string, ReturnType<typeof amount>, unknown]>([
    ['an optional long', 'pay', amount('amount'), true],
    ['a long with its currency', 'pay', amount('amount', 'currency'), true],
    ['a number of the path', 'page', amount('number'), true],
    ['no such argument', 'look', amount('amount'), false],
    ['no such argument, whatever the currency', 'look', amount('amount', 'currency'), false],
    ['a name of another case', 'pay', amount('Amount'), false],
    ['a decimal under a decimal limit', 'pay', { ...amount('price'), isDecimal: true }, true],
    ['a long under a decimal limit', 'pay', { ...amount('amount'), isDecimal: true }, true],
    [
      'a decimal under a whole limit',
      'pay',
      amount('price'),
      { problem: 'price of pay is a decimal: write the limit of its max_amount as text, such as "99.95"' },
    ],
    [
      'a text',
      'pay',
      amount('currency'),
      { problem: 'max_amount sums a long or a decimal, and currency of pay is a string' },
    ],
    [
      'a currency that is missing',
      'pay',
      amount('amount', 'unit'),
      { problem: 'pay has no argument unit, the currency of its max_amount' },
    ],
    [
      'a currency that is a boolean',
      'pay',
      amount('amount', 'cents'),
      { problem: 'the currency of max_amount is a string, and cents of pay is a bool' },
    ],
  ])('answers for %s', (_name, id, maxAmount, expected) => {
    expect(isAmountBound(action(id), maxAmount)).toEqual(expected);
  });
});

describe('constraintsOn', () => {
  it.each<[string, string, boolean]>([
    ['amount', 'pay', true],
    ['amount', 'look', false],
    // What issuance refuses is never taken for unlimited.
    ['price', 'pay', true],
  ])('has a limit on `%s` for `%s`: %s', (argument, id, isKept) => {
    const constraints = { ...unconstrained, maxCalls: 3, maxAmount: amount(argument) };
    expect(constraintsOn(action(id), constraints)).toEqual(isKept ? constraints : { ...unconstrained, maxCalls: 3 });
  });
});
