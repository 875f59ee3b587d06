import { describe, expect, it } from '@jest/globals';
import { stopJson } from '../../../src/core/order/stop-json.ts';
import { UNSEALED, unsealedIn, unsealedProblem } from '../../../src/core/order/unsealed.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';

const unsealed = stopOrder({ by: UNSEALED });

// Issue 42, point 3.
describe('stops that no authority wrote', () => {
  it('are found among orders, and marked in JSON', () => {
    expect(unsealedIn([stopOrder(), unsealed, observeOrder({ by: UNSEALED })])).toEqual([unsealed]);
    expect(stopJson(unsealed)).toMatchObject({ by: 'unsealed-row', unsealed: true });
    expect(stopJson(stopOrder())).not.toHaveProperty('unsealed');
  });

  it.each([
    ['one', ['a1'], '(`a1`): each denies'],
    ['three', ['a1', 'a2', 'a3'], '(`a1`, `a2`, `a3`): each denies'],
    ['five', ['a1', 'a2', 'a3', 'a4', 'a5'], '(`a1`, `a2`, `a3` and 2 more): each denies'],
  ])('are named for operators, at most three: %s', (_name, ids, words) => {
    expect(unsealedProblem(ids.map((id) => stopOrder({ id, by: UNSEALED })))).toContain(words);
  });

  it('are nothing to tell if there are none', () => {
    expect(unsealedProblem([])).toBeNull();
  });
});
