import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  checkResponseBytes,
  type CheckedAnswer,
  type SetHeader,
} from '../../../../src/sidecar/envoy/check/check-response.ts';
import { text } from '../messages.ts';
import { envoyCheckResponseType } from '../protos.ts';

const long = fc.oneof(text, fc.string({ unit: 'grapheme', minLength: 120, maxLength: 20_000 }));
const headers = fc.array(fc.tuple(text, long), { maxLength: 4 });
const answers: fc.Arbitrary<CheckedAnswer> = fc.oneof(
  fc.record({ kind: fc.constant('ok' as const), headers, headersToRemove: fc.array(text, { maxLength: 4 }) }),
  fc.record({
    kind: fc.constant('denied' as const),
    code: fc.integer({ min: 1, max: 0xffff }),
    message: text,
    httpStatus: fc.integer({ min: 200, max: 599 }),
    headers,
    body: long,
  }),
);

const option = ([key, value]: SetHeader) => ({ header: { key, value }, append: { value: false }, append_action: 2 });
const messageOf = (answer: CheckedAnswer): object =>
  answer.kind === 'ok'
    ? {
        status: { code: 0 },
        ok_response: { headers: answer.headers.map(option), headers_to_remove: answer.headersToRemove },
      }
    : {
        status: { code: answer.code, message: answer.message },
        denied_response: {
          status: { code: answer.httpStatus },
          headers: answer.headers.map(option),
          body: answer.body,
        },
      };

describe('checkResponseBytes', () => {
  it('encodes as the codec does', () => {
    const metadata = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z_]{1,9}$/), long), {
      selector: ([name]) => name,
      maxLength: 4,
    });
    fc.assert(
      fc.property(answers, metadata, (answer, values) => {
        const fields = Object.fromEntries(values.map(([name, stringValue]) => [name, { stringValue }]));
        const expected = envoyCheckResponseType.serialize({ ...messageOf(answer), dynamic_metadata: { fields } });
        expect(checkResponseBytes(answer, values).toString('hex')).toBe(expected.toString('hex'));
      }),
      { numRuns: 500 },
    );
  });

  it('gives bytes that no later answer changes', () => {
    const answer: CheckedAnswer = { kind: 'ok', headers: [['x-a', 'a']], headersToRemove: [] };
    const first = checkResponseBytes(answer, []);
    const kept = first.toString('hex');
    const denial = {
      kind: 'denied',
      code: 0,
      message: '',
      httpStatus: 403,
      headers: [],
      body: 'b'.repeat(5_000),
    } as const;
    expect(() => checkResponseBytes(denial, [])).toThrow('the status of a denial');
    checkResponseBytes({ ...denial, code: 7 }, []);
    expect(first.toString('hex')).toBe(kept);
    expect(checkResponseBytes(answer, []).toString('hex')).toBe(kept);
  });

  it.each([0, -1, 0.5, NaN])('throws for a denial with code %p', (code) => {
    const denial = { kind: 'denied', code, message: '', httpStatus: 403, headers: [], body: '' } as const;
    expect(() => checkResponseBytes(denial, [])).toThrow('the status of a denial must be above 0');
  });
});
