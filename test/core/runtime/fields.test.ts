import { describe, expect, it } from '@jest/globals';
import { anything, array, assert, constant, constantFrom, dictionary, oneof, property, record } from 'fast-check';
import {
  integer,
  listOf,
  made,
  mapOf,
  members,
  oneOf,
  oneOrMore,
  optional,
  orNull,
  type FieldPlace,
  readAt,
  type Reader,
  text,
  textOf,
} from '../../../src/core/runtime/fields.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';

const pair = members({ name: text({ max: 8 }), size: optional(integer(1, 9), 1) });

/** Reads a value that stands in a file, and returns what was reported, each with its path. */
function reportedBy<T>(
  reader: Reader<T>,
  value: unknown,
): { readonly read: unknown; readonly reported: readonly string[] } {
  const reported: string[] = [];
  const placeOf = (path: string): FieldPlace => ({
    at: (name) => placeOf(`${path}/${name}`),
    given: (written) => written,
    report: (problem) => reported.push(`${path} ${problem}`),
    reportUnknown: (name, known) => reported.push(`${path}/${name} unknown, known: ${known.join(', ')}`),
  });
  return { read: readAt(reader, value, placeOf('')), reported };
}

describe('readers of untrusted fields', () => {
  it.each<[string, Reader<unknown>, unknown, unknown]>([
    ['members', pair, { name: 'a' }, { name: 'a', size: 1 }],
    ['one value for a list', oneOrMore(pair, { max: 2 }), { name: 'a' }, [{ name: 'a', size: 1 }]],
    ['a list', oneOrMore(integer(0, 9), { max: 2 }), [1, 2], [1, 2]],
    ['names of any kind', mapOf(integer(0, 9), { max: 2 }), { a: 1 }, new Map([['a', 1]])],
    ['a JSON null', orNull(pair), null, null],
    [
      'what is made of a text',
      textOf<URL>('a URL', (value) => URL.parse(value)),
      'https://a.test',
      new URL('https://a.test'),
    ],
  ])('read %s', (_name, reader, value, expected) => {
    expect(reader(value)).toEqual(expected);
    expect(reportedBy(reader, value)).toEqual({ read: expected, reported: [] });
  });

  it.each<[string, Reader<unknown>, unknown, string, readonly string[]]>([
    ['nothing', pair, undefined, 'is required', [' is required']],
    ['a list for members', pair, [], 'must be an object', [' must be an object']],
    [
      'an unknown member beside a bad member',
      pair,
      { nam: 'a', size: 0 },
      'has an unknown member `nam`',
      ['/nam unknown, known: name, size', '/name is required', '/size must be a whole number from 1 to 9'],
    ],
    [
      'a name of Object.prototype',
      pair,
      { constructor: 1 },
      'has an unknown member `constructor`',
      ['/constructor unknown, known: name, size', '/name is required'],
    ],
    [
      'several entries',
      listOf(pair, { max: 4 }),
      [{ name: '' }, { name: 'a' }, 7],
      'entry 0 member `name` must be a string of 1 to 8 characters',
      ['/0/name must be a string of 1 to 8 characters', '/2 must be an object'],
    ],
    [
      'too many entries',
      listOf(pair, { max: 1 }),
      [{}, {}],
      'must be an array of 1 to 1 entries',
      [' must be an array of 1 to 1 entries'],
    ],
    [
      'too many names',
      mapOf(pair, { max: 1 }),
      { a: 1, b: 2 },
      'must have at most 1 entries',
      [' must have at most 1 entries'],
    ],
    [
      'a bad value by name',
      mapOf(integer(0, 1), { max: 2 }),
      { a: 2, b: 3 },
      'value `a` must be a whole number from 0 to 1',
      ['/a must be a whole number from 0 to 1', '/b must be a whole number from 0 to 1'],
    ],
    [
      'a word, quoted in a file alone',
      oneOf(['on', 'off']),
      'maybe',
      'must be one of `on`, `off`',
      [' must be one of `on`, `off`: got `maybe`'],
    ],
    ['a text with U+0000', textOf<string>('a path', (value) => value), 'a\0', 'must be a path', [' must be a path']],
  ])('refuse %s', (_name, reader, value, problem, reported) => {
    expect(reader(value)).toEqual({ problem });
    expect(reportedBy(reader, value).reported).toEqual(reported);
  });

  it('`made` asks nothing of a value that is refused', () => {
    const sum: Reader<{ readonly sum: number }> = made(listOf(integer(0, 9), { max: 3 }), (all) => ({
      sum: all.reduce((a, b) => a + b),
    }));
    expect([sum([1, 2]), sum([1, 'x']), sum([])]).toEqual([
      { sum: 3 },
      { problem: 'entry 1 must be a whole number from 0 to 9' },
      { problem: 'must be an array of 1 to 3 entries' },
    ]);
  });

  it('never quote a value or throw, whatever is sent (issue 16: a claim may be secret)', () => {
    const secret = 'v3ry-s3cr3t-token';
    const reader = members({ a: pair, b: listOf(oneOf(['x']), { max: 2 }), c: mapOf(text({ max: 4 }), { max: 2 }) });
    const leaf = oneof(constant(secret), anything({ withNullPrototype: true }));
    const sent = record(
      {
        a: oneof(leaf, record({ name: leaf, size: leaf })),
        b: oneof(leaf, array(leaf)),
        c: oneof(leaf, dictionary(constantFrom('p', 'q', 'r'), leaf)),
      },
      { requiredKeys: [] },
    );
    assert(
      property(sent, (value) => {
        const read = reader(value);
        expect(isProblem(read) ? read.problem : '').not.toContain(secret);
        // Alike with and without places, but for how much is told.
        const { read: placed, reported } = reportedBy(reader, value);
        expect(isProblem(placed) || reported.length > 0).toBe(isProblem(read));
      }),
    );
  });
});
