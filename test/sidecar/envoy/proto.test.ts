import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { readEntries } from './log-entries.ts';
import { any, checkRequests, header, optional, struct, text } from './messages.ts';
import {
  accessLogEntryType,
  checkRequestType,
  checkResponseType,
  envoyAccessLogEntryType,
  envoyCheckRequestType,
  envoyCheckResponseType,
} from './protos.ts';

const option = optional({
  header,
  append: fc.record({ value: fc.boolean() }),
  append_action: fc.constantFrom(0, 1, 2, 3),
  keep_empty_value: fc.boolean(),
});
const options = fc.array(option, { maxLength: 3 });
const httpStatus = fc.record({ code: fc.constantFrom(400, 401, 403, 413, 429, 503, 200, 302) });
const denial = optional({ status: httpStatus, headers: options, body: text });
const parameter = optional({ key: text, value: text });
const status = optional({ code: fc.nat(16), message: text, details: fc.array(any, { maxLength: 2 }) });
const response = fc
  .tuple(
    optional({ status, dynamic_metadata: struct }),
    fc.oneof(
      fc.constant({}),
      fc.record({ denied_response: denial }),
      fc.record({
        ok_response: optional({
          headers: options,
          dynamic_metadata: struct,
          headers_to_remove: fc.array(text, { maxLength: 3 }),
          response_headers_to_add: options,
          query_parameters_to_set: fc.array(parameter, { maxLength: 3 }),
          query_parameters_to_remove: fc.array(text, { maxLength: 3 }),
        }),
      }),
    ),
  )
  .map(([common, answer]) => Object.assign(common, answer));

describe('the protos against an independent copy', () => {
  it.each([
    ['CheckRequest', checkRequests, checkRequestType, envoyCheckRequestType],
    ['CheckResponse', response, checkResponseType, envoyCheckResponseType],
    ['HTTPAccessLogEntry', readEntries, accessLogEntryType, envoyAccessLogEntryType],
  ])('%s: the bytes are equal, and each reads what the other wrote', (_name, arbitrary, ours, theirs) => {
    fc.assert(
      fc.property(arbitrary, (message) => {
        const written = ours.serialize(message);
        expect(written.equals(theirs.serialize(message))).toBe(true);
        expect(ours.deserialize(written)).toEqual(theirs.deserialize(written));
      }),
      { numRuns: 300 },
    );
  });

  it('CheckResponse.error_response is field 5, which the copy does not know and skips', () => {
    const message = { status: { code: 13 }, error_response: { status: { code: 503 }, body: 'no' } };
    const written = checkResponseType.serialize(message);
    expect(written.toString('hex')).toBe('0a02080d2a090a0308f7031a026e6f');
    expect(checkResponseType.deserialize(written)).toEqual(message);
    expect(envoyCheckResponseType.deserialize(written)).toEqual({ status: { code: 13 } });
  });

  it('an unknown field is skipped', () => {
    const unknown = Buffer.from('0a00f8ac0101', 'hex');
    expect(checkRequestType.deserialize(unknown)).toEqual({ attributes: {} });
  });
});
