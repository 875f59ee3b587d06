import { describe, expect, it } from '@jest/globals';
import { isInForce, newOrderId, orderFrom, stoppedUser } from '../../../src/core/order/order.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';

describe('orderFrom', () => {
  it.each([
    ['a stop until it is lifted', stopOrder()],
    ['a stop for some minutes', stopOrder({ untilMs: 2_000 })],
    ['a pattern of agents', stopOrder({ what: 'spiffe://acme.test/ns/agents/*' })],
    ['a user of an issuer', stopOrder({ kind: 'user', what: 'https://idp.test alice' })],
    ['a server', stopOrder({ kind: 'server', what: 'tools' })],
    ['an action', stopOrder({ kind: 'action', what: 'payments.create' })],
    ['everything', stopOrder({ kind: 'all', what: '' })],
    ['an order to observe', observeOrder()],
    ['an order to observe all of some servers', observeOrder({ agents: ['*'], servers: ['tools', '*.acme.test'] })],
  ])('reads %s as it was written', (_, order) => {
    expect(orderFrom(JSON.parse(JSON.stringify(order)))).toEqual(order);
  });

  it.each([
    ['nothing', undefined, 'is required'],
    ['another kind of order', { ...stopOrder(), of: 'limit' }, 'member `of` must be one of `stop`'],
    ['an unknown member', { ...stopOrder(), except: ['x'] }, 'has an unknown member `except`'],
    ['an id that nobody made', stopOrder({ id: '../..' }), 'member `id` must be 16 hexadecimal digits'],
    [
      'an unknown kind',
      { ...stopOrder(), kind: 'tool' },
      'member `kind` must be one of `all`, `agent`, `user`, `server`, `action`',
    ],
    [
      'an agent that is no SPIFFE ID',
      stopOrder({ what: '*' }),
      'member `what` must be a SPIFFE ID, in whose path `*` stands for any part of a segment',
    ],
    [
      'everything, and something',
      stopOrder({ kind: 'all', what: 'x' }),
      'member `what` must be a string of 0 to 0 characters',
    ],
    [
      'a server without a name',
      stopOrder({ kind: 'server', what: '' }),
      'member `what` must be a string of 1 to 128 characters',
    ],
    ['no reason', stopOrder({ because: '' }), 'member `because` must be a string of 1 to 200 characters'],
    ['an end before its beginning', stopOrder({ untilMs: 1_000 }), 'member `untilMs` must be after `madeAtMs`'],
    ['U+0000', stopOrder({ because: 'x\0' }), 'member `because` has U+0000 or a lone surrogate'],
    [
      'observing without an end',
      { ...observeOrder(), untilMs: null },
      'member `untilMs` must be a whole number from 0 to 253402300799999',
    ],
    [
      'observing for more than 60 minutes',
      observeOrder({ untilMs: 1_000 + 3_600_001 }),
      'member `untilMs` must be at most 60 minutes after `madeAtMs`',
    ],
    ['observing nobody', observeOrder({ agents: [] }), 'member `agents` must be an array of 1 to 64 entries'],
  ])('refuses %s', (_, value, problem) => {
    expect(orderFrom(value)).toEqual({ problem });
  });
});

describe('isInForce', () => {
  const stop = stopOrder({ untilMs: 2_000 });
  const observe = observeOrder({ untilMs: 2_000 });
  it.each([
    ['a stop before its end', stop, { wallMs: 1_999, floorMs: 1_999 }, true],
    ['a stop at its end', stop, { wallMs: 2_000, floorMs: 2_000 }, false],
    ['a stop while only the wall clock is past its end', stop, { wallMs: 9_000, floorMs: 1_999 }, true],
    ['a stop while the wall clock is set back', stop, { wallMs: 0, floorMs: 2_000 }, true],
    ['a stop without an end', stopOrder(), { wallMs: 1e12, floorMs: 1e12 }, true],
    ['observing before its end', observe, { wallMs: 1_999, floorMs: 1_999 }, true],
    ['observing while only the wall clock is past its end', observe, { wallMs: 2_000, floorMs: 0 }, false],
    ['observing while the wall clock is set back', observe, { wallMs: 0, floorMs: 2_000 }, false],
  ])('judges %s', (_, order, now, isIt) => {
    expect(isInForce(order, now)).toBe(isIt);
  });
});

it.each([
  ['alice', { subject: 'alice', issuer: null }],
  ['alice smith', { subject: 'alice smith', issuer: null }],
  ['https://idp.test alice smith', { subject: 'alice smith', issuer: 'https://idp.test' }],
  ['https://idp.test ', { subject: 'https://idp.test ', issuer: null }],
  ['spiffe://acme.test/ns/a', { subject: 'spiffe://acme.test/ns/a', issuer: null }],
])('stoppedUser reads `%s`', (what, user) => {
  expect(stoppedUser({ what })).toEqual(user);
});

it('newOrderId makes an id that is read again', () => {
  const id = newOrderId((length) => new Uint8Array(length).fill(0xab));
  expect(id).toBe('abababababababab');
  expect(orderFrom(stopOrder({ id }))).toMatchObject({ id });
});
