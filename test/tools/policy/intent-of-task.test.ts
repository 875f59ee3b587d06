import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import { intentFileFrom } from '../../../src/agent/task/intent.ts';
import { intentOfTask } from '../../../src/tools/policy/write/intent-of-task.ts';
import { intentText } from '../../../src/tools/policy/write/new-intent.ts';
import type { TimelineEntry } from '../../../src/core/ledger/timeline.ts';
import { anyCharacter } from '../../builders/any-character.ts';
import { must } from '../../builders/must.ts';
import { intentOf, NOW, TASK_ID, useOf } from './cases/records.ts';

const validate = new Ajv().compile(JSON.parse(readFileSync('deploy/schemas/intent.schema.json', 'utf8')) as object);

const AT = NOW - 100_000;
const granted = (entries: readonly object[] = [{ actions: ['payments.read'] }], purpose = 'pay the invoices') =>
  intentOf({
    at: AT,
    deadline: AT + 900_000,
    purpose,
    details: entries.map((entry) => ({
      type: 'urn:remit:task',
      locations: ['https://payments.acme.test'],
      ...entry,
    })) as never,
  });
let uses = 0;
const use = (action: string | null, change: Parameters<typeof useOf>[0] = {}) =>
  useOf({ action, at: NOW, decisionId: `use-${(uses += 1)}`, ...change });

/** The text of the intent, which `remit run` and the schema accept. */
function textOf(records: readonly TimelineEntry[], isCut = false): string {
  const text = intentText(must(intentOfTask(records, isCut)));
  expect(intentFileFrom(text, 'new.yaml')).not.toHaveProperty('findings');
  expect([validate(parse(text)), validate.errors]).toEqual([true, null]);
  return text;
}

describe('intentOfTask', () => {
  it('has what a task used, with half as much again and its origin', () => {
    const maxAmount = { argument: 'amount', limit: 5_000, currency: { argument: 'currency', value: 'EUR' } };
    const records = [
      granted([
        { actions: ['payments.create'], constraints: { max_calls: 100, max_amount: maxAmount } },
        { actions: ['payments.read', 'payments.list'], constraints: { max_calls: 100 } },
      ]),
      use('payments.read', { args: { id: 'p-1' } }),
      use('payments.create', { args: { amount: 300, currency: 'EUR' } }),
      use('payments.read', { args: { pages: 7 } }),
      use('payments.create', { args: { amount: 201, currency: 'EUR' } }),
      use('payments.mcp.session'),
      use('payments.refund', { decision: 'deny', reason: 'action.outside-intent' }),
      use('payments.refund', { decision: 'deny', reason: 'action.outside-intent' }),
      use(null, { decision: 'deny', reason: 'action.unknown' }),
    ];
    expect(textOf(records)).toBe(`# What the task ${TASK_ID} used, of what it was granted.
# Denied 2 times: payments.refund: action.outside-intent
# Denied once: a call of no action: action.unknown
purpose: "pay the invoices"
access:
  - resource: https://payments.acme.test
    actions:
      - payments.read # 2 calls; \`pages\` at most 7, 7 in all
    constraints:
      max_calls: 6 # 4 calls in the task, and half as many again
  - resource: https://payments.acme.test
    actions:
      - payments.create # 2 calls; \`amount\` at most 300, 501 in all
    constraints:
      max_calls: 6 # 4 calls in the task, and half as many again
      max_amount: { argument: amount, limit: 752, currency: { argument: currency, value: EUR } } # 501 in the task, and half as much again
expires_in: 3m # the last call was after 100 seconds; half as long again, in whole minutes
`);
  });

  it('never has more than was granted', () => {
    const maxAmount = { argument: 'amount', limit: 510 };
    const constraints = { max_calls: 3, max_amount: maxAmount };
    const text = textOf([
      granted([{ actions: ['payments.create'], constraints }]),
      use('payments.create', { args: { amount: 300 } }),
      use('payments.create', { args: { amount: 200 }, at: AT + 899_000 }),
      use('payments.create', { args: { amount: 10 } }),
    ]);
    expect(text).toContain('max_calls: 3 # 3 calls in the task, and no more than was granted');
    expect(text).toContain(
      'max_amount: { argument: amount, limit: 510 } # 510 in the task, and no more than was granted',
    );
    expect(text).toContain('expires_in: 900s # the last call was after 899 seconds; as long as was granted');
  });

  it('sums recorded decimals exactly', () => {
    const constraints = { max_amount: { argument: 'price', limit: '9.99' } };
    const records = [
      granted([{ actions: ['payments.create'], constraints }]),
      use('payments.create', { args: { price: '0.1' } }),
      use('payments.create', { args: { price: '0.2' } }),
    ];
    expect(textOf(records)).toContain(
      'max_amount: { argument: price, limit: "0.45" } # 0.3 in the task, and half as much again',
    );
  });

  it('keeps the amount that was granted if the argument is not recorded with each call', () => {
    const constraints = { max_amount: { argument: 'amount', limit: 500 } };
    const text = textOf([
      granted([{ actions: ['payments.create'], constraints }]),
      use('payments.create', { args: { amount: 300 } }),
      use('payments.create'),
    ]);
    expect(text).toContain('max_amount: { argument: amount, limit: 500 } # as granted, since `amount` is not recorded');
  });

  it('counts a use once, and none whose allow was withdrawn', () => {
    const first = use('payments.read');
    const withdrawn = use('payments.read');
    const denial = use('payments.read', { decision: 'deny', reason: 'task.revoked', withdraws: withdrawn.decisionId });
    expect(textOf([granted(), first, { ...first, seq: 99 }, withdrawn, denial])).toContain('max_calls: 2 # 1 call in');
  });

  it('says where records are missing', () => {
    expect(textOf([granted(), use('payments.read')], true)).toContain(
      '# Some of its records are missing: it may have used more.',
    );
  });

  it.each<[string, readonly TimelineEntry[], string]>([
    ['no intent', [use('payments.read')], 'there is no record of its intent'],
    ['a refused intent', [intentOf({ decision: 'deny' }), use('payments.read')], 'there is no record of its intent'],
    ['no use', [granted()], 'the task was allowed no call'],
    ['a session alone', [granted(), use('tickets.mcp.session')], 'the task was allowed no call'],
    [
      'denied uses alone',
      [granted(), use('payments.read', { decision: 'deny', reason: 'token.expired' })],
      'the task was allowed no call',
    ],
  ])('refuses the records of %s', (_name, records, problem) => {
    expect(intentOfTask(records, false)).toEqual({ problem });
  });

  it('is a valid intent whatever the agent called its purpose and its actions', () => {
    const word = fc.string({ unit: anyCharacter, minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(word, word, (purpose, name) => {
        const text = intentText(must(intentOfTask([granted([{ actions: ['a'] }], purpose), use(name)], false)));
        expect(parse(text)).toMatchObject({ purpose, access: [{ actions: [name] }] });
      }),
    );
  });
});
