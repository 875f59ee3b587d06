import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { canonicalJson } from '../../../src/core/ledger/canonical-json.ts';
import type { UseRecord } from '../../../src/core/ledger/record.ts';
import { plainUseText } from '../../../src/core/ledger/use-text.ts';
import { anyCharacter } from '../../builders/any-character.ts';

const use: UseRecord = {
  action: 'payments.create',
  agent: 'spiffe://acme.test/planner',
  at: 1_700_000_000_000,
  credential: 'task-token',
  decision: 'allow',
  decisionId: '018f4d2e-0000-7000-8000-000000000000',
  host: 'payments.acme.test',
  jtiDigest: 'bW4-_w',
  kind: 'use',
  refusedCaller: null,
  detail: null,
  method: 'POST',
  path: '/v1/payments/~a!b',
  policyGeneration: 3,
  policyIds: ['allow-own', 'allow-listed'],
  policySet: 'sha-256:set',
  reason: null,
  reuse: ['other-node', 'other-trace'],
  spanId: '00f067aa0ba902b7',
  task: 't-1',
  tokenUse: 2,
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
};

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: anyCharacter }),
  fc.constantFrom('"', '\\', '\u007f', ' ', '~', '\n', '\ud800', 'é'),
);
const number = fc.oneof(fc.nat(), fc.constantFrom(-0, -1, 1.5, NaN, Infinity, 2 ** 53, 1e21));
const orNull = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: null });
const anyMembers = fc.record(
  {
    ...Object.fromEntries(
      ['action', 'agent', 'credential', 'detail', 'policySet', 'reason', 'task'].map((n) => [n, orNull(text)]),
    ),
    ...Object.fromEntries(
      ['decision', 'decisionId', 'host', 'method', 'path', 'spanId', 'traceId'].map((n) => [n, text]),
    ),
    ...Object.fromEntries(['policyGeneration', 'tokenUse'].map((n) => [n, orNull(number)])),
    ...Object.fromEntries(['policyIds', 'reuse'].map((n) => [n, fc.array(text, { maxLength: 3 })])),
    refusedCaller: orNull(fc.record({ address: orNull(text), id: text })),
    jtiDigest: orNull(text),
    usedElsewhere: fc.record({ spanId: text, traceId: text }),
    withdraws: text,
    mode: fc.constant('observe'),
    entry: text,
    would: fc.record({
      decision: text,
      reason: orNull(text),
      detail: orNull(text),
      policyIds: fc.array(text, { maxLength: 3 }),
    }),
    at: number,
  },
  { requiredKeys: [] },
);

describe('plainUseText', () => {
  it('is the canonical JSON of an ordinary record, with members and without', () => {
    const bare = {
      ...use,
      action: null,
      agent: null,
      task: null,
      tokenUse: null,
      policyGeneration: null,
      policySet: null,
    };
    for (const record of [
      use,
      bare,
      { ...use, refusedCaller: { address: '10.0.0.7', id: 'spiffe://evil.test/x' } },
      { ...use, refusedCaller: { address: null, id: 'CN=x' } },
      { ...use, policyIds: [], reuse: [], decision: 'deny', reason: 'task.expired' } as const,
      { ...use, usedElsewhere: { spanId: use.spanId, traceId: use.traceId }, withdraws: use.decisionId },
      {
        ...use,
        mode: 'observe',
        entry: 'legacy',
        would: { decision: 'deny', reason: 'policy.not-permitted', detail: 'no policy permits it', policyIds: ['a'] },
      } as const,
      { ...use, decision: 'deny', reason: 'task.suspended', withdraws: use.decisionId } as const,
      {
        ...use,
        policyIds: [],
        reuse: [],
        decision: 'deny',
        reason: 'task.expired',
        detail: 'the task is `expired`',
      } as const,
    ])
      expect(plainUseText(record)).toBe(canonicalJson({ ...record }));
  });

  it('is the canonical JSON of every record that it accepts', () => {
    fc.assert(
      fc.property(anyMembers, (members) => {
        const record = { ...use, ...members } as UseRecord;
        const plain = plainUseText(record);
        expect(plain).toBe(plain === null ? null : canonicalJson({ ...record }));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each(Object.keys(use))('is `null` if `%s` needs escaping', (name) => {
    for (const odd of ['"', '\\', '\n', '\u007f', 'é', '\ud800']) {
      const value = use[name as keyof UseRecord];
      if (typeof value === 'number' || name === 'kind') continue;
      const members = { [name]: Array.isArray(value) ? ['a', odd] : `a${odd}` };
      const claims = [{ refusedCaller: { address: null, id: odd } }, { refusedCaller: { address: odd, id: 'a' } }];
      for (const changed of name === 'refusedCaller' ? claims : [members])
        expect(plainUseText({ ...use, ...changed })).toBeNull();
    }
  });
});
