import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { servedCallFrom } from '../../../../src/sidecar/envoy/access-log/access-log-entry.ts';
import type { ServedCall } from '../../../../src/sidecar/outcome/served-call.ts';
import { DECISION, decided, entryBytes, metadataOf } from '../access-log-samples.ts';
import { mustFind } from '../../../builders/must.ts';

const callOf = (change?: Parameters<typeof entryBytes>[0]): ServedCall => mustFind(servedCallFrom(entryBytes(change)));

describe('servedCallFrom', () => {
  it('reads an entry as Envoy writes it', () => {
    expect(callOf()).toEqual({
      state: 'ended',
      decision: {
        id: DECISION,
        kind: 'allow',
        task: '01990000-0000-7000-8000-00000000000a',
        agent: 'spiffe://acme.test/planner',
        action: 'files.read',
        ledger: null,
      },
      status: 200,
      details: 'via_upstream',
      flags: ['UF', 'URX'],
      durationMs: 1_052.077,
      upstreamMs: 1_001.486,
      requestBytes: 4,
      responseBytes: 5,
      attempts: 2,
      upstreamCluster: 'files',
      isFailureModeAllowed: false,
      peer: 'spiffe://acme.test/planner',
      method: 'POST',
      host: 'files.acme.test',
      path: '/v1/files/a',
      requestId: '6546cbb2-8269-4b3f-9e81-20b1da7b7a4d',
      callName: '1795541904.878461000 127.0.0.1 4711',
    });
  });

  it('reads an empty entry as a call without known values', () => {
    expect(servedCallFrom(Buffer.alloc(0))).toMatchObject({
      state: 'ended',
      decision: null,
      status: null,
      details: '',
      durationMs: null,
      upstreamMs: null,
      attempts: 0,
      upstreamCluster: null,
      peer: null,
      method: '',
      path: '',
    });
  });

  it.each([
    ['the end', { access_log_type: 6 }, 'ended'],
    ['the middle', { access_log_type: 5 }, 'alive'],
    ['the start', { access_log_type: 4 }, 'alive'],
    ['an old end', { access_log_type: 0 }, 'ended'],
    ['an old middle', { access_log_type: 0, intermediate_log_entry: true }, 'alive'],
  ])('recognises %s of a call', (_name, common, state) => {
    expect(callOf({ common }).state).toBe(state);
  });

  it.each([7, 8, 9, 13])('leaves out what concerns an upstream or another protocol: type %i', (type) => {
    expect(servedCallFrom(entryBytes({ common: { access_log_type: type } }))).toBeNull();
  });

  it.each([
    ['no metadata', undefined],
    ['metadata of other filters only', metadataOf({ 'envoy.filters.http.mcp': { decision_id: DECISION } })],
    ['no id', metadataOf({ 'envoy.filters.http.ext_authz': { decision: 'allow' } })],
    ['an id in upper case', idIs(DECISION.toUpperCase().replace('7', 'A'))],
    ['a longer id', idIs(`${DECISION}0`)],
    ['an id with a line feed', idIs(`${DECISION}\n`)],
    ['an id that is SQL', idIs("'; DROP TABLE records; --")],
    [
      'an id that is a number',
      { filter_metadata: { 'envoy.filters.http.ext_authz': { fields: { decision_id: { numberValue: 1 } } } } },
    ],
    ['an id after more values than Remit writes', idAfter(16)],
  ])('reads no decision from %s', (_name, metadata) => {
    expect(callOf({ common: { metadata } }).decision).toBeNull();
  });

  it('reads the decision from the last value within the limit', () => {
    expect(callOf({ common: { metadata: idAfter(15) } }).decision?.id).toBe(DECISION);
  });

  it('keeps a decision without its invalid values', () => {
    const metadata = idIs(DECISION, {
      decision: 'maybe',
      task_id: 'task',
      agent: 'a b',
      action: 'a\u0000b',
      ledger: '',
    });
    expect(callOf({ common: { metadata } }).decision).toEqual({
      id: DECISION,
      kind: null,
      task: null,
      agent: null,
      action: null,
      ledger: null,
    });
  });

  it('reports that a call passed after a failed check', () => {
    const request = { request_headers: { 'x-envoy-auth-failure-mode-allowed': 'true' } };
    expect(callOf({ request }).isFailureModeAllowed).toBe(true);
  });

  it('counts an attempt if bytes went upstream although Envoy counts none', () => {
    expect(callOf({ common: { upstream_request_attempt_count: 0 } }).attempts).toBe(1);
  });

  it.each([
    ['a name that is not a SPIFFE ID', [{ dns: 'a.test' }, { uri: 'https://a.test' }], null],
    ['the SPIFFE ID among others', [{ uri: 'urn:x' }, { uri: 'spiffe://a.test/b' }], 'spiffe://a.test/b'],
  ])('reads as peer %s', (_name, names, peer) => {
    const tls = { peer_certificate_properties: { subject_alt_name: names } };
    expect(callOf({ common: { tls_properties: tls } }).peer).toBe(peer);
  });

  it('truncates long texts of the proxy, and leaves those of the client whole for the search for credentials', () => {
    const long = '\u0001'.repeat(20_000);
    const call = callOf({
      common: { upstream_cluster: long },
      request: { path: long, authority: long, request_id: long },
      response: { response_code_details: long },
    });
    expect(call).toMatchObject({ path: long, host: long, requestId: null });
    expect([call.upstreamCluster?.length, call.details.length]).toEqual([256, 256]);
  });

  it.each([
    ['is not a message', Buffer.from('ffffffff', 'hex'), /^not an access log entry: /],
    [
      'is too large',
      entryBytes({ request: { path: `/${'a'.repeat(140_000)}` } }),
      /^an entry has more than 131072 bytes$/,
    ],
    [
      'has more headers than are logged',
      entryBytes({ request: { request_headers: Object.fromEntries(Array.from({ length: 300 }, (_, n) => [n, ''])) } }),
      /^an entry has more than 256 headers, names and namespaces$/,
    ],
    [
      'has more namespaces than there are filters',
      entryBytes({
        common: { metadata: metadataOf(Object.fromEntries(Array.from({ length: 300 }, (_, n) => [n, {}]))) },
      }),
      /^an entry has more than 256 headers, names and namespaces$/,
    ],
    [
      'has more names than a certificate',
      entryBytes({
        common: {
          tls_properties: {
            peer_certificate_properties: { subject_alt_name: Array.from({ length: 300 }, () => ({})) },
          },
        },
      }),
      /^an entry has more than 256 headers, names and namespaces$/,
    ],
  ])('refuses an entry that %s', (_name, bytes, problem) => {
    expect(servedCallFrom(bytes)).toEqual({ problem: expect.stringMatching(problem) });
  });

  it.each([
    ['takes 256', 200, false],
    ['refuses 257', 201, true],
  ])('%s headers, names and namespaces together', (_name, headers, isRefused) => {
    const call = servedCallFrom(
      entryBytes({
        common: {
          metadata: { filter_metadata: named(55, {}) },
          tls_properties: { peer_certificate_properties: { subject_alt_name: [{ dns: 'a' }] } },
        },
        request: { request_headers: named(headers, '') },
      }),
    );
    expect(call !== null && 'problem' in call).toBe(isRefused);
  });

  it('never decodes metadata of other filters, however deep', () => {
    let value: object = { stringValue: 'x' };
    for (let depth = 0; depth < 40; depth += 1) value = { structValue: { fields: { a: value } } };
    const metadata = { filter_metadata: { other: { fields: { a: value } }, ...metadataOf(decided).filter_metadata } };
    expect(callOf({ common: { metadata } }).decision?.id).toBe(DECISION);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void servedCallFrom(Buffer.from(bytes))),
      { numRuns: 500 },
    );
  });

  it('never throws on an entry with bytes changed', () => {
    const whole = entryBytes();
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const bytes = Buffer.from(whole);
        bytes[at] = byte;
        servedCallFrom(bytes);
      }),
      { numRuns: 500 },
    );
  });
});

const named = (count: number, value: unknown): object =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`n${n}`, value]));

function idAfter(count: number): object {
  const before = Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 'x']));
  return metadataOf({ 'envoy.filters.http.ext_authz': { ...before, decision_id: DECISION } });
}

function idIs(id: string, more: Readonly<Record<string, string>> = {}): object {
  return metadataOf({ 'envoy.filters.http.ext_authz': { decision_id: id, ...more } });
}
