import { describe, expect, it } from '@jest/globals';
import { ledgerUnavailable, stateUnavailable } from '../../../src/core/decision/unavailable.ts';
import { storeFailure } from '../../../src/core/runtime/store-failure.ts';

describe('the denial of a failed store', () => {
  const failure = storeFailure('full', 'the disk under the state file is full');

  it('is `task.state-unavailable` on reading and `ledger.unavailable` on recording, with the cause', () => {
    expect(stateUnavailable(failure)).toMatchObject({ reason: 'task.state-unavailable', detail: failure.detail });
    expect(ledgerUnavailable(failure)).toMatchObject({ reason: 'ledger.unavailable', detail: failure.detail });
  });
});
