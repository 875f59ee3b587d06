import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { intentFileFrom } from '../../../src/agent/task/intent.ts';

const schema = JSON.parse(readFileSync('deploy/schemas/intent.schema.json', 'utf8')) as object;
const validate = new Ajv({ strict: true, allErrors: true }).compile(schema);

/** Whether `remit run` and an editor accept an intent. */
const accepted = (intent: unknown) => ({
  remit: !('findings' in intentFileFrom(JSON.stringify(intent), 'intent.json')),
  schema: validate(intent),
});
const both = { remit: true, schema: true };
const neither = { remit: false, schema: false };

const entry = { resource: 'https://payments.acme.test', actions: ['payments.read'] };
const plain = { purpose: 'pay', access: [entry] };
const bound = (constraints: unknown): unknown => ({ ...plain, access: [{ ...entry, constraints }] });
const amount = (change: object): unknown => bound({ max_amount: { argument: 'amount', limit: 500, ...change } });

/** Now and then an object with an unknown member instead. */
const withExtra = (one: fc.Arbitrary<object>): fc.Arbitrary<object> =>
  fc.oneof({ weight: 9, arbitrary: one }, fc.constant({ other: 1 }));

describe('intent.schema.json', () => {
  it.each<[string, unknown]>([
    ['the least', plain],
    ['a schema', { $schema: './intent.schema.json', ...plain }],
    ['several entries', { ...plain, access: [entry, { ...entry, actions: ['payments.*', 'files.read'] }] }],
    ['a purpose of two lines', { ...plain, purpose: 'pay\n\tthe rent' }],
    ['a purpose of 256 characters', { ...plain, purpose: 'p'.repeat(256) }],
    ['64 actions', { ...plain, access: [{ ...entry, actions: Array.from({ length: 64 }, (_, n) => `a.${n}`) }] }],
    ['a resource with path and query', { ...plain, access: [{ ...entry, resource: 'https://a.test:8443/mcp?x=1' }] }],
    ['a URN', { ...plain, access: [{ ...entry, resource: 'urn:acme:payments' }] }],
    ['no constraint', bound({})],
    ['calls', bound({ max_calls: 1_000_000 })],
    ['an amount of nothing', amount({ limit: 0 })],
    ['a large amount', amount({ limit: Number.MAX_SAFE_INTEGER })],
    ['a decimal amount', amount({ limit: '99.95' })],
    ['the largest decimal amount', amount({ limit: '99999999999.9999' })],
    ['an amount in euro', amount({ currency: { argument: 'currency', value: 'EUR' } })],
    ['an argument with a space', amount({ argument: 'the amount €' })],
    ['a single use', bound({ single_use: true })],
    ['times', bound({ not_before: 0, not_after: 253_402_300_799 })],
    ...['1', '90s', '15m', '2h', '30d', '0000001'].map((life): [string, unknown] => [
      `\`${life}\``,
      { ...plain, expires_in: life },
    ]),
    ['seconds', { ...plain, expires_in: 2_592_000 }],
    ['variables', { ...plain, keep: ['OPENAI_API_KEY', 'A*'], take: ['*'] }],
    ['64 variables', { ...plain, keep: Array.from({ length: 64 }, (_, n) => `V${n}`) }],
    ['variables', { ...plain, keep: ['OPENAI_*', 'ProgramFiles(x86)'], take: ['*'] }],
    ['64 variables', { ...plain, keep: Array.from({ length: 64 }, (_, n) => `A${n}`) }],
    ['a variable of 256 characters', { ...plain, take: ['€'.repeat(256)] }],
  ])('takes, as `remit run` does, %s', (_name, intent) => {
    expect(accepted(intent)).toEqual(both);
  });

  it.each<[string, unknown]>([
    ['nothing', {}],
    ['a list', [plain]],
    ['no purpose', { access: [entry] }],
    ['a purpose of blanks', { ...plain, purpose: ' \n' }],
    ['a purpose that is a number', { ...plain, purpose: 7 }],
    ['a purpose of 257 characters', { ...plain, purpose: 'p'.repeat(257) }],
    ['a purpose with a control character', { ...plain, purpose: 'pay\u0007' }],
    ['no access', { purpose: 'pay' }],
    ['a variable that is no list', { ...plain, keep: 'OPENAI_*' }],
    ['no variables', { ...plain, keep: [] }],
    ['65 variables', { ...plain, keep: Array.from({ length: 65 }, (_, n) => `A${n}`) }],
    ['an empty variable', { ...plain, take: [''] }],
    ['a variable of 257 characters', { ...plain, take: ['a'.repeat(257)] }],
    ['a variable with a value', { ...plain, take: ['A=b'] }],
    ['a variable with a blank', { ...plain, take: ['A B'] }],
    ['a variable with a control character', { ...plain, take: ['A\u0007'] }],
    ['a variable that is a number', { ...plain, keep: [7] }],
    ['an empty access', { ...plain, access: [] }],
    ['an access that is a mapping', { ...plain, access: entry }],
    ['an unknown key', { ...plain, ttl: '5m' }],
    ['an unknown key of an entry', { ...plain, access: [{ ...entry, scope: 'x' }] }],
    ['no resource', { ...plain, access: [{ actions: ['a'] }] }],
    ['a resource without a scheme', { ...plain, access: [{ ...entry, resource: 'payments' }] }],
    ['a resource with a fragment', { ...plain, access: [{ ...entry, resource: 'https://a.test/#x' }] }],
    ['a resource with a space', { ...plain, access: [{ ...entry, resource: 'https://a.test/a b' }] }],
    ['no actions', { ...plain, access: [{ resource: 'https://a.test' }] }],
    ['an empty list of actions', { ...plain, access: [{ ...entry, actions: [] }] }],
    ['actions that are a text', { ...plain, access: [{ ...entry, actions: 'payments.read' }] }],
    ['65 actions', { ...plain, access: [{ ...entry, actions: Array.from({ length: 65 }, (_, n) => `a.${n}`) }] }],
    ['an action with a space', { ...plain, access: [{ ...entry, actions: ['payments read'] }] }],
    ['an unknown constraint', bound({ max_bytes: 1 })],
    ['constraints that are a list', bound([])],
    ['no calls', bound({ max_calls: 0 })],
    ['too many calls', bound({ max_calls: 1_000_001 })],
    ['half a call', bound({ max_calls: 1.5 })],
    ['calls as a text', bound({ max_calls: '5' })],
    ['an amount alone', bound({ max_amount: 500 })],
    ['an amount without an argument', bound({ max_amount: { limit: 5 } })],
    ['an amount without a limit', bound({ max_amount: { argument: 'amount' } })],
    ['a negative amount', amount({ limit: -1 })],
    ['an amount that is too large', amount({ limit: 2 ** 53 })],
    ['an amount per day', amount({ per: 'day' })],
    ['an argument that no catalog has', amount({ argument: '__entity' })],
    ['an argument with a line break', amount({ argument: 'a\nb' })],
    ['a currency that is a text', amount({ currency: 'EUR' })],
    ['a currency without a value', amount({ currency: { argument: 'currency' } })],
    ['a currency with more', amount({ currency: { argument: 'currency', value: 'EUR', or: 'USD' } })],
    ['several uses', bound({ single_use: false })],
    ['a time as a text', bound({ not_after: '2026-01-01' })],
    ['a time after the year 9999', bound({ not_after: 253_402_300_800 })],
    ...['', '0', '0s', '15 m', '1.5h', '-5m', '2w', '12345678s'].map((life): [string, unknown] => [
      `\`${life}\``,
      { ...plain, expires_in: life },
    ]),
    ['no seconds', { ...plain, expires_in: 0 }],
    ['more than 30 days of seconds', { ...plain, expires_in: 2_592_001 }],
    ['a life that is a list', { ...plain, expires_in: ['5m'] }],
    ['no variables', { ...plain, keep: [] }],
    ['a variable alone', { ...plain, take: 'A' }],
    ['a variable with its value', { ...plain, keep: ['A=b'] }],
    ['a variable with a space', { ...plain, keep: ['A B'] }],
    ['a variable that is a number', { ...plain, take: [7] }],
    ['an empty variable', { ...plain, take: [''] }],
    ['a variable of 257 characters', { ...plain, take: ['A'.repeat(257)] }],
    ['65 variables', { ...plain, keep: Array.from({ length: 65 }, (_, n) => `V${n}`) }],
  ])('refuses, as `remit run` does, %s', (_name, intent) => {
    expect(accepted(intent)).toEqual(neither);
  });

  // JSON Schema cannot say these.
  it.each<[string, unknown]>([
    ['an end before the begin', bound({ not_before: 2, not_after: 1 })],
    ['more than 30 days', { ...plain, expires_in: '31d' }],
    ['a URL with a bad port', { ...plain, access: [{ ...entry, resource: 'https://a.test:99999' }] }],
  ])('leaves to `remit run` %s', (_name, intent) => {
    expect(accepted(intent)).toEqual({ remit: false, schema: true });
  });

  it('agrees with `remit run` on intents of good and bad parts', () => {
    const text = fc.oneof(fc.constantFrom('amount', 'EUR', 'a b', '', '__x', '15m', 'https://a.test'), fc.string());
    const number = fc.oneof(fc.integer({ min: -2, max: 3 }), fc.constantFrom(1.5, 1e6, 1e7, 2 ** 53));
    const any = fc.oneof(text, number, fc.constantFrom(null, true, false, [], {}));
    const constraints = withExtra(
      fc.record(
        {
          max_calls: fc.oneof(number, any),
          single_use: fc.oneof(fc.constant(true), any),
          max_amount: fc.oneof(
            fc.record(
              { argument: text, limit: number, currency: fc.record({ argument: text, value: text }) },
              { requiredKeys: [] },
            ),
            any,
          ),
        },
        { requiredKeys: [] },
      ),
    );
    const entries = fc.record(
      {
        resource: fc.constantFrom('https://a.test', 'https://a.test/x', 'a', 'https://a.test/#', 7),
        actions: fc.oneof(fc.array(fc.oneof(fc.constantFrom('a.b', 'a.*', ''), text), { maxLength: 3 }), any),
        constraints,
      },
      { requiredKeys: ['resource', 'actions'] },
    );
    const intent = withExtra(
      fc.record(
        {
          purpose: fc.oneof({ weight: 9, arbitrary: fc.constant('pay') }, any),
          access: fc.oneof({ weight: 9, arbitrary: fc.array(entries, { maxLength: 2 }) }, any),
          expires_in: fc.oneof(fc.constantFrom('5m', '0', 60, 0, -1), number),
        },
        { requiredKeys: ['access'] },
      ),
    );
    fc.assert(
      fc.property(intent, (one) => {
        // As the file has it.
        const { remit, schema: isValid } = accepted(JSON.parse(JSON.stringify(one)));
        expect([JSON.stringify(one), isValid]).toEqual([JSON.stringify(one), remit]);
      }),
      { numRuns: 3_000 },
    );
  });
});
