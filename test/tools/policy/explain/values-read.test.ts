import { describe, expect, it } from '@jest/globals';
import { valuesRead } from '../../../../src/tools/policy/explain/values-read.ts';

const context = {
  args: { amount: 900, 'assigned-to': 'ann', list: ['a'], price: { __extn: { fn: 'decimal', arg: '1.5' } } },
  now: { __extn: { fn: 'datetime', arg: '2026-01-15T12:00:00Z' } },
  labels: [],
  long: 'x'.repeat(300),
};

describe('valuesRead', () => {
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ['a member', 'context.args.amount > 500', ['context.args.amount = 900']],
    ['a quoted member', 'context.args["assigned-to"] like "team-*"', ['context.args["assigned-to"] = "ann"']],
    ['what `has` asks for', 'context.args has currency', ['context.args.currency = null']],
    ['what `has` asks for in quotes', 'context.args has "assigned-to"', ['context.args["assigned-to"] = "ann"']],
    ['no method', 'context.now.toTime() >= duration("6h")', ['context.now = 2026-01-15T12:00:00Z']],
    ['a decimal', 'context.args.price.lessThan(decimal("2.0"))', ['context.args.price = 1.5']],
    ['a set', 'context.labels.contains("a")', ['context.labels = []']],
    [
      'each once, in order',
      'context.labels == context.args.list && context.labels == 1',
      ['context.labels = []', 'context.args.list = ["a"]'],
    ],
    ['what is not there', 'context.nothing.at == 1', ['context.nothing = null']],
    ['nothing in text', '"context.args" == principal', []],
    ['nothing of the prototype', 'context.constructor == 1', ['context.constructor = null']],
    [
      'an escape that JSON does not have as nothing',
      String.raw`context.args["\u{1}"] == 1`,
      [
        'context.args = {"amount":900,"assigned-to":"ann","list":["a"],"price":{"__extn":{"fn":"decimal","arg":"1.5"}}}',
      ],
    ],
  ];
  it.each(rows)('gives %s', (_name, text, expected) => {
    expect(valuesRead(text, context).map(({ path, value }) => `${path} = ${value}`)).toEqual(expected);
  });

  it('cuts what is longer than 200 characters', () => {
    expect(valuesRead('context.long == ""', context)[0]?.value).toMatch(/^"x{199}…$/);
  });
});
