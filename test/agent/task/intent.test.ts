import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { intentFileFrom } from '../../../src/agent/task/intent.ts';

const good = `
purpose: pay the invoices of may
access:
  - resource: https://payments.acme.test
    actions: [payments.read, 'payments.*']
    constraints: { max_calls: 50 }
  - resource: https://files.acme.test
    actions: [files.read]
expires_in: 15m
`;

const findingsOf = (text: string): readonly string[] => {
  const read = intentFileFrom(text, 'intent.yaml');
  return 'findings' in read ? read.findings.map((f) => `${f.line}:${f.column} ${f.message}`) : [];
};

describe('intentFileFrom', () => {
  it('reads an intent in the form of a token request', () => {
    expect(intentFileFrom(good, 'intent.yaml')).toEqual({
      purpose: 'pay the invoices of may',
      expiresInSeconds: 900,
      keep: [],
      take: [],
      access: [
        {
          resource: 'https://payments.acme.test',
          detail: {
            type: 'urn:remit:task',
            locations: ['https://payments.acme.test'],
            actions: ['payments.read', 'payments.*'],
            purpose: 'pay the invoices of may',
            constraints: { max_calls: 50 },
          },
        },
        {
          resource: 'https://files.acme.test',
          detail: {
            type: 'urn:remit:task',
            locations: ['https://files.acme.test'],
            actions: ['files.read'],
            purpose: 'pay the invoices of may',
          },
        },
      ],
    });
  });

  it('reads JSON with a $schema, and leaves the duration to the issuer', () => {
    const text = JSON.stringify({
      $schema: 'https://remit.dev/intent-v1.json',
      purpose: 'x',
      access: [{ resource: 'https://a.test', actions: ['a.b'] }],
    });
    expect(intentFileFrom(text, 'intent.json')).toMatchObject({ purpose: 'x', expiresInSeconds: null });
  });

  it.each([
    ['an empty file', '', ['1:1 an intent must be a mapping']],
    ['no YAML', 'a: [', expect.arrayContaining([expect.stringContaining('invalid YAML')])],
    ['an unknown key', `${good}ttl: 5m\n`, ['10:1 unknown key `ttl` in an intent']],
    [
      'no purpose',
      'purpose: " "\naccess: []',
      expect.arrayContaining(['1:10 the purpose ` ` must be a sentence that says what the task is for']),
    ],
    ['no access', 'purpose: x\naccess: []', ['2:9 `access` must have at least one entry']],
    ['an access that is not a list', 'purpose: x\naccess: all', ['2:9 `access` must be a list']],
    [
      'an unknown constraint',
      good.replace('max_calls', 'max_fun'),
      ['6:18 `constraints` has an unknown constraint `max_fun`'],
    ],
    [
      'an invalid resource URI',
      good.replace('https://files.acme.test', 'files'),
      ['7:15 `resource` must be an absolute URI without a fragment'],
    ],
    [
      'an action that is a number',
      good.replace('[files.read]', '[7]'),
      ['8:14 `actions` entry 0 must be a string of 1 to 256 characters'],
    ],
    [
      'an invalid duration',
      good.replace('15m', 'soon'),
      ['9:13 `expires_in` must be a duration from `1s` to `30d`, such as `90s`, `15m` or `2h`'],
    ],
    [
      'a purpose that is too long',
      good.replace('pay', 'p'.repeat(300)),
      expect.arrayContaining(['2:10 `purpose` must be a string of 1 to 256 characters']),
    ],
    [
      'an alias',
      'purpose: &a x\naccess: *a',
      expect.arrayContaining(['2:9 aliases are not supported: write the value out']),
    ],
  ])('finds %s, with line and column', (_name, text, findings) => {
    expect(findingsOf(text)).toEqual(findings);
  });

  it('gives an intent or findings for any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const read = intentFileFrom(text, 'f');
        expect('findings' in read ? read.findings.length : read.access.length).toBeGreaterThan(0);
      }),
    );
  });
});
