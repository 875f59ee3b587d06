import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { JsonValue } from '../../../../src/core/ledger/canonical-json.ts';
import { leafHash } from '../../../../src/core/ledger/proof/merkle.ts';
import { noteKeyOf } from '../../../../src/core/ledger/proof/note-key.ts';
import type { Seam } from '../../../../src/core/ledger/proof/seam.ts';
import { verdictOn, type StoredLog } from '../../../../src/core/ledger/proof/verification.ts';
import { privateKeyOf } from '../keys.ts';
import {
  anchorsOf,
  atOf,
  chained,
  headOf,
  logOf,
  logThatPrunes,
  logWith,
  origin,
  pinned,
  prunedRecordOf,
  stored,
  type MemoryLog,
} from '../logs.ts';

/** The records after `from`, up to `to`. */
const range = (from: number, to: number) => (to > from ? { from: from + 1, to } : null);
const logAt = (...instants: readonly unknown[]) => logWith(chained(instants.map((at) => ({ at: at as number }))), []);
const minute = 60_000;
const ahead = (seq: number, claims: number, at: number) => ({
  seq,
  remark: `the clock was ahead: the record claims ${claims}, its anchor was received at ${at}`,
});
const behind = (seq: number, claims: number, at: number) => ({
  seq,
  remark: `the clock was behind or an anchor late: the record claims ${claims}, the anchor before it was received at ${at}`,
});
const trustOf = (...received: readonly (readonly [size: number, atMs: number | null])[]) => ({
  key: pinned,
  anchors: received.map(([size, atMs]) => ({ note: headOf(logAt(0, 10, 20, 30).entries, size), atMs })),
});

const log = logOf(20, [5, 10, 10, 15]);
const anchors = anchorsOf(log, [10]);
const trust = { key: pinned, anchors };
const noRemarks = { remarks: [], remarkCount: 0 };

describe('verdictOn', () => {
  it('distinguishes anchored, signed and bare records', () => {
    expect(verdictOn(stored(log), trust)).toEqual({
      kind: 'sound',
      size: 20,
      pruned: 0,
      prunedBy: null,
      anchored: { from: 1, to: 10 },
      signed: { from: 11, to: 15 },
      bare: { from: 16, to: 20 },
      unchecked: 0,
      ...noRemarks,
    });
  });

  it('returns each range of any honest log, whatever was pruned', () => {
    const cases = fc.record({
      size: fc.integer({ min: 0, max: 20 }),
      gone: fc.nat({ max: 20 }),
      signed: fc.array(fc.nat({ max: 20 }), { maxLength: 4 }),
      anchored: fc.array(fc.nat({ max: 20 }), { maxLength: 4 }),
    });
    fc.assert(
      fc.property(cases, ({ size, gone, signed, anchored }) => {
        const pruned = Math.min(gone, size);
        const upTo = (sizes: readonly number[]): readonly number[] =>
          sizes.filter((one) => one <= size).toSorted((a, b) => a - b);
        const whole = logThatPrunes(size, pruned, upTo(signed));
        const anchoredTo = Math.max(pruned, ...upTo(anchored));
        const signedTo = Math.max(anchoredTo, ...upTo(signed));
        const given = { key: pinned, anchors: anchorsOf(whole, upTo(anchored).toReversed()) };
        const verdict = verdictOn(stored(whole, pruned), given);
        if (pruned > 0 && signedTo <= pruned) {
          // The pruning record is not signed, or is missing too.
          expect(verdict).toMatchObject({ kind: 'broken', part: 'log', lost: { from: 1, to: pruned } });
          return;
        }
        expect(verdict).toEqual({
          kind: 'sound',
          size,
          pruned,
          prunedBy: pruned === 0 ? null : pruned + 1,
          anchored: range(pruned, anchoredTo),
          signed: range(anchoredTo, signedTo),
          bare: range(signedTo, size),
          unchecked: [...upTo(signed), ...upTo(anchored)].filter((one) => one < pruned).length,
          ...noRemarks,
        });
      }),
      { numRuns: 300 },
    );
  });

  it('reads the log once, one record and one checkpoint at a time', () => {
    const read: string[] = [];
    const watched: StoredLog = {
      ...stored(log),
      *entries() {
        for (const entry of log.entries) {
          read.push(`record ${entry.seq}`);
          yield entry;
        }
      },
      *checkpoints() {
        for (const checkpoint of log.checkpoints) {
          read.push(`checkpoint ${checkpoint.size}`);
          yield checkpoint;
        }
      },
    };
    expect(verdictOn(watched, trust).kind).toBe('sound');
    expect(read.slice(0, 8)).toEqual([
      'checkpoint 5',
      'record 1',
      'record 2',
      'record 3',
      'record 4',
      'record 5',
      'checkpoint 10',
      'record 6',
    ]);
    expect(read).toHaveLength(24);
  });

  const [one, two, three] = log.entries as [(typeof log.entries)[0], (typeof log.entries)[0], (typeof log.entries)[0]];
  const withEntries = (entries: typeof log.entries): StoredLog => stored({ ...log, entries });
  it.each<[string, StoredLog, number, string]>([
    ['that is missing', withEntries([one, three]), 2, 'is missing: the next is 3'],
    ['that is there twice', withEntries([one, one]), 2, 'is missing: the next is 1'],
    ['with the bytes of another', withEntries([one, { seq: 2, bytes: three.bytes }]), 2, 'has the bytes of record 3'],
    ['whose bytes are not canonical', withEntries([{ seq: 1, bytes: Buffer.from('{ }') }]), 1, 'is not canonical JSON'],
    ['that is too long', withEntries([{ seq: 1, bytes: Buffer.alloc(65_536) }]), 1, 'has 65536 bytes, more than 65535'],
    [
      'that does not follow',
      withEntries([...chained([{ at: 0 }]), two]),
      2,
      'does not follow from the record before it: either was changed',
    ],
    [
      'that does not follow from what was pruned',
      { ...stored(log, 4), carried: { ...stored(log, 4).carried, prev: Buffer.alloc(32) } },
      5,
      'does not follow from the record before it: either was changed',
    ],
  ])('names the first record %s', (_name, wrong, at, problem) => {
    expect(verdictOn(wrong, trust)).toEqual({ kind: 'broken', part: 'record', at, problem });
  });

  it('names a bad record after an invalid checkpoint', () => {
    const { entries } = log;
    const wrong = { ...log, entries: entries.toSpliced(11, 1), checkpoints: [{ size: 5, note: 'no' }] };
    expect(verdictOn(stored(wrong), trust)).toMatchObject({ part: 'record', at: 12 });
  });

  const other = logWith(chained(Array.from({ length: 20 }, (_, index) => ({ at: index }))), []);
  const thief = privateKeyOf(Buffer.alloc(32, 3));
  const withNotes = (...notes: readonly string[]): StoredLog =>
    stored({ ...log, checkpoints: notes.map((note) => ({ size: 0, note })) });
  it.each<[string, StoredLog, number | null, string]>([
    [
      'of other records',
      withNotes(headOf(log.entries, 5), headOf(other.entries, 9)),
      9,
      'records 6 to 9 are not those of this checkpoint',
    ],
    [
      'of the size of another, with another root',
      withNotes(headOf(log.entries, 5), headOf(other.entries, 5)),
      5,
      'the first 5 records are not those of this checkpoint',
    ],
    [
      'beyond the end',
      stored({ ...log, entries: log.entries.slice(0, 12) }),
      15,
      'the log ends at 12, a checkpoint says 15',
    ],
    [
      'that is smaller than the checkpoint before',
      withNotes(headOf(log.entries, 5), headOf(log.entries, 4)),
      4,
      'the checkpoint is smaller than the checkpoint before it, of size 5',
    ],
    [
      'signed by another key',
      withNotes(headOf(log.entries, 5), headOf(log.entries, 6, thief)),
      null,
      'a checkpoint after that of size 5 is not signed by a known key',
    ],
    ['that is not a note', withNotes(''), null, 'a checkpoint after that of size 0 is not a signed note'],
  ])('names a checkpoint %s', (_name, wrong, at, problem) => {
    const lost = at === 15 ? { lost: { from: 13, to: 15 } } : {};
    const found = verdictOn(wrong, { key: pinned, anchors: [] });
    expect(found).toEqual({ kind: 'broken', part: 'checkpoint', at, problem, ...lost });
  });

  it.each<[string, readonly string[], number | null, string]>([
    ['of other records', [headOf(other.entries, 9)], 9, 'records 6 to 9 are not those of this anchor'],
    ['beyond the end', [headOf(logOf(30).entries, 25)], 25, 'the log ends at 20, an anchor says 25'],
    [
      'signed by another key',
      [headOf(log.entries, 5), headOf(log.entries, 5, thief)],
      null,
      'anchor 2 is not signed by a known key',
    ],
    ['that is not a note', ['hello'], null, 'anchor 1 is not a signed note'],
  ])('names an anchor %s', (_name, notes, at, problem) => {
    const given = { key: pinned, anchors: notes.map((note) => ({ note, atMs: null })) };
    const lost = at === 25 ? { lost: { from: 21, to: 25 } } : {};
    expect(verdictOn(stored(log), given)).toEqual({ kind: 'broken', part: 'anchor', at, problem, ...lost });
  });

  const pruned = stored(log, 5);
  const { carried } = pruned;
  it.each<[string, StoredLog, string]>([
    [
      'the key of another log',
      { ...pruned, origin: 'remit.x/y/z' },
      `the log is \`remit.x/y/z\`, but the key belongs to \`${origin}\``,
    ],
    [
      'a carried range with a node too few',
      { ...pruned, carried: { ...carried, nodes: carried.nodes.slice(1) } },
      'what is left of the pruned records is not a compact range',
    ],
    [
      'a carried range that is negative',
      { ...pruned, carried: { ...carried, size: -5 } },
      'what is left of the pruned records is not a compact range',
    ],
    [
      'no hash of the last pruned record',
      { ...pruned, carried: { ...carried, prev: null } },
      'the hash of the last pruned record is missing',
    ],
    [
      'a short hash of it',
      { ...pruned, carried: { ...carried, prev: Buffer.alloc(31) } },
      'the hash of the last pruned record is missing',
    ],
    [
      'another hash of it',
      { ...pruned, carried: { ...carried, prev: Buffer.alloc(32) } },
      'the last pruned record has two hashes',
    ],
    [
      'a link to pruned records if none was pruned',
      { ...stored(log), carried: { size: 0, nodes: [], prev: Buffer.alloc(32) } },
      'no record was pruned, but the part links to a record before it',
    ],
  ])('refuses %s', (_name, wrong, problem) => {
    expect(verdictOn(wrong, trust)).toEqual({ kind: 'broken', part: 'log', at: null, problem });
  });

  it('refuses carried nodes of other records than the pruned records', () => {
    const forged = { ...carried, nodes: carried.nodes.with(0, Buffer.alloc(32)) };
    expect(verdictOn({ ...pruned, carried: forged }, trust)).toMatchObject({ part: 'checkpoint', at: 5 });
    const later = stored(log, 6);
    const { nodes } = later.carried;
    const forgedLater = { ...later, carried: { ...later.carried, nodes: nodes.with(0, Buffer.alloc(32)) } };
    expect(verdictOn(forgedLater, trust)).toMatchObject({ part: 'anchor', at: 10 });
  });

  it('identifies a key by its value, not by its name alone', () => {
    const key = noteKeyOf(origin, noteKeyOf('x', thief).publicKey);
    expect(verdictOn(stored(log), { key, anchors: [] })).toMatchObject({ part: 'checkpoint' });
  });
});

describe('clockWatch, as verdictOn uses it', () => {
  it('remarks on a clock that stepped back, and not on records in another order', () => {
    const at = [50_000, 10_000, 60_000, 20_000, 30_000].map((instant, index) => ({
      at: instant,
      kind: index === 4 ? 'checkpoint' : 'use',
    }));
    const remarksOn = (records: typeof at) => verdictOn(stored(logWith(chained(records), [])), trustOf());
    expect(remarksOn(at.slice(0, 4))).toMatchObject({ kind: 'sound', ...noRemarks });
    const remarks = [{ seq: 5, remark: 'the clock stepped back by 30000 ms' }];
    expect(remarksOn(at)).toMatchObject({ kind: 'sound', remarks, remarkCount: 1 });
  });

  it('returns the first 100 remarks, and counts the others', () => {
    const back = Array.from({ length: 131 }, (_, index) => ({ at: -2_000 * index, kind: 'checkpoint' }));
    const verdict = verdictOn(stored(logWith(chained(back), [])), trustOf());
    if (verdict.kind !== 'sound') throw new Error(verdict.problem);
    expect([verdict.remarks.length, verdict.remarks.at(-1)?.seq, verdict.remarkCount]).toEqual([100, 101, 130]);
  });

  it.each<[string, ReturnType<typeof trustOf>, readonly { readonly seq: number; readonly remark: string }[]]>([
    ['no instant of an anchor', trustOf([2, null], [4, null]), []],
    ['anchors of just then', trustOf([2, 10], [4, 30]), []],
    ['anchors at the bounds', trustOf([2, 20 + minute], [4, 30 - minute]), []],
    ['an anchor received before its record, once', trustOf([4, -1 - minute]), [ahead(1, 0, -1 - minute)]],
    [
      'the earliest of later anchors',
      trustOf([1, 500], [2, 600], [3, -minute]),
      [ahead(2, 10, -minute), ahead(3, 20, -minute)],
    ],
    ['an anchor received after the next record, once', trustOf([2, 21 + minute]), [behind(3, 20, 21 + minute)]],
    ['the earliest receipt of a size', trustOf([2, 10], [2, 10 * minute]), []],
    ['an anchor of all records', trustOf([4, 10 * minute]), []],
  ])('compares claims with %s', (_name, trust, remarks) => {
    expect(verdictOn(stored(logAt(0, 10, 20, 30)), trust)).toMatchObject({ kind: 'sound', remarks });
  });
});

const seamAt = (size: number) => ({ origin, carried: stored(log, size).carried });
const withSeam = (seam: Seam): StoredLog => ({
  ...stored(log),
  entries: () => [...log.entries.slice(0, 7), seam, ...log.entries.slice(7)],
});

describe('verdictOn at seams', () => {
  it('continues if a part begins with the end of the part before it', () => {
    expect(verdictOn(withSeam(seamAt(7)), trust)).toMatchObject({ kind: 'sound', size: 20 });
  });

  it.each<[string, Seam, string]>([
    ['another log', { ...seamAt(7), origin: 'x' }, 'the part after record 7 belongs to `x`'],
    ['missing records', seamAt(9), 'records 8 to 9 are missing'],
    ['repeated records', seamAt(6), 'a part begins after record 6 a second time'],
    [
      'another tree',
      { origin, carried: { ...seamAt(7).carried, nodes: seamAt(7).carried.nodes.with(0, Buffer.alloc(32)) } },
      'the part after record 7 continues other records than those before it',
    ],
    [
      'no head',
      { origin, carried: { ...seamAt(7).carried, prev: null } },
      'the part after record 7 cannot be continued: the hash of the last pruned record is missing',
    ],
  ])('is broken if a part carries %s', (_name, seam, problem) => {
    const lost = seam.carried.size === 9 ? { lost: { from: 8, to: 9 } } : {};
    expect(verdictOn(withSeam(seam), trust)).toEqual({ kind: 'broken', part: 'log', at: 7, problem, ...lost });
  });
});

/** The verdict that some records are missing without a pruning record. */
const nobody = (lost: { readonly from: number; readonly to: number }, problem: string) => ({
  kind: 'broken',
  part: 'log',
  at: lost.to,
  problem,
  lost,
});

describe('givenUpWatch, as verdictOn uses it', () => {
  const whole = logOf(20).entries;
  const after = (...records: readonly JsonValue[]) => {
    const prev = whole[5] === undefined ? null : leafHash(whole[5].bytes);
    return [...whole.slice(0, 6), ...chained(records, { first: 7, prev })];
  };
  const record = prunedRecordOf(whole, 6);
  const use = { at: atOf(9), kind: 'use' };
  it.each<[string, MemoryLog['entries'], readonly number[], number, object]>([
    [
      'no record says that they were pruned',
      after(use, use),
      [8],
      6,
      nobody({ from: 1, to: 6 }, 'records 1 to 6 are missing, and no signed record says that they were pruned'),
    ],
    ['a signed record says so', after(record, use), [8], 6, { kind: 'sound', pruned: 6, prunedBy: 7 }],
    [
      'an unsigned record says so',
      after(use, record),
      [7],
      6,
      nobody({ from: 1, to: 6 }, 'records 1 to 6 are missing, and no signed record says that they were pruned'),
    ],
    [
      'a signed record says so, and an unsigned record prunes more',
      after(record, { ...record, to: 7 }),
      [7],
      6,
      { kind: 'sound', prunedBy: 7 },
    ],
    [
      'an unsigned record prunes fewer records',
      after({ ...prunedRecordOf(whole, 5) }, use),
      [8],
      6,
      nobody({ from: 6, to: 6 }, 'record 6 is missing, and no signed record says that it was pruned'),
    ],
    [
      'an unsigned record prunes more records, some of which are left',
      after(use, { ...record, to: 7 }),
      [8],
      6,
      { kind: 'sound', pruned: 6, prunedBy: 8 },
    ],
    [
      'an unsigned record names other records as pruned',
      after({ ...record, root: prunedRecordOf(whole, 5)['root'] ?? '' }, use),
      [8],
      6,
      { kind: 'broken', part: 'record', at: 7, problem: 'names other pruned records than those missing' },
    ],
    ['nothing is missing yet', after(record, use), [8], 0, { kind: 'sound', pruned: 0, prunedBy: null }],
  ])('if %s', (_name, entries, sizes, pruned, verdict) => {
    expect(verdictOn(stored(logWith(entries, sizes), pruned), { key: pinned, anchors: [] })).toMatchObject(verdict);
    // An anchor is as good as a checkpoint.
    const anchored = { key: pinned, anchors: anchorsOf(logWith(entries, []), sizes) };
    expect(verdictOn(stored(logWith(entries, []), pruned), anchored)).toMatchObject(verdict);
  });

  it('an anchor of only the missing records is enough', () => {
    const log = logWith(after(use, use), []);
    expect(verdictOn(stored(log, 6), { key: pinned, anchors: anchorsOf(log, [4]) })).toMatchObject({
      kind: 'broken',
      lost: { from: 1, to: 6 },
    });
  });
});
