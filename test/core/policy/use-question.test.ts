import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { Action, ArgumentValue } from '../../../src/core/action/http/http.ts';
import type { Server } from '../../../src/core/action/catalog/catalog.ts';
import type { SpiffeId } from '../../../src/core/identity/spiffe-id.ts';
import { keyFunction } from '../../../src/core/policy/answers/key.ts';
import { isPlainValue } from '../../../src/core/policy/plain-value.ts';
import { useQuestion } from '../../../src/core/policy/use-question.ts';
import type { UseFacts } from '../../../src/core/policy/use-question.ts';
import { readsTogether } from '../../../src/core/policy/answers/reads.ts';
import { workloadIdentity } from '../../../src/core/token/credential.ts';
import type { Credential } from '../../../src/core/token/credential.ts';
import { anyCharacter } from '../../builders/any-character.ts';
import { policyFrom } from './policies.ts';

/** Mostly valid text, and sometimes text that the engine refuses. */
const anyText = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: 'grapheme' }) },
  fc.string({ unit: anyCharacter }),
  fc.constant('\ud800'),
);
const texts = fc.array(anyText, { maxLength: 3 });
const number = fc.oneof({ weight: 8, arbitrary: fc.integer() }, fc.double(), fc.constantFrom(NaN, Infinity, 2 ** 60));

const argument: fc.Arbitrary<ArgumentValue> = fc.oneof(
  anyText,
  number,
  fc.boolean(),
  texts,
  fc.constantFrom('1.0', '-12.5', '123456789012.0', 'x').map((decimal) => ({ decimal })),
);

const claims = {
  kind: fc.constantFrom('task-token', 'external-token'),
  clientId: fc.constant('spiffe://acme.test/planner'),
  confirmation: fc.constant(null),
  subject: anyText,
  actors: texts,
  scope: texts,
  details: texts.map((actions) => [{ actions }]),
  expiresAtSeconds: number,
};
const credential = fc.oneof(
  fc.record(claims).map((token) => token as unknown as Credential),
  fc.constant<Credential>(workloadIdentity),
);

const server = { id: 'files' } as Server;

const facts: fc.Arbitrary<UseFacts> = fc.record({
  call: fc.record({ method: anyText, host: anyText, path: anyText }),
  caller: fc.record({ id: anyText.map((id) => id as SpiffeId) }),
  credential,
  task: fc.option(
    fc.record({
      purpose: anyText,
      createdAtMs: number,
      risk: fc.constantFrom('low', 'high'),
      claimed: fc.dictionary(anyText, anyText, { maxKeys: 2 }),
      subjectAttributes: fc.dictionary(fc.constantFrom('groups', 'tenant'), fc.oneof(anyText, texts, number)),
      attested: fc.array(
        fc.record({ name: anyText, value: anyText, by: anyText, kind: fc.constantFrom('writer', 'operator') }),
        { maxLength: 2 },
      ),
    }),
  ),
  history: fc.record({ version: fc.nat(), actions: texts, labels: texts }),
  action: fc.record({ labels: texts, args: fc.dictionary(anyText, argument, { maxKeys: 3 }) }).map(
    ({ labels, args }) =>
      ({
        id: 'files.read',
        server,
        endpoint: 'GET /',
        labels: new Set(labels),
        args: new Map(Object.entries(args)),
      }) as unknown as Action,
  ),
  binding: fc.constantFrom('certificate', 'dpop'),
  use: number,
  reuse: fc.subarray(['first', 'same-trace', 'other-node']),
  nowMs: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 4_102_444_800_000 }) },
    number,
    fc.constantFrom(253_402_300_799_999, 253_402_300_800_000, -62_167_219_200_001),
  ),
});

const uid = (id: string) => ({ type: 'T', id });
const terms = {
  timeZones: new Map([['office', 'Pacific/Kiritimati']]),
  subjectAttributes: new Map([['groups', 'strings' as const]]),
};

describe('useQuestion', () => {
  it('is plain only if `isPlainValue` is true of its context', () => {
    let plain = 0;
    fc.assert(
      fc.property(facts, (use) => {
        const question = useQuestion(use, terms);
        const isPlain = question.isPlain?.();
        if (isPlain === true) plain += 1;
        // A false negative only means that the answer is not cached.
        expect(isPlain === true && !isPlainValue(question.context)).toBe(false);
      }),
      { numRuns: 4_000 },
    );
    expect(plain).toBeGreaterThan(200);
  });

  it('is plain for every context of ordinary values', () => {
    const approval = { name: 'approval', value: 'größe', by: 'spiffe://acme.test/w', kind: 'writer' };
    const use = fc.sample(facts, { numRuns: 1, seed: 1 })[0];
    const plain = {
      ...use,
      call: { method: 'GET', host: 'files.acme.test', path: '/v1/files/ä' },
      caller: { id: 'spiffe://acme.test/planner' as SpiffeId },
      credential: { kind: 'workload-identity' },
      task: {
        purpose: 'größer',
        createdAtMs: 1,
        risk: 'low',
        claimed: { ticket: 'T-1' },
        attested: [approval],
        subjectAttributes: { groups: ['größe'] },
      },
      history: { version: 1, actions: ['a'], labels: ['b'] },
      action: { id: 'a', server, endpoint: 'GET /', labels: new Set(['x']), args: new Map([['name', 'x']]) },
      use: 1,
      nowMs: 1_800_000_000_000,
    } as unknown as UseFacts;
    expect(useQuestion(plain, terms).isPlain?.()).toBe(true);
  });

  it('has an own member for an argument of any name', () => {
    const use = fc.sample(facts, { numRuns: 1, seed: 1 })[0] as UseFacts;
    const args = new Map([
      ['first', 'a'],
      ['__proto__', 'b'],
      ['constructor', 'c'],
    ]);
    const { context } = useQuestion({ ...use, action: { ...use.action, args } }, terms);
    expect(Object.entries(context['args'] ?? {})).toEqual([...args]);
  });

  it('returns the same values part by part and as a whole', () => {
    fc.assert(
      fc.property(facts, (use) => {
        const question = useQuestion(use, terms);
        const { context } = question;
        const parts = Object.keys(context).map((name) => [name, question.part?.(name)]);
        expect(Object.fromEntries(parts)).toEqual(context);
        expect(question.part?.('constructor')).toBeUndefined();
      }),
    );
  });

  it('has the same key part by part and as a whole, whatever the policies read', () => {
    const conditions = [
      'true',
      'context.args.name like "a*"',
      'context.now >= datetime("2027-01-01") && context.intent.ageSeconds > 5',
      'context has nothing && context.request.host == "x"',
      'context == {}',
      'context.subjectAttributes has groups && context.subjectAttributes.groups.contains("a")',
      'context.time.office.minuteOfDay < 510 && context.time.office.date == datetime("2026-12-25")',
      'context.risk == "high" && context.task.labels.contains("x") && context.credential.uses < 3',
    ];
    const keys = conditions.map((condition) =>
      keyFunction(
        readsTogether([policyFrom('p', `permit (principal, action, resource) when { ${condition} };`).reads]),
        {
          generation: 'g',
          slice: '0',
        },
      ),
    );
    fc.assert(
      fc.property(facts, fc.nat(conditions.length - 1), (use, which) => {
        const question = useQuestion(use, terms);
        const names = { principal: uid('p'), action: uid('a'), resource: uid('r'), lineageOf: () => [] };
        const whole = { ...names, context: question.context };
        const byParts = {
          ...names,
          part: (name: string) => question.part?.(name),
          get context(): unknown {
            if (conditions[which] !== 'context == {}') throw new Error('the whole context was made');
            return whole.context;
          },
        };
        expect(keys[which]?.(byParts)).toEqual(keys[which]?.(whole));
      }),
      { numRuns: 500 },
    );
  });
});
