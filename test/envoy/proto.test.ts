import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { accessLogEntryType } from '../../src/envoy/proto.ts';
import { any, checkRequests, header, map, optional, struct, text } from './messages.ts';
import {
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

const duration = optional({ seconds: fc.nat(), nanos: fc.nat(999_999_999) });
const flagNames = [
  'failed_local_healthcheck',
  'no_healthy_upstream',
  'upstream_request_timeout',
  'local_reset',
  'upstream_remote_reset',
  'upstream_connection_failure',
  'upstream_connection_termination',
  'upstream_overflow',
  'no_route_found',
  'delay_injected',
  'fault_injected',
  'rate_limited',
  'rate_limit_service_error',
  'downstream_connection_termination',
  'upstream_retry_limit_exceeded',
  'stream_idle_timeout',
  'invalid_envoy_request_headers',
  'downstream_protocol_error',
  'upstream_max_stream_duration_reached',
  'response_from_cache_filter',
  'no_filter_config_found',
  'duration_timeout',
  'upstream_protocol_error',
  'no_cluster_found',
  'overload_manager',
  'dns_resolution_failure',
  'downstream_remote_reset',
] as const;
const flags = fc
  .tuple(fc.subarray([...flagNames]), optional({ unauthorized_details: fc.record({ reason: fc.constantFrom(0, 1) }) }))
  .map(([names, unauthorized]) => Object.assign(unauthorized, Object.fromEntries(names.map((name) => [name, true]))));
const subjectAltNames = fc.array(fc.oneof(fc.record({ uri: text }), fc.record({ dns: text })), { maxLength: 3 });
const entry = optional({
  common_properties: optional({
    tls_properties: optional({ peer_certificate_properties: optional({ subject_alt_name: subjectAltNames }) }),
    time_to_first_upstream_tx_byte: duration,
    time_to_last_upstream_rx_byte: duration,
    upstream_cluster: text,
    response_flags: flags,
    duration,
    upstream_request_attempt_count: fc.nat(),
    intermediate_log_entry: fc.boolean(),
    access_log_type: fc.nat(13),
  }),
  request: optional({
    request_method: fc.nat(9),
    authority: text,
    path: text,
    request_id: text,
    request_body_bytes: fc.nat(),
    request_headers: map(text),
  }),
  response: optional({
    response_code: optional({ value: fc.nat() }),
    response_body_bytes: fc.nat(),
    response_code_details: text,
  }),
});

describe('the protos against an independent copy', () => {
  it.each([
    ['CheckRequest', checkRequests, checkRequestType, envoyCheckRequestType],
    ['CheckResponse', response, checkResponseType, envoyCheckResponseType],
    ['HTTPAccessLogEntry', entry, accessLogEntryType, envoyAccessLogEntryType],
  ])('%s: the bytes are the same, and each reads what the other wrote', (_name, arbitrary, ours, theirs) => {
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

  it('a field nobody declared is skipped', () => {
    const unknown = Buffer.from('0a00f8ac0101', 'hex');
    expect(checkRequestType.deserialize(unknown)).toEqual({ attributes: {} });
  });
});
