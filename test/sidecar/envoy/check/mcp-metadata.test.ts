import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { decodedCheckRequestFrom } from '../../../../src/sidecar/envoy/check/check-request.ts';
import { mcpReadingsFrom } from '../../../../src/sidecar/envoy/check/mcp-metadata.ts';
import { checkFactsFrom } from '../../../../src/sidecar/envoy/check/request.ts';
import { envoyCheckRequestType } from '../protos.ts';
import { structOf, type Plain } from '../structs.ts';

/** The readings from the encoded bytes of a whole request. */
const readingsOf = (metadata: Readonly<Record<string, Readonly<Record<string, Plain>>>>) => {
  const filter_metadata = Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, structOf(value)]));
  const headers = { ':method': 'POST', ':path': '/mcp', ':authority': 'a.test', ':scheme': 'https' };
  const http = { method: 'POST', path: '/mcp', host: 'a.test', scheme: 'https', headers };
  const bytes = envoyCheckRequestType.serialize({
    attributes: { request: { http }, metadata_context: { filter_metadata } },
  });
  const decoded = decodedCheckRequestFrom(bytes);
  if (isDeny(decoded)) return decoded.reason;
  const facts = checkFactsFrom(decoded, null);
  return isDeny(facts) ? facts.reason : facts.call.mcpReadings;
};

const whole = {
  is_mcp_request: true,
  status: 'mcp_ok',
  jsonrpc: '2.0',
  id: 1,
  method: 'completion/complete',
  params: { name: 'n', level: null, on: true, ref: { type: 'ref/prompt', list: ['a'] }, _meta: { a: 'b' } },
};

describe('mcpReadingsFrom', () => {
  it("reads the filter's metadata", () => {
    expect(readingsOf({ 'envoy.filters.http.mcp': whole })).toEqual([
      {
        isMcp: true,
        isCut: false,
        fault: null,
        envelope: new Map<string, unknown>([
          ['jsonrpc', '2.0'],
          ['id', 1],
          ['method', 'completion/complete'],
        ]),
        params: new Map<string, unknown>([
          ['name', 'n'],
          ['level', null],
          ['on', true],
        ]),
        ref: new Map([['type', 'ref/prompt']]),
      },
    ]);
  });

  it.each<[string, Readonly<Record<string, Readonly<Record<string, Plain>>>>, unknown]>([
    ['no namespace of the filter', { 'envoy.filters.http.jwt_authn': { method: 'ping' } }, undefined],
    ['both namespaces', { mcp_proxy: whole, 'envoy.filters.http.mcp': { ...whole, id: 2 } }, [{}, {}]],
    ['an early filter, which does not report MCP', { mcp_proxy: { method: 'ping' } }, [{ isMcp: true }]],
    ['an early filter that reports no MCP', { mcp_proxy: { is_mcp_request: false } }, [{ isMcp: false }]],
    ['a later filter that does not report MCP', { 'envoy.filters.http.mcp': { method: 'ping' } }, [{ isMcp: false }]],
    [
      'a string instead of a boolean',
      { 'envoy.filters.http.mcp': { ...whole, is_mcp_request: 'true' } },
      [{ isMcp: false }],
    ],
    ['a truncated message', { mcp_proxy: { is_exceeding_limit: true } }, [{ isCut: true }]],
    ['a complete message', { mcp_proxy: { is_exceeding_limit: false } }, [{ isCut: false }]],
    ['a string for the limit', { mcp_proxy: { is_exceeding_limit: 'false' } }, [{ isCut: true }]],
    ['a status', { mcp_proxy: { status: 'mcp_parse_error' } }, [{ fault: 'mcp_parse_error' }]],
    ['a status that is not a string', { mcp_proxy: { status: 7 } }, [{ fault: 'unknown' }]],
    [
      'why it passed',
      { mcp_proxy: { status: 'mcp_ok', passthrough_reason: 'mcp_not_jsonrpc' } },
      [{ fault: 'mcp_not_jsonrpc' }],
    ],
    ['params that are not an object', { mcp_proxy: { params: 'name' } }, [{ params: new Map() }]],
  ])('%s', (_name, metadata, expected) => {
    if (expected === undefined) expect(readingsOf(metadata)).toBeUndefined();
    else expect(readingsOf(metadata)).toMatchObject(expected as object);
  });

  it('is empty without metadata', () => {
    expect(mcpReadingsFrom(undefined)).toEqual([]);
    expect(mcpReadingsFrom({})).toEqual([]);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...Object.keys(whole), '__proto__'), fc.jsonValue()), (given) => {
        expect(readingsOf({ mcp_proxy: given as Readonly<Record<string, Plain>> })).toHaveLength(1);
      }),
    );
  });
});
