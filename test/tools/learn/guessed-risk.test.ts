import { describe, expect, it } from '@jest/globals';
import { riskOfName } from '../../../src/tools/learn/guessed-risk.ts';

describe('the risk of a tool, guessed', () => {
  it.each([
    ['refund_payment', [], 'high'],
    ['sendMail', ['to'], 'high'],
    ['book_trip', ['city'], 'medium'],
    ['book_trip', ['city', 'amount'], 'high'],
    ['search_offers', ['max_amount'], 'low'],
    ['list_users', [], 'low'],
  ] as const)('%s with %j: %s', (name, members, risk) => {
    expect(riskOfName(name, members)).toBe(risk);
  });
});
