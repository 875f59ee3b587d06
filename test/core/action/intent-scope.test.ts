import { describe, expect, it } from '@jest/globals';
import { coveringDetail } from '../../../src/core/action/intent-scope.ts';
import { unconstrained } from '../../../src/core/token/authorization-details.ts';
import type { AuthorizationDetail } from '../../../src/core/token/authorization-details.ts';
import { actionOf } from '../../builders/action.ts';

const action = actionOf();
const detail = (actions: readonly string[], more: Partial<AuthorizationDetail> = {}): AuthorizationDetail => ({
  type: 'urn:remit:task',
  locations: ['https://payments.acme.test'],
  actions,
  constraints: unconstrained,
  purpose: null,
  ...more,
});
const between = (notBeforeMs: number | null, notAfterMs: number | null) => ({
  constraints: { ...unconstrained, notBeforeMs, notAfterMs },
});

describe('coveringDetail', () => {
  const within: readonly (readonly [string, readonly AuthorizationDetail[]])[] = [
    ['the action itself', [detail(['payments.create'])]],
    ['its family', [detail(['payments.*'])]],
    ['the second detail', [detail(['files.read']), detail(['payments.create'])]],
    ['the first moment', [detail(['payments.create'], between(1000, null))]],
    ['the last moment', [detail(['payments.create'], between(null, 1001))]],
    ['one open window of two', [detail(['payments.*'], between(0, 5)), detail(['payments.*'], between(5, 2000))]],
  ];
  it.each(within)('covers %s', (_name, details) => {
    expect(coveringDetail(details, action, 1000)).toMatchObject({ type: 'urn:remit:task' });
  });

  const named = 'the intent names no `payments.create` at `https://payments.acme.test`';
  const timed = 'the intent allows `payments.create` at another time';
  const outside: readonly (readonly [string, readonly AuthorizationDetail[], string])[] = [
    ['an intent without details', [], named],
    ['another action', [detail(['payments.read'])], named],
    ['another family', [detail(['pay.*', 'payments.c*', 'payments.create.*'])], named],
    ['a star', [detail(['*', '.*', '**'])], named],
    ['another location', [detail(['payments.create'], { locations: ['https://payments.acme.test/'] })], named],
    [
      'action and location of two details',
      [detail(['files.read']), detail(['payments.create'], { locations: ['https://files.acme.test'] })],
      named,
    ],
    ['a time before', [detail(['payments.create'], between(1001, null))], timed],
    ['a time after', [detail(['payments.create'], between(null, 1000))], timed],
  ];
  it.each(outside)('denies %s', (_name, details, message) => {
    expect(coveringDetail(details, action, 1000)).toMatchObject({ reason: 'action.outside-intent', detail: message });
  });
});
