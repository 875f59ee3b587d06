import { execFileSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import { shellWord, yamlText } from '../../../src/tools/init/written-text.ts';

/** Answers have no control characters: those are refused before. */
const line = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((text) => !/\p{C}/u.test(text));
const tricky = fc.constantFrom(
  'true',
  'null',
  '1.5',
  '~',
  '0x10',
  '1e3.',
  'a: b',
  'a #b',
  "it's",
  '"',
  '',
  '- a',
  'y/n',
  '/a:b',
  'a.',
  '&a',
  '12:30',
);
const texts = fc.oneof(line, tricky);

describe('yamlText', () => {
  it('is read as the same text in a block, a list and a mapping', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const written = yamlText(text);
        expect(parse(`a: ${written}\n`)).toEqual({ a: text });
        expect(parse(`a: [${written}, ${written}]\nb: { c: ${written}, d: 1 }\n`)).toEqual({
          a: [text, text],
          b: { c: text, d: 1 },
        });
      }),
    );
  });

  it('leaves names, paths and addresses as they are', () => {
    const plain = ['acme.test', 'spiffe://acme.test/a', 'unix:/run/check.sock', 'https://localhost:9472', '/etc/x.y'];
    expect(plain.map(yamlText)).toEqual(plain);
  });
});

describe('shellWord', () => {
  it('is a single argument with the same text', () => {
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 20 }), (words) => {
        const script = `printf '%s\\n' ${words.map((word) => shellWord(`x${word}`)).join(' ')}`;
        const printed = execFileSync('sh', ['-c', script], { encoding: 'utf8' });
        expect(printed).toBe(words.map((word) => `x${word}\n`).join(''));
      }),
      { numRuns: 30 },
    );
  });

  it('quotes the empty text', () => {
    expect(shellWord('')).toBe("''");
  });
});
