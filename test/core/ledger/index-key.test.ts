import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { canonicalJson, type JsonValue } from '../../../src/core/ledger/canonical-json.ts';
import { indexKey, indexKeysOf, keyBytes, keysIn } from '../../../src/core/ledger/index-key.ts';

const NAMES = ['decisionId', 'task', 'traceId'] as const;

const bytesOf = (record: JsonValue): Buffer => {
  const text = canonicalJson(record);
  if (typeof text !== 'string') throw new Error(text.problem);
  return Buffer.from(text, 'utf8');
};

/** Text that looks like a member: quotes, braces, escapes, and the names themselves. */
const text = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({
    unit: fc.constantFrom('"', '\\', '{', '}', ':', ',', '\u0000', 'é', 'task', '"task":"x"', '"traceId":"y'),
  }),
  fc.uuid(),
);
const anything = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<JsonValue>;
const record = fc
  .tuple(
    fc.record({ task: text, decisionId: text, traceId: text, agent: text, path: text }, { requiredKeys: [] }),
    fc.dictionary(fc.oneof(text, fc.constantFrom(...NAMES, 'details')), fc.oneof(text, anything), { maxKeys: 4 }),
    fc.record({ task: text, traceId: text }, { requiredKeys: [] }),
  )
  .map(([members, others, details]): { readonly [name: string]: JsonValue } =>
    Object.assign({}, others, members, { details }),
  )
  .filter((members) => typeof canonicalJson(members) === 'string');

describe('indexKeysOf', () => {
  it('has the key of each indexed member that is text, in order of their names, and no other', () => {
    fc.assert(
      fc.property(record, (members) => {
        const values = new Map<string, unknown>(Object.entries(members));
        const keys = NAMES.flatMap((name) => {
          const value = values.get(name);
          return typeof value === 'string' ? [indexKey(name, value)] : [];
        });
        expect(indexKeysOf(bytesOf(members))).toEqual(keys);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each<[string, JsonValue, readonly number[]]>([
    ['members that are not text', { decisionId: null, task: 1, traceId: ['x'] }, []],
    ['a member of an object inside', { details: { task: 'x' } }, []],
    ['a name in a text', { path: '"task":"x"' }, []],
    ['a name that ends like an index key', { subtask: 'x' }, []],
    ['an empty text', { task: '' }, [indexKey('task', '')]],
    ['text that is not ASCII', { task: 'é€😀' }, [indexKey('task', 'é€😀')]],
    ['a brace in another text', { path: '/{id}', task: 'x' }, [indexKey('task', 'x')]],
    ['an escape', { task: 'a\\b"c' }, [indexKey('task', 'a\\b"c')]],
  ])('handles %s', (_name, members, keys) => {
    expect(indexKeysOf(bytesOf(members))).toEqual(keys);
  });

  it('accepts any bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 60 }),
          text.map((each) => Buffer.from(each)),
        ),
        (bytes) => {
          expect(Array.isArray(indexKeysOf(bytes))).toBe(true);
        },
      ),
    );
    for (const bytes of ['"task":"', '{"task":"x', '{{', '[{}]', 'null{']) indexKeysOf(Buffer.from(bytes));
  });
});

describe('keysIn', () => {
  it('reads what keyBytes wrote, and never throws', () => {
    const key = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    fc.assert(fc.property(fc.array(key), (keys) => expect(keysIn(keyBytes(keys))).toEqual(keys)));
    expect(keysIn(Buffer.from('0000000700', 'hex'))).toEqual([7]);
    expect(keysIn(Buffer.of())).toEqual([]);
  });
});

describe('indexKey', () => {
  it('has 32 bits that include the member, so that chosen trace ids cannot collide with tasks', () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        const keys = [indexKey('decisionId', one), indexKey('task', other), indexKey('traceId', one)];
        expect(keys.map((key) => key >>> 30)).toEqual([0, 1, 2]);
        expect(keys.every((key) => Number.isInteger(key) && key >= 0 && key < 2 ** 32)).toBe(true);
      }),
    );
  });

  // INVARIANT: keys are stored.
  it.each([
    ['decisionId', '0199a3bf-0000-7000-8000-000000000001', 0x001a_87ea],
    ['task', '', 0x6047_2771],
    ['traceId', 'a'.repeat(32), 0x9354_1309],
  ] as const)('never changes: of %s `%s`', (name, value, key) => {
    expect(indexKey(name, value)).toBe(key);
  });
});
