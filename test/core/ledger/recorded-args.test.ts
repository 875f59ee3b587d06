import { hash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import type { ArgumentValue } from '../../../src/core/action/arguments/argument.ts';
import { catalogFrom } from '../../../src/core/action/catalog/catalog-assembly.ts';
import { leafBytes } from '../../../src/core/ledger/proof/leaf.ts';
import { encodedRecord } from '../../../src/core/ledger/encoded-record.ts';
import { recordedArgs } from '../../../src/core/ledger/recorded-args.ts';
import { recordedUseFrom } from '../../../src/core/ledger/recorded-use.ts';
import { useOf } from '../../tools/policy/cases/records.ts';
import { must } from '../../builders/must.ts';

const token = ['{"alg":"ES256"}', '{"exp":1}', 'x'].map((part) => Buffer.from(part).toString('base64url')).join('.');
const one = (value: ArgumentValue, name = 'a', place: readonly string[] = []) =>
  recordedArgs({ args: new Map([[name, value]]), recorded: new Map([[name, place]]) })?.[name];
const named = (...names: readonly string[]) => new Map(names.map((name) => [name, []]));

describe('recordedArgs', () => {
  it('returns the marked arguments that were sent, and no other', () => {
    const args = new Map<string, ArgumentValue>([
      ['amount', 250],
      ['note', 'private'],
    ]);
    expect(recordedArgs({ args, recorded: named('amount', 'currency') })).toEqual({ amount: 250 });
    expect(recordedArgs({ args, recorded: named('currency') })).toBeNull();
    expect(recordedArgs({ args })).toBeNull();
  });

  it.each<[string, ArgumentValue, unknown]>([
    ['a number', -3, -3],
    ['a boolean', false, false],
    ['a decimal as its text', { decimal: '12.50' }, '12.50'],
    ['a list', ['a', 'b'], ['a', 'b']],
    ['a text of 254 bytes, which are 256 as JSON', 'x'.repeat(254), 'x'.repeat(254)],
    [
      'a longer text by its digest',
      'x'.repeat(255),
      { bytes: 255, 'sha-256': hash('sha256', 'x'.repeat(255), 'base64url') },
    ],
    [
      'a long list by the digest of its JSON',
      Array.from({ length: 256 }, () => 'é'),
      {
        bytes: 1281,
        'sha-256': hash('sha256', JSON.stringify(Array.from({ length: 256 }, () => 'é')), 'base64url'),
      },
    ],
    ['nothing of a key of a known form', `for ghp_${'a'.repeat(36)}`, { withheld: 'secret' }],
    ['nothing of a short-lived token', `https://files.acme.test/${token}/x`, { withheld: 'secret' }],
    ['nothing of a list with a secret', ['a', `ghp_${'a'.repeat(36)}`], { withheld: 'secret' }],
  ])('records %s', (_name, value, recorded) => {
    expect(one(value)).toEqual(recorded);
  });

  it('withholds the value of an argument meant for secrets', () => {
    const values: readonly ArgumentValue[] = ['hunter2', 4711, { decimal: '4711.5' }, ['a', 'b']];
    for (const value of values) expect(one(value, 'password')).toEqual({ withheld: 'secret' });
  });

  // Issue 55: the name of the argument alone was judged, and not the names of the members that it lies in.
  it.each<[string, readonly string[]]>([
    ['below the name of a secret', ['password', 'value']],
    ['deep below it, in a list', ['login', 'password', '0', 'of', 'value']],
    ['at the name of a secret, under another name', ['client_secret']],
    ['in a key that nests', ['user[password]']],
  ])('withholds the value of an argument that lies %s', (_name, place) => {
    const values: readonly ArgumentValue[] = ['hunter2', 4711, { decimal: '4711.5' }, ['a', 'b']];
    for (const value of values) expect(one(value, 'value', place)).toEqual({ withheld: 'secret' });
  });

  it('withholds what looks random below a token, and nothing else there', () => {
    expect(one('a1'.repeat(10), 'value', ['token', 'value'])).toEqual({ withheld: 'secret' });
    expect(one('page', 'value', ['token', 'value'])).toBe('page');
  });

  it('is read back from the leaf of the use', () => {
    const { seq: _seq, ...use } = useOf();
    const record = { ...use, args: { amount: 250, tags: ['a'] } };
    const encoded = must(encodedRecord(record));
    const leaf = must(leafBytes(encoded.bytes, { boot: '0'.repeat(32), mono: 1, prev: null, seq: 1 }));
    expect(recordedUseFrom(leaf)).toEqual({ ...record, seq: 1 });
  });
});

const catalog = (args: string, path = '/a') =>
  catalogFrom(
    `servers:\n  s:\n    hosts: [s.acme.test]\n    audience: https://s.acme.test\n    routes:\n      - { action: s.a, method: POST, path: '${path}', risk: low, args: { ${args} } }\n`,
    'actions.yaml',
  );

const recordedBy = (args: string, path?: string) => {
  const read = catalog(args, path);
  return 'findings' in read
    ? read.findings.map(({ line, column, message, help }) => `${line}:${column}: ${message}; ${help}`)
    : [...(read.actions.get('s.a')?.recorded ?? [])];
};

describe('`record` of an argument in the catalog', () => {
  it('selects arguments of path, query and body', () => {
    const args =
      'id: { from: path, record: true }, q: { from: query, record: true }, b: { from: body, pointer: /login/password, record: true }';
    expect(recordedBy(`${args}, c: { from: body, record: false }, d: { from: body }`, '/a/{id}')).toEqual([
      ['id', []],
      ['q', []],
      ['b', ['login', 'password']],
    ]);
  });

  it('is a boolean, of at most 8 arguments', () => {
    expect(recordedBy('b: { from: body, record: yes }')).toEqual([expect.stringContaining('`record` must be')]);
    const nine = Array.from({ length: 9 }, (_, n) => `b${n}: { from: body, record: true }`).join(', ');
    expect(recordedBy(nine)).toEqual([
      '6:19: `s.a` records 9 arguments, more than 8; keep `record: true` for those that an auditor asks for',
    ]);
  });
});
