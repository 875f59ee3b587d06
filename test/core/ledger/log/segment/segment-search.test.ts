import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { recordBytesIn } from '../../../../../src/core/ledger/proof/leaf.ts';
import type { LedgerRecord } from '../../../../../src/core/ledger/record.ts';
import { indexProblem } from '../../../../../src/core/ledger/log/segment/index-check.ts';
import { SegmentLog } from '../../../../../src/core/ledger/log/log.ts';
import type { IncomingRecord } from '../../../../../src/core/ledger/log/log.ts';
import { LogReader } from '../../../../../src/core/ledger/log/log-reader.ts';
import type { RecordFilter } from '../../../../../src/core/ledger/log/segment/record-filter.ts';
import { encoded, useRecord } from '../../../../builders/ledger-record.ts';
import { testFolders } from '../../../../builders/test-folders.ts';
import { failureOf, mustOpenLog, portsAt, settingsIn } from '../logs.ts';
import { mustFind } from '../../../../builders/must.ts';
import { thoroughly } from '../../../../thoroughly.ts';

const folder = testFolders();

const FILE = 'f'.repeat(32);

/** So long that 70 records fill a block of the index. */
const LONG = 'p'.repeat(60_000);

const openReader = (ledger: string): LogReader => mustFind(LogReader.open(ledger));

/** Texts shared by few records, which SQL, JSON and UTF-8 could misread. */
const name = fc.constantFrom('a', 'b', 'c', "d'", 'e"', 'f\\', 'g\u0000h', 'é😀', '', '{"task":"a"}', '%');
const orNone = fc.option(name);

interface Named {
  readonly task: string | null;
  readonly agent: string | null;
  readonly action: string | null;
  readonly decisionId: string;
  readonly traceId: string;
}

const useNamed = (named: Named, path = '/'): LedgerRecord =>
  useRecord({
    decision: named.task === null ? 'deny' : 'allow',
    reason: named.task === null ? 'token.missing' : null,
    host: 'a.test',
    path,
    ...named,
  });

/** Nested members are not indexed. */
const findingNamed = (decisionId: string | null, task: string | null, inside: string): LedgerRecord => ({
  kind: 'finding',
  at: 2,
  finding: 'bypass',
  count: 1,
  decisionId,
  task,
  agent: null,
  action: null,
  details: { task: inside, decisionId: inside, traceId: inside, agent: inside },
});

const endOf = (task: string, at = 3): LedgerRecord => ({
  kind: 'end',
  at,
  task,
  state: 'expired',
  cause: 'operator.completed',
  note: '',
  by: 'remit',
});

const named = fc.record({ task: orNone, agent: orNone, action: orNone, decisionId: name, traceId: name });
const use = fc.tuple(named, fc.constantFrom('/', LONG)).map(([members, path]) => useNamed(members, path));
const finding = fc.tuple(orNone, orNone, name).map((members) => findingNamed(...members));
const end = name.map((task) => endOf(task));
const batch = fc.array(fc.oneof({ arbitrary: use, weight: 5 }, finding, end), { maxLength: 60 });

const filter: fc.Arbitrary<RecordFilter> = fc.record(
  {
    task: name,
    decisionId: name,
    traceId: name,
    agent: name,
    action: name,
    decision: fc.constantFrom('allow', 'deny'),
    kind: fc.constantFrom('use', 'finding', 'end', 'checkpoint'),
    reason: fc.constantFrom('token.missing', 'bypass'),
    sinceMs: fc.constantFrom(2, 3, 1_000),
    untilMs: fc.constantFrom(2, 3),
    fromSeq: fc.integer({ min: 1, max: 100 }),
  },
  { requiredKeys: [] },
);

/** The numbers of the matching records, found by reading each record. */
function askedFor(
  reader: LogReader,
  { reason, sinceMs, untilMs, fromSeq, ...members }: RecordFilter,
): readonly number[] {
  return [...reader.leaves()].flatMap(({ seq, bytes }) => {
    const record = JSON.parse(Buffer.from(recordBytesIn(bytes)).toString()) as Record<string, unknown>;
    const at = Number(record['at']);
    const isAsked =
      Object.entries(members).every(([member, value]) => record[member] === value) &&
      (reason === undefined || record['reason'] === reason || record['finding'] === reason) &&
      at >= (sinceMs ?? 0) &&
      at < (untilMs ?? Infinity) &&
      seq >= (fromSeq ?? 1);
    return isAsked ? [seq] : [];
  });
}

const found = (reader: LogReader, asked: RecordFilter, isNewestFirst: boolean): readonly number[] =>
  [...reader.found(asked, { isNewestFirst })].map(({ seq }) => seq);

function expectFound(reader: LogReader, filters: readonly RecordFilter[]): void {
  for (const each of filters) {
    const wanted = askedFor(reader, each);
    expect([each, found(reader, each, false)]).toEqual([each, wanted]);
    expect([each, found(reader, each, true)]).toEqual([each, wanted.toReversed()]);
  }
}

/** Where the index of a segment does not match its records. */
const indexProblems = ({ segments }: LogReader): readonly string[] =>
  segments.flatMap((segment, at) => indexProblem(segment, { isFollowed: at < segments.length - 1 }) ?? []);

/** For each segment, the last indexed record and the last record. */
const indexedIn = ({ segments }: LogReader): readonly (readonly [indexed: number, last: number])[] =>
  segments.map((segment) => [segment.index.indexed(), segment.state().range.size]);

type Step = { readonly kind: 'append'; readonly records: readonly LedgerRecord[] } | { readonly kind: Act };
type Act = 'refused' | 'checkpoint' | 'rotate' | 'restart' | 'copy';

const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: batch.map((records): Step => ({ kind: 'append', records })), weight: 4 },
  {
    arbitrary: fc.constantFrom<Act>('checkpoint', 'rotate', 'restart', 'copy').map((kind): Step => ({ kind })),
    weight: 4,
  },
  // This waits for a second.
  { arbitrary: fc.constant<Step>({ kind: 'refused' }), weight: 1 },
);

/** A few records before a block is full. */
const nearlyABlock: Step = {
  kind: 'append',
  records: fc.sample(
    named.map((members) => useNamed(members, LONG)),
    { numRuns: 65, seed: 1 },
  ),
};

/** A log whose next checkpoint starts a new segment where requested. */
function steppedLog() {
  const settings = settingsIn(folder(), { segment: { maxBytes: 1024 ** 3, maxAgeMs: 500 } });
  const clock = { nowMs: 1_000 };
  const ports = { ...portsAt(0), nowMs: () => clock.nowMs };
  const state = { ledger: settings.folder, log: mustOpenLog(settings, ports) };
  const append = (records: readonly LedgerRecord[]) =>
    state.log.append(
      records.map((record) => ({ bytes: encoded(record).bytes, outbox: null })),
      FILE,
    );
  const acts: Readonly<Record<Act, () => void>> = {
    refused: () => {
      const reader = openReader(state.ledger);
      const holder = new DatabaseSync(reader.segments.at(-1)?.path ?? '');
      reader.close();
      holder.exec('BEGIN IMMEDIATE');
      failureOf(append([endOf('a')]));
      holder.close();
    },
    checkpoint: () => void state.log.checkpoint(),
    rotate: () => {
      clock.nowMs += 500;
      state.log.checkpoint();
    },
    restart: () => {
      state.log.close();
      state.log = mustOpenLog(settings, ports);
    },
    // The files left by a killed process: continues there.
    copy: () => {
      const copy = settingsIn(folder(), { segment: settings.segment });
      cpSync(settings.folder, copy.folder, { recursive: true });
      cpSync(settings.keyFile, copy.keyFile);
      const left = mustOpenLog(copy, ports);
      left.append([{ bytes: encoded(endOf('z')).bytes, outbox: null }], FILE);
      left.close();
      const reader = openReader(copy.folder);
      expect(indexProblems(reader)).toEqual([]);
      expectFound(reader, [{ task: 'z' }]);
      reader.close();
    },
  };
  return {
    state,
    run: (each: Step): void => {
      if (each.kind === 'append') expect(append(each.records)).toBeNull();
      else acts[each.kind]();
    },
  };
}

describe('LogReader.found', () => {
  it('finds the same as a full scan, whatever the writer did, beside it and afterwards', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 12 }),
        fc.array(filter, { minLength: 1, maxLength: 6 }),
        (steps, filters) => {
          const { state, run } = steppedLog();
          run(nearlyABlock);
          const early = openReader(state.ledger);
          for (const each of steps) run(each);
          const reader = openReader(state.ledger);
          expectFound(reader, filters);
          expect(indexProblems(reader)).toEqual([]);
          // A reader opened earlier sees the segments of that time.
          if (reader.segments.length === 1) expectFound(early, filters);
          for (const each of [early, reader]) each.close();
          state.log.close();
          const later = openReader(state.ledger);
          expectFound(later, filters);
          expect(indexProblems(later)).toEqual([]);
          later.close();
        },
      ),
      { numRuns: thoroughly(40, 12) },
    );
  });

  it.each([
    ['in the index', 4_100],
    ['after it', 5],
  ])('finds a damaged leaf %s by its keys, and wherever it may match', (_where, count) => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    const named = { task: 'a', agent: 'b', action: 'c', decisionId: 'd', traceId: 'e' };
    const records = [
      useNamed(named),
      useNamed({ ...named, task: 'x' }),
      ...Array.from({ length: count }, () => endOf('y')),
    ];
    log.append(
      records.map((record) => ({ bytes: encoded(record).bytes, outbox: null })),
      FILE,
    );
    log.close();
    const db = new DatabaseSync(join(settings.folder, 'segment-0000000000000000.db'));
    db.exec("UPDATE records SET bytes = CAST('x' AS BLOB) WHERE seq = 1");
    db.close();
    const reader = openReader(settings.folder);
    const asked: readonly (readonly [RecordFilter, readonly number[]])[] = [
      [{ task: 'a' }, [1]],
      [{ decisionId: 'd' }, [1, 2]],
      [{ traceId: 'e', kind: 'use' }, [1, 2]],
      [{ task: 'a', traceId: 'e', agent: 'z' }, [1]],
      [{ task: 'x' }, [2]],
      [{ task: 'a', decisionId: 'z' }, []],
      [{ agent: 'z' }, [1]],
      [{ sinceMs: 4_000 }, [1]],
      [{ fromSeq: 2, kind: 'use' }, [2]],
    ];
    for (const [each, seqs] of asked) expect([each, found(reader, each, false)]).toEqual([each, seqs]);
    reader.close();
  });

  it('returns a record once that is indexed during the search', () => {
    const { state, run } = steppedLog();
    run({ kind: 'append', records: Array.from({ length: 4_000 }, () => endOf('a')) });
    const reader = openReader(state.ledger);
    const oldest = reader.found({ task: 'a' }, { isNewestFirst: false });
    const newest = reader.found({ task: 'a' }, { isNewestFirst: true });
    const firsts = [oldest.next(), newest.next()].map(({ value }) => value?.seq);
    expect(firsts).toEqual([1, 4_000]);
    run({ kind: 'append', records: Array.from({ length: 1_000 }, () => endOf('a')) });
    expect([...oldest].map(({ seq }) => seq)).toEqual(Array.from({ length: 4_999 }, (_, n) => n + 2));
    expect([...newest].map(({ seq }) => seq)).toEqual(Array.from({ length: 3_999 }, (_, n) => 3_999 - n));
    expect(indexedIn(reader)).toEqual([[4_096, 5_000]]);
    reader.close();
    state.log.close();
  });
});

const ends = (count: number, from = 0): readonly IncomingRecord[] =>
  Array.from({ length: count }, (_, n) => ({ bytes: encoded(endOf(`t-${from + n}`)).bytes, outbox: null }));

const appendAll = (log: SegmentLog, count: number): void => expect(log.append(ends(count), FILE)).toBeNull();

describe('the index of a segment', () => {
  it('is written by the commit that fills a block, continues after a restart, and is complete once a segment is closed', () => {
    const settings = settingsIn(folder(), { segment: { maxBytes: 1024 ** 3, maxAgeMs: 500 } });
    const clock = { nowMs: 1_000 };
    const ports = { ...portsAt(0), nowMs: () => clock.nowMs };
    let log = mustOpenLog(settings, ports);
    const indexed = () => {
      const reader = openReader(settings.folder);
      const state = indexedIn(reader);
      expect(indexProblems(reader)).toEqual([]);
      reader.close();
      return state;
    };
    appendAll(log, 4_095);
    expect(indexed()).toEqual([[0, 4_095]]);
    appendAll(log, 1);
    expect(indexed()).toEqual([[4_096, 4_096]]);
    appendAll(log, 9_000);
    expect(indexed()).toEqual([[12_288, 13_096]]);
    log.close();
    log = mustOpenLog(settings, ports);
    appendAll(log, 3_287);
    expect(indexed()).toEqual([[16_384, 16_384]]);
    appendAll(log, 1);
    clock.nowMs += 500;
    log.checkpoint();
    expect(indexed()).toEqual([
      [16_386, 16_386],
      [16_386, 16_386],
    ]);
    log.close();
  });

  it('is incomplete without a filled block, or with a truncated block', () => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    appendAll(log, 4_096);
    log.close();
    const path = join(settings.folder, 'segment-0000000000000000.db');
    const problemsAfter = (sql: string): readonly string[] => {
      const db = new DatabaseSync(path);
      db.exec(sql);
      db.close();
      const reader = openReader(settings.folder);
      const problems = indexProblems(reader);
      reader.close();
      return problems;
    };
    expect(problemsAfter('DELETE FROM index_drawers WHERE id = 63')).toEqual([
      'its index does not match records 1 to 4096',
    ]);
    expect(problemsAfter('DELETE FROM index_drawers; DELETE FROM index_blocks')).toEqual([
      'its index lacks records 1 to 4096',
    ]);
    expect(failureOf(SegmentLog.open(settings, portsAt(1)))).toMatchObject({
      code: 'unfit',
      detail: expect.stringContaining('the ledger cannot be continued: its index does not match its records;'),
    });
  });

  it('treats records of a failed commit as not written, even if they would have filled a block', () => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    appendAll(log, 4_000);
    const holder = new DatabaseSync(join(settings.folder, 'segment-0000000000000000.db'));
    holder.exec('BEGIN IMMEDIATE');
    expect(failureOf(log.append(ends(200, 9_000), FILE))).toMatchObject({ code: 'busy' });
    holder.close();
    appendAll(log, 200);
    const reader = openReader(settings.folder);
    expect([indexedIn(reader), indexProblems(reader)]).toEqual([[[4_096, 4_200]], []]);
    expect(found(reader, { task: 't-9000' }, true)).toEqual([]);
    expect(found(reader, { task: 't-150' }, true)).toEqual([4_151, 151]);
    reader.close();
    log.close();
  });
});
