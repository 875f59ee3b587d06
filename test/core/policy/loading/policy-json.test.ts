import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../../src/core/policy/cedar.ts';
import type { Cedar } from '../../../../src/core/policy/cedar.ts';
import { cedarStatements, cedarTokens } from '../../../../src/core/policy/cedar-text.ts';
import { readingFrom } from '../../../../src/core/policy/loading/policy-file.ts';
import { withFormsOnce } from '../../../../src/core/policy/loading/policy-json.ts';

const cedar = freshCedar();

const folders = [
  'cedar-policies/policies',
  ...readdirSync('cedar-policies/examples').map((name) => `cedar-policies/examples/${name}`),
];
const shipped = folders
  .flatMap((folder) => (folder.endsWith('.md') ? [] : readdirSync(folder).map((name) => `${folder}/${name}`)))
  .filter((file) => file.endsWith('.cedar'))
  .flatMap((file) => cedarStatements(readFileSync(file, 'utf8')).map(({ text }) => text));

const when = (body: string): string => `@id("a")\npermit (principal, action, resource) when { ${body} };`;

describe('withFormsOnce', () => {
  const rows = [
    'context.a like "x*" && context.b == "x*"',
    String.raw`context.a == "quo\"te" && context.b == "plain"`,
    String.raw`context.a == "\u{41}" && context.a == "A"`,
    'context.a like "*" && context.b like "a*b*" && context.c like "" && context.n <= 500 && context.m == 007',
    'context.n - 5 > -3 && context.n == 9007199254740991',
    'context has "a b" && context["a b"] == "c d"',
    'context has a.b && {"k": "v", w: [1, 2]} == context.r',
    '["b", "a"].containsAny(context.s) || ["a", "b", "a"].contains(context.t)',
    'decimal("1.5").lessThan(context.d) && ip("10.0.0.1").isInRange(ip("10.0.0.0/8"))',
    'principal is A::B in A::G::"g" && principal in [A::G::"x", A::G::"y"] && context.n == -5',
    'if context.a == "" then !(context.b != "//") else context.c /* no comment */ == "x"',
    'context.x == "string\u20630" && context.y == "a"',
    'context.x like "" && context.x like "**é€𝄞*" && context.y like "a" && "a" like "string*"',
    '{"like": "x", Literal: "s", pattern: ["s", "t"]}.like like "x" && [{"Literal": "s"}].contains(context.r)',
    'context.now < datetime("2026-01-01") && context.now < datetime("no date") && context.d.lessThan(decimal("1.50"))',
    'principal.hasTag("team") && principal.getTag("team") == "a" && context.hours > 8 && A::T::"office".open',
    'context.e == A::T::"1" // "text" in a comment\n && context.a == "é€𝄞"',
  ];
  const annotated = [
    String.raw`@id("a") @reason("say \"no\"") @shadow permit (principal, action, resource);`,
    '@id("a") @id("b") permit (principal, action, resource);',
    '@permit("a") @reason("") forbid (principal, action, resource) when { true };',
    '@id("a") permit (principal, action, resource) when { context. };',
    'permit (principal == ?principal, action, resource);',
  ];
  it.each([...shipped, ...rows.map(when), ...annotated])('equals the engine for %j', (text) => {
    const tool = withFormsOnce(cedar);
    const other = text.replaceAll(/"([a-z]+)"/g, '"$1-other"');
    // The second and third of one form reuse the first.
    for (const one of [other, text, text]) {
      expect(tool.policyToJson(one)).toEqual(cedar.policyToJson(one));
      const written = { text: one, tokens: cedarTokens(one) };
      expect(tool.readPolicy(written)).toEqual(readingFrom(cedar.policyToJson(one)));
    }
  });

  it('calls the engine once for policies that differ in strings only', () => {
    let asked = 0;
    const counting: Pick<Cedar, 'policyToJson'> = {
      policyToJson: (text) => {
        asked += 1;
        return cedar.policyToJson(text);
      },
    };
    const tool = withFormsOnce(counting);
    for (let at = 0; at < 100; at += 1) {
      const text = `@id("p${at}") permit (principal == A::"a${at}", action, resource) when { context.x == "${at}" && context.y like "${at}*" && context.n < ${at} };`;
      expect(tool.policyToJson(text)).toEqual(cedar.policyToJson(text));
    }
    expect(asked).toBe(1);
  });
});
