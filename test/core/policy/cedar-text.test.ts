import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { freshCedar } from '../../../src/core/policy/cedar.ts';
import { cedarStatements, cedarString, cedarTokens, offsetOfByte } from '../../../src/core/policy/cedar-text.ts';
import { anyCharacter } from '../../builders/any-character.ts';

describe('cedarTokens', () => {
  it('drops only white space and comments, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), (text) => {
        let end = 0;
        for (const token of cedarTokens(text)) {
          expect(text.slice(token.start, token.end)).toBe(token.text);
          expect(text.slice(end, token.start)).toMatch(/^(\s|\/\/[^\n]*)*$/);
          end = token.end;
        }
        expect(text.slice(end)).toMatch(/^(\s|\/\/[^\n]*)*$/);
      }),
    );
  });
});

describe('cedarStatements', () => {
  it('splits as the engine does', () => {
    const text =
      '// ;\n@id("a;\\"") permit (principal, action, resource);\n\n  forbid // x ;\n(principal, action, resource) when { "//;" == "" };';
    const parts = freshCedar().policySetTextToParts(text);
    expect(
      cedarStatements(text)
        .map((statement) => statement.text)
        .sort(),
    ).toEqual(parts.type === 'success' ? parts.policies.toSorted() : []);
  });
});

describe('cedarString', () => {
  it('round-trips through the engine, for any well-formed text', () => {
    const cedar = freshCedar();
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), (text) => {
        const policy = `permit (principal, action, resource) when { context.x == ${cedarString(text.toWellFormed())} };`;
        const json = cedar.policyToJson(policy);
        const body = json.type === 'success' ? json.json.conditions[0]?.body : null;
        expect(body).toMatchObject({ '==': { right: { Value: text.toWellFormed() } } });
      }),
    );
  });
});

describe('offsetOfByte', () => {
  const rows: readonly (readonly [string, string, number, number])[] = [
    ['ASCII', 'abc', 2, 2],
    ['two bytes', 'éx', 2, 1],
    ['four bytes, two units', '😀x', 4, 2],
    ['the end', 'é', 2, 1],
  ];
  it.each(rows)('%s', (_name, text, byte, expected) => {
    expect(offsetOfByte(text, byte)).toBe(expected);
  });
});
