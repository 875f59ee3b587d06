import * as fc from 'fast-check';
import type { SpanAttributeValue, EndedSpan, SpanLink } from '../../../src/core/telemetry/spans/ended-span.ts';
import { anyCharacter } from '../../builders/any-character.ts';

/** A span with these attributes; everything else is that of an allowed check. */
export const endedSpan = (
  attributes: Readonly<Record<string, SpanAttributeValue>>,
  rest: Partial<EndedSpan> = {},
): EndedSpan => ({
  traceId: '5'.repeat(32),
  spanId: '6'.repeat(16),
  name: 'allow payments.list',
  parent: null,
  startMs: 1_700_000_000_000,
  endMs: 1_700_000_000_001,
  attributes: (tell) => {
    for (const [name, value] of Object.entries(attributes)) tell(name, value);
  },
  links: [],
  isError: false,
  isAllowedCheck: true,
  ...rest,
});

/** A hex identifier of that length. */
export const hexOf = (length: number) =>
  fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdef')), minLength: length, maxLength: length });

const context = fc.record({
  traceId: hexOf(32),
  spanId: hexOf(16),
  traceFlags: fc.constantFrom(0, 1),
  isRemote: fc.boolean(),
});

/** Any JavaScript string: with U+0000, lone surrogates, one to four bytes per character in UTF-8, and long ones. */
const text = fc.oneof(
  fc.string({ unit: anyCharacter }),
  fc.string({ unit: 'binary-ascii' }),
  fc.string({ unit: fc.constantFrom('\0', '\ud800', '\udfff', '\u{10ffff}', 'é', '字', 'a') }),
  fc.string({ minLength: 100, maxLength: 300, size: 'max' }),
);

const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.constantFrom(0, -0, -1, 127, 128, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 2 ** 63),
);

const value: fc.Arbitrary<SpanAttributeValue> = fc.oneof(text, number, fc.boolean(), fc.array(text, { maxLength: 5 }));

const link: fc.Arbitrary<SpanLink> = fc.record({
  to: context,
  kind: fc.constantFrom('issued_by', 'previous_use', 'withdraws', 'application'),
});

/** Milliseconds of a clock, whole and with fractions. */
const instant = fc.oneof(
  fc.integer({ min: 0, max: 4_102_444_800_000 }),
  fc.double({ min: 0, max: 4_102_444_800_000, noNaN: true }),
);

/** Any span. It has few attribute names, as the program does. */
export const anySpan: fc.Arbitrary<EndedSpan> = fc
  .record({
    traceId: hexOf(32),
    spanId: hexOf(16),
    name: text,
    parent: fc.option(context),
    startMs: instant,
    took: fc.double({ min: 0, max: 100_000, noNaN: true }),
    attributes: fc.dictionary(fc.constantFrom('a', 'remit.detail', 'é', 'n'.repeat(200)), value),
    links: fc.array(link, { maxLength: 4 }),
    isError: fc.boolean(),
  })
  .map(({ took, attributes, ...rest }) => endedSpan(attributes, { ...rest, endMs: rest.startMs + took }));
