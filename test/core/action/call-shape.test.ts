import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { callShapeOf } from '../../../src/core/action/call-shape.ts';
import type { CallShape } from '../../../src/core/action/call-shape.ts';
import type { HttpCall } from '../../../src/core/action/http/call.ts';
import { canonicalJson } from '../../../src/core/ledger/canonical-json.ts';
import { headersOf, httpCall } from '../../builders/http-call.ts';

const digestOf = (secret: string): string => `digest-of-${secret.length}`;
const shapeOf = (call: Partial<HttpCall>): CallShape => callShapeOf(httpCall(call), digestOf);
const hmac = (): string => `hmac-sha-256:${'a'.repeat(43)}`;
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const rpc = (method: string, params?: unknown): Uint8Array => json({ jsonrpc: '2.0', id: 1, method, params });

describe('callShapeOf', () => {
  it.each<[string, Partial<HttpCall>, CallShape]>([
    ['a call without query and body', {}, { protocol: 'http', query: [] }],
    [
      'a query, each key once and sorted',
      { query: 'b=1&a=2&b=3&&c%5Bd%5D' },
      { protocol: 'http', query: ['a', 'b', 'c[d]'] },
    ],
    [
      'a JSON body, two levels deep',
      {
        method: 'POST',
        body: json({ a: 1, b: 1.5, c: 'x', d: true, e: null, f: [1], g: {}, h: { i: { j: 1 }, k: 2 } }),
      },
      {
        protocol: 'http',
        query: [],
        members: {
          a: 'integer',
          b: 'number',
          c: 'string',
          d: 'boolean',
          e: 'null',
          f: 'array',
          g: 'object',
          h: { i: 'object', k: 'integer' },
        },
      },
    ],
    // Issue 55: what lies below the name of a secret may be the secret.
    [
      'only the type of a member that is secret by its name',
      { method: 'POST', body: json({ password: { hunter2: 1 }, secret: [{ a: 1 }], user: { password: { a: 1 } } }) },
      {
        protocol: 'http',
        query: [],
        members: { password: 'object', secret: 'array', user: { password: 'object' } },
      },
    ],
    [
      'names below a token by their digests if they look random',
      { method: 'POST', body: json({ token: { kind: 1, [`a${'1'.repeat(20)}`]: 2 } }) },
      { protocol: 'http', query: [], members: { token: { kind: 'integer', 'digest-of-21': 'integer' } } },
    ],
    [
      'keys of a query that nest below the name of a secret by their digests',
      { query: 'password%5Bhunter2%5D=1&user%5Bpassword%5D=2' },
      { protocol: 'http', query: ['digest-of-17', 'user[password]'] },
    ],
    [
      'members whose names nest below the name of a secret by their digests',
      { method: 'POST', body: json({ 'password[hunter2]': 1, a: { 'password.hunter2': 1 } }) },
      {
        protocol: 'http',
        query: [],
        members: { 'digest-of-17': 'integer', a: { 'digest-of-16': 'integer' } },
      },
    ],
    ['a body that is not a JSON object', { method: 'POST', body: json([{ a: 1 }]) }, { protocol: 'http', query: [] }],
    ['a body that is cut off', { method: 'POST', body: Buffer.from('{"a":') }, { protocol: 'http', query: [] }],
    [
      'a call of an MCP tool: its arguments',
      { method: 'POST', body: rpc('tools/call', { name: 'pay', arguments: { amount: 5, to: { iban: 'x' } } }) },
      {
        protocol: 'mcp',
        query: [],
        members: { amount: 'integer', to: { iban: 'string' } },
        rpc: { method: 'tools/call', tool: 'pay' },
      },
    ],
    [
      'another method of MCP',
      { method: 'POST', body: rpc('resources/read', { uri: 'file:///etc/passwd' }) },
      { protocol: 'mcp', query: [], rpc: { method: 'resources/read', tool: null } },
    ],
    [
      'a method of A2A',
      { method: 'POST', body: rpc('SendMessage', { message: {} }) },
      {
        protocol: 'a2a',
        query: [],
        members: { jsonrpc: 'string', id: 'integer', method: 'string', params: { message: 'object' } },
        rpc: { method: 'SendMessage', tool: null },
      },
    ],
    [
      'another method of JSON-RPC',
      { method: 'POST', body: rpc('eth_call') },
      {
        protocol: 'json-rpc',
        query: [],
        members: { jsonrpc: 'string', id: 'integer', method: 'string' },
        rpc: { method: 'eth_call', tool: null },
      },
    ],
    [
      'a call of gRPC, whose path names the method',
      { method: 'POST', headers: headersOf({ 'content-type': 'application/grpc' }), body: json({ a: 1 }) },
      { protocol: 'grpc', query: [] },
    ],
    [
      'members named as those of every object',
      { method: 'POST', body: Buffer.from('{"__proto__":{"constructor":1},"toString":""}') },
      {
        protocol: 'http',
        query: [],
        members: JSON.parse('{"__proto__":{"constructor":"integer"},"toString":"string"}'),
      },
    ],
  ])('gives names and types of %s', (_name, call, shape) => {
    expect(shapeOf(call)).toEqual(shape);
    expect(canonicalJson({ ...shapeOf(call) })).toEqual(expect.any(String));
  });

  it('shows at most 64 names, and says that more were left out', () => {
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`n${n}`, n]));
    expect(Object.keys(shapeOf({ method: 'POST', body: json(many) }).members ?? {})).toHaveLength(64);
    expect(shapeOf({ method: 'POST', body: json(many) }).cut).toBe(true);
    expect(shapeOf({ query: 'a', method: 'POST', body: json({ b: many }) }).cut).toBe(true);
    expect(shapeOf({ query: Object.keys(many).join('&') })).toMatchObject({ cut: true, query: { length: 64 } });
    const { n0: _, ...fewer } = many;
    expect(shapeOf({ method: 'POST', body: json(fewer) })).not.toHaveProperty('cut');
  });

  it('has at most 8 KiB as JSON, whatever the names', () => {
    const name = fc.oneof(
      fc.string({ maxLength: 80 }),
      fc.string({ unit: fc.constantFrom('漢', '𠀀', 'é', 'a'), minLength: 30, maxLength: 64 }),
    );
    const members = fc.dictionary(name, fc.oneof(fc.constant(1), fc.dictionary(name, fc.constant(''))), {
      maxKeys: 90,
    });
    fc.assert(
      fc.property(members, fc.array(name, { maxLength: 90 }), (body, keys) => {
        const query = keys.map((key) => encodeURIComponent(key.toWellFormed())).join('&');
        const shape = callShapeOf(httpCall({ method: 'POST', query, body: json(body) }), hmac);
        expect(Buffer.byteLength(JSON.stringify(shape))).toBeLessThanOrEqual(8_192);
      }),
      { numRuns: 300 },
    );
  });

  const key = 'AKIAIOSFODNN7EXAMPLE';
  const token = `ghp_${'a1B2'.repeat(9)}`;

  it.each<[string, Partial<HttpCall>]>([
    ['a value of the query', { query: `page=${key}&token=hunter2` }],
    ['a key of the query', { query: `${key}=1&${token}&hunter2%40acme.test=` }],
    ['a header', { headers: headersOf({ 'x-api-key': key, authorization: `Bearer ${token}`, cookie: 'hunter2' }) }],
    ['a value of the body', { method: 'POST', body: json({ a: key, b: { c: token }, d: ['hunter2'] }) }],
    ['a key of the body', { method: 'POST', body: json({ [key]: 1, a: { [token]: 2, 'hunter2@acme.test': 3 } }) }],
    ['a number as a key', { method: 'POST', body: json({ 4111111111111111: 1 }) }],
    ['a tool', { method: 'POST', body: rpc('tools/call', { name: `run-${key}`, arguments: { [token]: 'hunter2' } }) }],
    ['a tool that is a sentence', { method: 'POST', body: rpc('tools/call', { name: 'the password is hunter2' }) }],
    ['a method', { method: 'POST', body: rpc(token) }],
    ['an id', { method: 'POST', body: json({ jsonrpc: '2.0', id: key, method: 'tools/call', params: { name: 'a' } }) }],
  ])('shows nothing of a secret in %s', (_name, call) => {
    const shown = JSON.stringify(shapeOf(call));
    for (const secret of [key, token, 'hunter2', '4111111111111111']) expect(shown).not.toContain(secret);
  });
});
