import * as fc from 'fast-check';

const SURROGATES = { first: 0xd800, count: 0x800 };

/**
 * Any character but a surrogate, as the `unit` of a string. What fast-check has for it, `binary`, first builds a table of all million of
 * them, which takes longer than most tests.
 */
export const anyCharacter = fc.nat({ max: 0x10ffff - SURROGATES.count }).map(
  (n) => String.fromCodePoint(n < SURROGATES.first ? n : n + SURROGATES.count),
  (text) => {
    if (typeof text !== 'string' || !/^\P{Surrogate}$/su.test(text)) throw new Error('not a character');
    const code = text.codePointAt(0) ?? 0;
    return code < SURROGATES.first ? code : code - SURROGATES.count;
  },
);
