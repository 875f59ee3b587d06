import { hash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { carriedFrom } from '../../../src/core/action/http/carried.ts';
import { encodedRecord } from '../../../src/core/ledger/encoded-record.ts';
import { leafBytes } from '../../../src/core/ledger/proof/leaf.ts';
import { recordedCarried } from '../../../src/core/ledger/recorded-carried.ts';
import { recordedUseFrom } from '../../../src/core/ledger/recorded-use.ts';
import { must } from '../../builders/must.ts';
import { costRatio } from '../../costs.ts';
import { useOf } from '../../tools/policy/cases/records.ts';

type Values = Readonly<Record<string, unknown>>;

const recorded = (values: Values, headers: Values = {}) => {
  const [carried, otherHeaders] = [values, headers].map((of) => carriedFrom(new Map(Object.entries(of))));
  return recordedCarried({ ...(carried && { carried }), ...(otherHeaders && { otherHeaders }) });
};

/** Records a body with a long name, which applies to as many objects. */
const cost = (size: number) => {
  const values = { body: { ['x-'.repeat(size)]: Array.from({ length: size }, () => ({ a: true })) } };
  return () => recorded(values);
};

describe('recordedCarried', () => {
  it('names the places, and has one digest of their canonical JSON', () => {
    const text = '{"inputResponses/limit":{"action":"accept","content":{"amount":5}},"requestState":"x"}';
    expect(
      recorded({ requestState: 'x', 'inputResponses/limit': { content: { amount: 5 }, action: 'accept' } }),
    ).toEqual({ names: ['requestState', 'inputResponses/limit'], 'sha-256': hash('sha256', text, 'base64url') });
    expect(recorded({})).toBeNull();
  });

  it('names 32, and says how many more there are', () => {
    const values = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`_meta/k${index}`, index]));
    const { names, more } = recorded(values) ?? {};
    expect([(names as readonly string[]).length, more]).toEqual([32, 8]);
  });

  it('keeps its names short together', () => {
    const values = Object.fromEntries(
      Array.from({ length: 32 }, (_, index) => [`_meta/${'k'.repeat(200)}${index}`, 1]),
    );
    expect(JSON.stringify(recorded(values)).length).toBeLessThan(2_300);
  });

  it.each<[string, Readonly<Record<string, unknown>>]>([
    ['a password by its name', { 'inputResponses/login': { action: 'accept', content: { password: 'hunter22' } } }],
    ['a password that is a number', { 'inputResponses/login': { action: 'accept', content: { password: 4711 } } }],
    ['a key anywhere', { '_meta/x': [{ y: 'AKIAIOSFODNN7EXAMPLE' }] }],
    // Issue 55: the innermost name alone was judged.
    ['a password below its name', { body: { password: { value: 'hunter22' } } }],
    ['a password deep below its name', { body: { password: { of: [{ user: [[{ value: 'hunter22' }]] }] } } }],
    ['a password in a list below its name', { body: { password: [['a', 'hunter22']] } }],
    ['a number below the name of a secret', { body: { client_secret: { a: { b: 4711 } } } }],
    ['a name below the name of a secret', { body: { password: { hunter22: true } } }],
    ['a password below its name in a place', { 'body/password/value': 'hunter22' }],
    ['a password below its name in a key', { 'user[password][value]': 'hunter22' }],
    ['a token that looks random below its name', { body: { token: { value: 'a1'.repeat(10) } } }],
    ['a token in a list below its name', { body: { token: { values: ['x', 'a1'.repeat(10)] } } }],
  ])('gives nobody a digest to guess %s from', (_name, values) => {
    expect(recorded(values)).toEqual({ names: Object.keys(values), withheld: 'secret' });
  });

  it('has a digest of what lies below a token and does not look random', () => {
    expect(recorded({ body: { token: { kind: 'page' }, next: { value: 'a1'.repeat(10) } } })).toEqual({
      names: ['body'],
      'sha-256': expect.any(String),
    });
  });

  it('judges names in linear time, however often they apply', () => {
    expect(costRatio(cost(4_000), cost(1_000))).toBeLessThan(9);
  });

  it('leaves out the digest of a number that a double cannot hold', () => {
    expect(recorded({ '_meta/x': Infinity })).toEqual({ names: ['_meta/x'] });
  });

  it('has the headers with a digest of their own, so that theirs does not change with the message', () => {
    const ofHeaders = { names: ['x-user-id'], 'sha-256': hash('sha256', '{"x-user-id":["a"]}', 'base64url') };
    expect(recorded({}, { 'x-user-id': ['a'] })).toEqual({ headers: ofHeaders });
    expect(recorded({ requestState: 'x' }, { 'x-user-id': ['a'] })).toEqual({
      ...recorded({ requestState: 'x' }),
      headers: ofHeaders,
    });
  });

  it.each([
    ['a cookie', 'cookie', 'id=1'],
    ['a key by its place', 'x-api-key', 'hunter22'],
    ['a proof', 'signature', 'sig1=:AA:'],
    ['a key anywhere', 'x-note', 'AKIAIOSFODNN7EXAMPLE'],
  ])('gives nobody a digest to guess a header from: %s', (_name, name, value) => {
    expect(recorded({ requestState: 'x' }, { [name]: [value] })).toEqual({
      ...recorded({ requestState: 'x' }),
      headers: { names: [name], withheld: 'secret' },
    });
  });

  it('is read again from a record', () => {
    const carried = must(recorded({ requestState: 'x' })) ?? {};
    const { seq: _seq, ...use } = useOf();
    const { bytes } = must(encodedRecord({ ...use, carried }));
    const leaf = must(leafBytes(bytes, { boot: '0'.repeat(32), mono: 1, prev: null, seq: 1 }));
    expect(recordedUseFrom(leaf)).toEqual({ ...use, carried, seq: 1 });
  });
});
