import { describe, expect, it } from '@jest/globals';
import { detail, instantText, listText } from '../../../../src/sidecar/check/trace/detail.ts';

describe('detail', () => {
  it.each<[string | number | null | undefined]>([[null], [undefined], ['']])(
    'is empty without a value: %j',
    (value) => {
      expect(detail('name', value)).toEqual([]);
    },
  );

  it('keeps a number that is 0', () => {
    expect(detail('generation', 0)).toEqual([['generation', '0']]);
  });

  it('shows the beginning of a long value, with a digest', () => {
    const [[name, value] = ['', '']] = detail('path', 'x'.repeat(100_000));
    expect([name, value.slice(0, 2_000)]).toEqual(['path', 'x'.repeat(2_000)]);
    expect(value.length).toBeLessThan(2_200);
    expect(value).not.toBe(detail('path', 'x'.repeat(99_999))[0]?.[1]);
  });
});

describe('listText', () => {
  it.each([
    [0, 'none'],
    [1, 'e0'],
    [64, Array.from({ length: 64 }, (_, n) => `e${n}`).join(', ')],
    [66, `${Array.from({ length: 64 }, (_, n) => `e${n}`).join(', ')} and 2 more`],
  ])('shows at most 64 of %i entries', (count, text) => {
    expect(listText(Array.from({ length: count }, (_, n) => `e${n}`))).toBe(text);
  });
});

describe('instantText', () => {
  it.each([
    [0, '1970-01-01T00:00:00.000Z'],
    [null, null],
    [Infinity, null],
    [NaN, null],
    [1e300, null],
  ])('of %p is %p', (ms, text) => {
    expect(instantText(ms)).toBe(text);
  });
});
