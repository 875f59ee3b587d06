import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { ArgumentValue } from '../../../../src/core/action/arguments/argument.ts';
import type { ArgumentSpec } from '../../../../src/core/action/catalog/catalog-arguments.ts';
import { mcpParamProblem } from '../../../../src/core/action/mcp/mcp-param-headers.ts';

type Headers = Readonly<Record<string, string | readonly string[]>>;

const specs: readonly ArgumentSpec[] = [
  { name: 'region', from: 'body', pointer: ['where', 'region'], type: 'string', required: false, header: 'area' },
  { name: 'count', from: 'body', pointer: ['count'], type: 'long', required: false },
];

const outcome = (
  headers: Headers,
  sent: Readonly<Record<string, unknown>> | null = {},
  args: Readonly<Record<string, ArgumentValue>> = {},
): string | null => {
  const map = new Map(Object.entries(headers).map(([name, value]) => [name, [value].flat()]));
  const called =
    sent === null ? null : { sent: new Map(Object.entries(sent)), args: new Map(Object.entries(args)), specs };
  const problem = mcpParamProblem(map, called);
  return problem === null ? null : `${problem.reason}: ${problem.detail}`;
};

const base64 = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;
const latest = { 'mcp-protocol-version': '2026-07-28' };
const refused = (name: string, problem: string) => `request.not-canonical: the header \`mcp-param-${name}\` ${problem}`;

describe('mcpParamProblem lets pass', () => {
  it.each<[string, Headers, Readonly<Record<string, unknown>> | null, Readonly<Record<string, ArgumentValue>>?]>([
    ['no header', {}, { region: 'eu' }],
    ['no header and no tool', { 'mcp-name': 'x' }, null],
    ['text', { 'mcp-param-region': 'eu' }, { region: 'eu' }],
    ['text in another case of the name', { 'mcp-param-region': 'eu' }, { Region: 'eu' }],
    ['empty text', { 'mcp-param-region': '' }, { region: '' }],
    ['text in Base64', { 'mcp-param-region': base64('Zürich\n') }, { region: 'Zürich\n' }],
    ['text that looks like Base64', { 'mcp-param-region': base64('=?base64?eA==?=') }, { region: '=?base64?eA==?=' }],
    ['a whole number', { 'mcp-param-count': '-42' }, { count: -42 }],
    ['a whole number with a point', { 'mcp-param-count': '42.0' }, { count: 42 }],
    ['a truth value', { 'mcp-param-force': 'false' }, { force: false }],
    ['a header that the catalog names', { 'mcp-param-area': 'eu' }, { where: { region: 'eu' } }, { region: 'eu' }],
    ['an older revision without a header that it names', {}, { where: { region: 'eu' } }, { region: 'eu' }],
    ['the latest revision with it', { ...latest, 'mcp-param-area': 'eu' }, {}, { region: 'eu' }],
    ['the latest revision without it and without its argument', latest, {}],
    ['the latest revision without a header that the catalog does not name', latest, { count: 1 }, { count: 1 }],
  ])('%s', (_name, headers, sent, ...[args]) => {
    expect(outcome(headers, sent, args)).toBeNull();
  });
});

describe('mcpParamProblem denies', () => {
  it.each<
    [string, Headers, Readonly<Record<string, unknown>> | null, string, Readonly<Record<string, ArgumentValue>>?]
  >([
    ['other text', { 'mcp-param-region': 'us' }, { region: 'eu' }, refused('region', 'differs from the message')],
    [
      'text in other case',
      { 'mcp-param-region': 'EU' },
      { region: 'eu' },
      refused('region', 'differs from the message'),
    ],
    ['a number for text', { 'mcp-param-region': '1' }, { region: 1.5 }, refused('region', 'differs from the message')],
    ['another number', { 'mcp-param-count': '42' }, { count: 43 }, refused('count', 'differs from the message')],
    [
      'a number in hexadecimal',
      { 'mcp-param-count': '0x2a' },
      { count: 42 },
      refused('count', 'differs from the message'),
    ],
    ['a number with blanks', { 'mcp-param-count': ' 42' }, { count: 42 }, refused('count', 'differs from the message')],
    [
      'a number with an exponent',
      { 'mcp-param-count': '1e2' },
      { count: 100 },
      refused('count', 'differs from the message'),
    ],
    ['a fraction', { 'mcp-param-count': '0.5' }, { count: 0.5 }, refused('count', 'differs from the message')],
    ['nothing for zero', { 'mcp-param-count': '' }, { count: 0 }, refused('count', 'differs from the message')],
    [
      'a truth value in capitals',
      { 'mcp-param-force': 'True' },
      { force: true },
      refused('force', 'differs from the message'),
    ],
    [
      'a word for null',
      { 'mcp-param-region': 'null' },
      { region: null },
      refused('region', 'differs from the message'),
    ],
    [
      'an object',
      { 'mcp-param-region': '[object Object]' },
      { region: {} },
      refused('region', 'differs from the message'),
    ],
    ['a list of one', { 'mcp-param-region': 'eu' }, { region: ['eu'] }, refused('region', 'differs from the message')],
    ['a header for no argument', { 'mcp-param-x': 'eu' }, { region: 'eu' }, refused('x', 'mirrors no argument')],
    ['a header for the prototype', { 'mcp-param-constructor': 'x' }, {}, refused('constructor', 'mirrors no argument')],
    ['a header without name', { 'mcp-param-': 'x' }, {}, refused('', 'mirrors no argument')],
    [
      'a header for two arguments',
      { 'mcp-param-region': 'eu' },
      { region: 'eu', Region: 'us' },
      refused('region', 'mirrors more than one argument'),
    ],
    [
      'two values',
      { 'mcp-param-region': ['eu', 'us'] },
      { region: 'eu' },
      refused('region', 'has more than one value'),
    ],
    [
      'Base64 that is none',
      { 'mcp-param-region': '=?base64?e?=' },
      { region: '{' },
      refused('region', 'is not well formed'),
    ],
    [
      'Base64 in capitals',
      { 'mcp-param-region': '=?BASE64?ZXU=?=' },
      { region: 'eu' },
      refused('region', 'differs from the message'),
    ],
    ['raw text beyond ASCII', { 'mcp-param-region': 'é' }, { region: 'é' }, refused('region', 'is not well formed')],
    ['a header with no tool', { 'mcp-param-region': 'eu' }, null, refused('region', 'is only valid with a tool call')],
    [
      'a header that the catalog names, for what was not sent',
      { 'mcp-param-area': 'eu' },
      { area: 'eu' },
      refused('area', 'differs from the message'),
    ],
    [
      'the latest revision without a header that the catalog names',
      latest,
      { where: { region: 'eu' } },
      'request.malformed: revision 2026-07-28 requires the header `mcp-param-area`',
      { region: 'eu' },
    ],
  ])('%s', (_name, headers, sent, expected, ...[args]) => {
    expect(outcome(headers, sent, args)).toBe(expected);
  });

  it('every header that differs from its argument', () => {
    const scalar = fc.oneof(fc.string(), fc.boolean(), fc.maxSafeInteger());
    fc.assert(
      fc.property(scalar, scalar, (value, other) => {
        const got = outcome({ 'mcp-param-a': base64(String(other)) }, { a: value });
        expect(got === null).toBe(String(value) === String(other));
      }),
    );
  });
});
