import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { pathTemplateFrom } from '../../../../src/core/action/catalog/template.ts';
import type { PathTemplate } from '../../../../src/core/action/catalog/template.ts';
import { canonicalJson } from '../../../../src/core/ledger/canonical-json.ts';
import type { JsonValue } from '../../../../src/core/ledger/canonical-json.ts';
import { indexLedger } from '../../../../src/core/ledger/log/indexed-ledger.ts';
import { LogReader } from '../../../../src/core/ledger/log/log-reader.ts';
import type { RecordFilter } from '../../../../src/core/ledger/log/segment/record-filter.ts';
import { isAskedFor } from '../../../../src/core/ledger/log/segment/record-filter.ts';
import { recordMembersIn } from '../../../../src/core/ledger/search/index-builder.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustFind } from '../../../builders/must.ts';
import { thoroughly } from '../../../thoroughly.ts';
import { mustOpenLog, portsAt, settingsIn } from '../log/logs.ts';

const folder = testFolders();

const bytesOf = (record: JsonValue): Uint8Array => {
  const text = canonicalJson(record);
  if (typeof text !== 'string') throw new Error(text.problem);
  return Buffer.from(text, 'utf8');
};

const template = (text: string): PathTemplate => {
  const parsed = pathTemplateFrom(text);
  if ('problem' in parsed) throw new Error(parsed.problem);
  return parsed;
};

/** Few texts, so that records share them; some that JSON, SQL and paths write otherwise. */
const word = fc.constantFrom('p-77', 'p 77', 'é😀', 'a"b', "c'd", 'e\\f', '%', '', '5', 'true', 'x'.repeat(300));
const orNone = fc.option(word, { nil: null });

const use = fc
  .record({
    args: fc.option(
      fc.dictionary(
        fc.constantFrom('payment', 'note'),
        fc.oneof(word, fc.constantFrom(5, true, { withheld: 'secret' }), fc.array(word, { maxLength: 3 })),
      ),
      { nil: undefined },
    ),
    decision: fc.constantFrom('allow', 'deny'),
    decisionId: fc.constantFrom('d-1', 'd-2', 'd-3', 'd-4'),
    jtiDigest: orNone,
    path: fc.constantFrom('/v1/payments/p-77', '/v1/payments/p%2D77', '/v1/payments/p%2077', '/v1/payments', '/', ''),
    policyIds: fc.array(word, { maxLength: 3 }),
    policySet: orNone,
    refusedCaller: fc.option(fc.record({ address: orNone, id: word }), { nil: null }),
    task: orNone,
    would: fc.option(fc.record({ policyIds: fc.array(word, { maxLength: 2 }) }), { nil: undefined }),
  })
  .map((members) => Object.assign({}, members, { kind: 'use' }));
const intent = fc
  .record({ subject: orNone, purpose: orNone, intentHash: orNone, parent: orNone, task: orNone, agent: orNone })
  .map((members) => Object.assign({}, members, { kind: 'intent' }));
const token = fc
  .record({ delegate: orNone, jtiDigest: word, task: word })
  .map((members) => Object.assign({}, members, { kind: 'token' }));
const outcome = fc
  .record({
    decisionId: fc.constantFrom('d-1', 'd-2', 'd-3', 'd-4'),
    details: fc.constantFrom('via_upstream', 'upstream_reset'),
    attempts: fc.constantFrom(0, 1),
  })
  .map((members) => Object.assign({}, members, { kind: 'outcome' }));
const record = fc
  .oneof({ weight: 3, arbitrary: use }, intent, token, outcome)
  .map((members) => JSON.parse(JSON.stringify({ ...members, at: 1 })) as { readonly [name: string]: JsonValue });

const filter: fc.Arbitrary<RecordFilter> = fc
  .record(
    {
      args: fc.array(fc.record({ name: fc.constantFrom('payment', 'note', null), value: word }), {
        minLength: 1,
        maxLength: 2,
      }),
      value: word,
      token: word,
      parent: word,
      delegate: word,
      subject: word,
      policy: word,
      policySet: word,
      purpose: word,
      intentHash: word,
      refusedAddress: word,
      path: fc
        .constantFrom('/v1/payments/{id}', '/v1/payments/{id:text}', '/v1/payments', '/{a}/{b}/{c}')
        .map(template),
      isUnexecuted: fc.constant(true as const),
      tasks: fc.array(word, { maxLength: 3 }).map((tasks) => new Set(tasks)),
      task: word,
      kind: fc.constantFrom('use', 'intent', 'token'),
      decisionId: fc.constantFrom('d-1', 'd-9'),
    },
    { requiredKeys: [] },
  )
  .map((all) => Object.fromEntries(Object.entries(all).slice(0, 2)));

/** What a query finds, by reading each record by itself. */
function expected(records: readonly { readonly [name: string]: JsonValue }[], asked: RecordFilter): readonly number[] {
  const executed = new Set(
    records.flatMap(({ kind, details, decisionId }) =>
      kind === 'outcome' && details === 'via_upstream' ? [decisionId] : [],
    ),
  );
  return records.flatMap((members, index) => {
    const bytes = Buffer.concat([Buffer.from('{"prev":"","record":'), bytesOf(members), Buffer.from(',"seq":1}')]);
    const isSame = (['task', 'kind', 'decisionId'] as const).every(
      (name) => asked[name] === undefined || members[name] === asked[name],
    );
    const isOpen = asked.isUnexecuted === undefined || !executed.has(members['decisionId'] ?? null);
    return isSame && isOpen && isAskedFor(asked, { bytes }) ? [index] : [];
  });
}

describe('LogReader.found', () => {
  it('finds the same with an index, without one, and with one of a part of the records', () => {
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 40 }),
        fc.array(filter, { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        (records, filters, isNewestFirst) => {
          const settings = settingsIn(folder());
          const log = mustOpenLog(settings, portsAt(1_000));
          const half = Math.ceil(records.length / 2);
          const seqs: number[] = [];
          for (const [index, each] of records.entries()) {
            log.append([{ bytes: bytesOf(each), outbox: null }], 'f'.repeat(32));
            seqs.push(log.size);
            if (index === half) log.checkpoint();
          }
          const found = (asked: RecordFilter): readonly number[] => {
            const reader = mustFind(LogReader.open(settings.folder));
            const all = [...reader.found(asked, { isNewestFirst })].map(({ seq }) => seqs.indexOf(seq));
            expect(reader.indexProblems()).toEqual([]);
            reader.close();
            return (isNewestFirst ? all.toReversed() : all).filter((index) => index >= 0);
          };
          for (const asked of filters) expect(found(asked)).toEqual(expected(records, asked));
          const options = { nowMs: 1, suffix: 'a', partRecords: 4 };
          indexLedger(settings.folder, options);
          for (const asked of filters) expect(found(asked)).toEqual(expected(records, asked));
          log.close();
          indexLedger(settings.folder, options);
          for (const asked of filters) expect(found(asked)).toEqual(expected(records, asked));
        },
      ),
      { numRuns: thoroughly(400, 60) },
    );
  });
});

const leafOf = (members: { readonly [name: string]: JsonValue }): { readonly bytes: Uint8Array } => ({
  bytes: Buffer.concat([Buffer.from('{"prev":"","record":'), bytesOf(members), Buffer.from(',"seq":1}')]),
});

describe('isAskedFor', () => {
  const payment = {
    kind: 'use',
    args: { amount: 500, payment: 'p-77', tags: ['a', 'b'], urgent: true },
    path: '/v1/payments/p-77',
    policyIds: ['payments'],
    would: { policyIds: ['shadowed'] },
    refusedCaller: { address: '10.0.0.9', id: 'x' },
  };
  it.each<[string, RecordFilter, boolean]>([
    ['an argument by its name', { args: [{ name: 'payment', value: 'p-77' }] }, true],
    ['the value of another argument', { args: [{ name: 'note', value: 'p-77' }] }, false],
    ['a member of the prototype', { args: [{ name: 'constructor', value: 'p-77' }] }, false],
    ['a number', { args: [{ name: 'amount', value: '500' }] }, true],
    ['a number with other digits', { args: [{ name: 'amount', value: '50' }] }, false],
    ['a boolean', { args: [{ name: 'urgent', value: 'true' }] }, true],
    ['an item of a list', { args: [{ name: 'tags', value: 'b' }] }, true],
    [
      'two arguments',
      {
        args: [
          { name: 'payment', value: 'p-77' },
          { name: 'amount', value: '501' },
        ],
      },
      false,
    ],
    ['a value as an argument', { value: '500' }, true],
    ['a value as a segment', { value: 'payments' }, true],
    ['a part of a segment', { value: 'payment' }, false],
    ['a policy that decided', { policy: 'payments' }, true],
    ['a policy that would have decided', { policy: 'shadowed' }, true],
    ['an address', { refusedAddress: '10.0.0.9' }, true],
    ['a template', { path: template('/v1/payments/{id}') }, true],
    ['a template with another type', { path: template('/v1/payments/{id:int}') }, false],
    ['a shorter template', { path: template('/v1/payments') }, false],
  ])('decides on %s', (_name, asked, isFound) => {
    expect(isAskedFor(asked, leafOf(payment))).toBe(isFound);
  });

  it('finds a long argument by its digest', () => {
    const long = 'x'.repeat(400);
    const { record: args } = recordedLong(long);
    expect(isAskedFor({ value: long }, leafOf({ kind: 'use', args }))).toBe(true);
    expect(isAskedFor({ value: `${long}y` }, leafOf({ kind: 'use', args }))).toBe(false);
  });
});

const recordedLong = (text: string) => ({
  record: {
    note: { bytes: text.length, 'sha-256': createHash('sha256').update(text).digest('base64url') },
  },
});

describe('recordMembersIn', () => {
  it('gives nothing of a damaged leaf', () => {
    expect(recordMembersIn(Buffer.from('{"record":{"kind":,"seq":1}'))).toBeNull();
    expect(recordMembersIn(Buffer.from(''))).toBeNull();
  });
});
