import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { askingAgentIn, carriesProof } from '../../../../src/sidecar/envoy/check/asking-agent.ts';
import { costRatio } from '../../../costs.ts';
import { checkRequests } from '../messages.ts';
import { envoyCheckRequestType } from '../protos.ts';

const A = 'spiffe://acme.test/a';
const B = 'spiffe://acme.test/b';
const LONG = A.padEnd(2_048, 'a');
const xfcc = (...values: readonly string[]) => {
  const lines = values.map((value) => ({ key: 'x-forwarded-client-cert', raw_value: Buffer.from(value) }));
  const headers = [
    { key: ':path', raw_value: Buffer.from('/') },
    ...lines,
    { key: 'x-a', raw_value: Buffer.from(`URI=${B}`) },
  ];
  return { attributes: { request: { http: { header_map: { headers } } } } };
};

const asking = (value: string) => {
  const message = envoyCheckRequestType.serialize(xfcc(value));
  return () => {
    for (let n = 0; n < 100; n += 1) askingAgentIn(message, 'xfcc');
  };
};

describe('askingAgentIn', () => {
  it.each([
    ['the principal', 'peer', { attributes: { source: { principal: A, certificate: 'x' } } }, A],
    ['a principal of the maximum length', 'peer', { attributes: { source: { principal: LONG } } }, LONG],
    ['a longer principal', 'peer', { attributes: { source: { principal: `${LONG}a` } } }, ''],
    ['no principal', 'peer', { attributes: { source: {} } }, ''],
    ['no peer', 'peer', xfcc(`URI=${A}`), ''],
    ['the principal behind a hop, which is the hop', 'xfcc', { attributes: { source: { principal: A } } }, ''],
    ['the `URI` of the last element', 'xfcc', xfcc(`By=x;Hash=1;URI=${B},By=x;Hash=2;URI=${A};DNS=a`), A],
    ['the `URI` of the last header', 'xfcc', xfcc(`URI=${B}`, `By=x;URI=${A}`), A],
    [
      'a header in the form of a map',
      'xfcc',
      { attributes: { request: { http: { headers: { 'x-forwarded-client-cert': `URI=${A}` } } } } },
      A,
    ],
    ['a long header', 'xfcc', xfcc(`Chain="${'a'.repeat(50_000)}";URI=${A}`), A],
    ['a header without one', 'xfcc', xfcc('Hash=1'), ''],
  ] as const)('gives %s', (_name, mode, message, agent) => {
    expect(askingAgentIn(envoyCheckRequestType.serialize(message), mode)).toBe(agent);
  });

  it('costs no more for a header without a `URI` than for a header with it', () => {
    const named = asking(`URI=${A};`.padEnd(2_048, 'a'));
    expect(costRatio(asking('a'.repeat(2_048)), named)).toBeLessThan(20);
    expect(costRatio(asking('URI '.repeat(512)), named)).toBeLessThan(20);
  });

  it('never throws', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      checkRequests.map((message) => envoyCheckRequestType.serialize(message).subarray(0, 90)),
    );
    fc.assert(
      fc.property(bytes, fc.constantFrom('peer' as const, 'xfcc' as const), (given, mode) => {
        expect(typeof askingAgentIn(given, mode)).toBe('string');
        expect(typeof carriesProof(given)).toBe('boolean');
      }),
      { numRuns: 1_000 },
    );
  });
});

const inMap = (headers: Readonly<Record<string, string>>) => ({ attributes: { request: { http: { headers } } } });
const inList = (...keys: readonly string[]) => {
  const headers = keys.map((key) => ({ key, raw_value: Buffer.from('x') }));
  return { attributes: { request: { http: { header_map: { headers } } } } };
};

describe('carriesProof', () => {
  it.each([
    ['a `dpop` header in the form of a list', inList(':path', 'dpop', 'x-a'), true],
    ['a `dpop` header in the form of a map', inMap({ dpop: 'x' }), true],
    ['a header whose value is `dpop`', inMap({ 'x-a': 'dpop' }), false],
    ['other headers', inList(':path', 'authorization', 'dpop-nonce'), false],
    ['no request', { attributes: { source: { principal: A } } }, false],
  ])('recognises %s', (_name, message, expected) => {
    expect(carriesProof(envoyCheckRequestType.serialize(message))).toBe(expected);
  });
});
