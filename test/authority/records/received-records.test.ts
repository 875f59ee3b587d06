import {
  appendFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { packText } from '../../../src/authority/records/pack.ts';
import type { Section } from '../../../src/authority/records/pack.ts';
import { recordFileName } from '../../../src/authority/records/record-files.ts';
import { indexReceived, receivedIndexProblem } from '../../../src/authority/records/received-index.ts';
import { receivedLogsIn } from '../../../src/authority/records/received-logs.ts';
import { SearchedReceived } from '../../../src/authority/records/received-records.ts';
import { foundInReceived } from '../../../src/authority/records/received-search.ts';
import { canonicalJson } from '../../../src/core/ledger/canonical-json.ts';
import type { JsonValue } from '../../../src/core/ledger/canonical-json.ts';
import { leafBytes } from '../../../src/core/ledger/proof/leaf.ts';
import type { RecordFilter } from '../../../src/core/ledger/log/segment/record-filter.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { thoroughly } from '../../thoroughly.ts';

const folder = testFolders();

const ORIGINS = ['remit.acme.test/tools-7/aa', 'remit.acme.test/tools-8/bb'];

const leafOf = (record: { readonly [name: string]: JsonValue }, seq: number): Uint8Array => {
  const text = canonicalJson(record);
  if (typeof text !== 'string') throw new Error(text.problem);
  const prev = seq === 1 ? null : new Uint8Array(32);
  return must(leafBytes(Buffer.from(text), { boot: 'a'.repeat(32), mono: 1, prev, seq }));
};

/** The record of a number in a log, which another term may have otherwise. */
const recordOf = (origin: number, seq: number, term: number): { readonly [name: string]: JsonValue } =>
  seq % 3 === 0
    ? {
        at: seq * 10 + origin,
        attempts: 1,
        decisionId: `d-${origin}-${seq - 1}`,
        details: 'via_upstream',
        kind: 'outcome',
      }
    : {
        args: { payment: `p-${(seq + term) % 5}` },
        at: seq * 10 + origin,
        decision: 'allow',
        decisionId: `d-${origin}-${seq}`,
        kind: 'use',
        path: `/v1/payments/${seq % 4}`,
        policyIds: ['limit'],
        task: `t-${seq % 3}`,
      };

interface Kept {
  readonly origin: number;
  readonly from: number;
  readonly leaves: number;
  readonly term: number;
}

const sectionOf = ({ origin, from, leaves, term }: Kept): Section => ({
  origin: ORIGINS[origin] ?? '',
  id: 'spiffe://acme.test/ns/tools/sa/tools-7',
  verifierKey: 'key',
  term,
  from,
  tree: 'x',
  last: '',
  leaves: Array.from({ length: leaves }, (_, index) =>
    leafOf(recordOf(origin, from + index + 1, term), from + index + 1),
  ),
  checkpoints: [],
});

/** Writes each list of sections into a file of its own. */
function write(at: string, files: readonly (readonly Kept[])[]): void {
  for (const [index, sections] of files.entries())
    writeFileSync(join(at, recordFileName(index, Buffer.from('aaaa'))), packText(sections.map(sectionOf)));
}

const placeOf = ({ log, seq }: { readonly log: string; readonly seq: number }): string => `${log} ${seq}`;

const kept: fc.Arbitrary<Kept> = fc.record({
  origin: fc.constantFrom(0, 1),
  from: fc.integer({ min: 0, max: 12 }),
  leaves: fc.integer({ min: 0, max: 6 }),
  term: fc.constantFrom(0, 0, 1),
});
const filters: readonly RecordFilter[] = [
  { value: 'p-2' },
  { args: [{ name: 'payment', value: 'p-3' }], task: 't-1' },
  { policy: 'limit' },
  { decisionId: 'd-0-4' },
  { tasks: new Set(['t-0', 't-2']), value: '1' },
  { task: 't-9' },
  {},
  { sinceMs: 40, untilMs: 90 },
  { kind: 'outcome' },
];

describe('ReceivedRecords', () => {
  it('finds what is found by reading every record, with an index and beside one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(kept, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 20 }),
        fc.boolean(),
        (files, packRecords, limit, isNewestFirst) => {
          const at = folder();
          const compare = (): void => {
            const records = SearchedReceived.open(at);
            const { logs, damaged } = receivedLogsIn(at);
            expect(damaged).toEqual([]);
            for (const filter of filters) {
              const order = { limit, isNewestFirst };
              const read = foundInReceived(logs.values(), filter, order);
              const found = records.found(filter, order);
              expect(found.map(placeOf)).toEqual(read.map(placeOf));
            }
            expect(records.problems).toEqual([]);
            records.close();
          };
          const half = Math.ceil(files.length / 2);
          write(at, files.slice(0, half));
          compare();
          indexReceived(at, { suffix: 'a', packRecords });
          compare();
          // The file that goes on has a section more, and other files are there.
          const more: Kept = { origin: 0, from: 13, leaves: 4, term: 1 };
          appendFileSync(join(at, recordFileName(half - 1, Buffer.from('aaaa'))), packText([sectionOf(more)]));
          for (const [index, sections] of files.slice(half).entries())
            writeFileSync(
              join(at, recordFileName(half + index, Buffer.from('aaaa'))),
              packText(sections.map(sectionOf)),
            );
          compare();
          indexReceived(at, { suffix: 'a', packRecords });
          compare();
          expect(receivedIndexProblem(at)).toBeNull();
        },
      ),
      { numRuns: thoroughly(500, 80) },
    );
  });

  it('finds allowed uses without an execution, whose outcome may be in another pack', () => {
    const at = folder();
    write(at, [
      [{ origin: 0, from: 0, leaves: 2, term: 0 }],
      [{ origin: 0, from: 2, leaves: 5, term: 0 }],
      [{ origin: 0, from: 7, leaves: 1, term: 0 }],
    ]);
    indexReceived(at, { suffix: 'a', packRecords: 2 });
    const records = SearchedReceived.open(at);
    const found = records.found({ isUnexecuted: true }, { limit: 10, isNewestFirst: false });
    expect(found.map(({ seq }) => seq)).toEqual([1, 4, 7, 8]);
    expect([records.isExecuted('d-0-2'), records.isExecuted('d-0-1')]).toEqual([true, false]);
    records.close();
  });

  it('reads a file whose pack cannot be used, and says why', () => {
    const at = folder();
    write(at, [[{ origin: 0, from: 0, leaves: 3, term: 0 }], [{ origin: 0, from: 3, leaves: 3, term: 0 }]]);
    indexReceived(at, { suffix: 'a', packRecords: 3 });
    const [first = '', second = ''] = readdirSync(at).filter((name) => name.startsWith('records-'));
    rmSync(join(at, first));
    const records = SearchedReceived.open(at);
    expect(records.problems).toEqual([expect.stringContaining(`is of \`${first}\`, which is gone`)]);
    expect(records.found({ value: 'p-4' }, { limit: 9, isNewestFirst: true }).map(({ seq }) => seq)).toEqual([4]);
    records.close();
    // Deleted by the retention: nothing is wrong with the rest.
    expect(receivedIndexProblem(at)).toBeNull();
    expect(indexReceived(at, { suffix: 'a', packRecords: 3 })).toMatchObject({ packs: 1, discarded: 1, left: 0 });
    truncateSync(join(at, second), 10);
    const cut = SearchedReceived.open(at);
    expect(cut.problems).toEqual([expect.stringMatching(/is of \d+ bytes of `records-\S+`, which has 10$/)]);
    cut.close();
  });
});

/** Packs of a record each, so many, in one file. */
function manySections(count: number): string {
  const at = folder();
  write(at, [Array.from({ length: count }, (_, from) => ({ origin: 0, from, leaves: 1, term: 0 }))]);
  return at;
}

describe('indexReceived', () => {
  it('says after each pack what is indexed and left, and stops when it is told to', () => {
    const at = manySections(5);
    const said: (readonly [number, number])[] = [];
    const onPack = ({ indexed, left }: { readonly indexed: number; readonly left: number }): boolean => {
      said.push([indexed, left]);
      return said.length !== 2;
    };
    expect(indexReceived(at, { suffix: 'a', packRecords: 2, onPack })).toMatchObject({ made: 2, indexed: 4, left: 1 });
    write(at, [Array.from({ length: 7 }, (_, from) => ({ origin: 0, from, leaves: 1, term: 0 }))]);
    expect(indexReceived(at, { suffix: 'a', packRecords: 2, onPack })).toMatchObject({ packs: 3, made: 1, left: 1 });
    expect(said).toEqual([
      [2, 3],
      [4, 1],
      [6, 1],
    ]);
  });

  it('leaves out a file that the retention deletes meanwhile', () => {
    const at = folder();
    write(at, [[{ origin: 0, from: 0, leaves: 3, term: 0 }]]);
    // Listed, and gone when it is read.
    symlinkSync(join(at, 'gone'), join(at, recordFileName(1, Buffer.from('aaaa'))));
    expect(indexReceived(at, { suffix: 'a', packRecords: 3 })).toMatchObject({
      packs: 1,
      made: 1,
      indexed: 3,
      left: 0,
    });
    const records = SearchedReceived.open(at);
    expect(records.found({}, { limit: 9, isNewestFirst: false })).toHaveLength(3);
    records.close();
  });
});

describe('receivedIndexProblem', () => {
  it('finds nothing wrong with a pack that is deleted meanwhile, and compares the others', () => {
    const at = folder();
    write(at, [[{ origin: 0, from: 0, leaves: 3, term: 0 }]]);
    indexReceived(at, { suffix: 'a', packRecords: 3 });
    symlinkSync(join(at, 'gone'), join(at, 'index', 'received-00000000.index'));
    expect(receivedIndexProblem(at)).toBeNull();
    const path = join(at, 'index', 'received-00000001.index');
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 5) ^ 1, bytes.length - 5);
    writeFileSync(path, bytes);
    expect(receivedIndexProblem(at)).toMatch(/does not match its records/);
  });

  it('finds a change of any byte of a pack', () => {
    const at = folder();
    write(at, [[{ origin: 0, from: 0, leaves: 6, term: 0 }]]);
    indexReceived(at, { suffix: 'a', packRecords: 3 });
    const [name = ''] = readdirSync(join(at, 'index'));
    const path = join(at, 'index', name);
    const whole = readFileSync(path);
    for (let step = 0; step <= 60; step += 1) {
      const bytes = Buffer.from(whole);
      const place = Math.min(bytes.length - 1, Math.floor((bytes.length * step) / 60));
      bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
      writeFileSync(path, bytes);
      expect([place, receivedIndexProblem(at)]).toEqual([place, expect.stringContaining('its index `')]);
    }
  });

  it('finds a pack of other records', () => {
    const [at, other] = [folder(), folder()];
    write(at, [[{ origin: 0, from: 0, leaves: 6, term: 0 }]]);
    write(other, [[{ origin: 0, from: 0, leaves: 6, term: 1 }]]);
    for (const each of [at, other]) indexReceived(each, { suffix: 'a', packRecords: 3 });
    rmSync(join(at, 'index'), { recursive: true });
    cpSync(join(other, 'index'), join(at, 'index'), { recursive: true });
    expect(receivedIndexProblem(at)).toMatch(/does not match its records/);
  });
});
