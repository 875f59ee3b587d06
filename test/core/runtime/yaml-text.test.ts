import { describe, expect, it } from '@jest/globals';
import { parseDocument } from 'yaml';
import { LINEAR, repeatedKeys, yamlRootFrom } from '../../../src/core/runtime/yaml-text.ts';
import { costRatio } from '../../costs.ts';

const offsetsIn = (text: string): readonly number[] =>
  repeatedKeys(parseDocument(text, { prettyErrors: false, ...LINEAR })).map(({ offset }) => offset);

const keys = (count: number): string => Array.from({ length: count }, (_, at) => `k${at}: 1\n`).join('');

describe('repeated keys of a YAML text', () => {
  it.each([
    ['none', 'a: 1\nb: {a: 2}\nc: [{a: 1}, {a: 2}]\n', []],
    ['in a map of lines', 'a: 1\nb: 2\na: 3\n', [10]],
    ['in a map in braces, with quotes', '{x: 1, "x": 2}', [7]],
    ['in a map within a list', '- a: 1\n  a: 2\n', [9]],
    ['a number and its text, which are one name in JSON', '1: a\n"1": b\n', [5]],
    ['a number in another form', '1: a\n0x1: b\n', [5]],
    ['an empty key', ': 1\n"": 2\n', [4]],
    ['lists as keys, which are not compared', '? [q]\n: 1\n? [q]\n: 2\n', []],
    ['at most 20', 'a: 1\n'.repeat(40), Array.from({ length: 20 }, (_, at) => 5 * (at + 1))],
  ])('%s', (_name, text, offsets) => {
    expect(offsetsIn(text)).toEqual(offsets);
  });

  it('are problems of a strict text, in the order of their places', () => {
    expect(yamlRootFrom('a: 1\na: *b\nc: 1\nc: 2\n')).toEqual({
      problems: [
        { offset: 5, message: 'invalid YAML: map keys must be unique' },
        { offset: 8, message: 'aliases are not supported: write the value out' },
        { offset: 16, message: 'invalid YAML: map keys must be unique' },
      ],
    });
  });

  it('are found in a time that grows as the text does: the library took 50 s for 64,000 keys', () => {
    const [long, short] = [keys(8_000), keys(500)];
    const whole = costRatio(
      () => void yamlRootFrom(long),
      () => {
        for (let n = 0; n < 16; n += 1) yamlRootFrom(short);
      },
    );
    expect(whole).toBeLessThan(3);
  });
});
