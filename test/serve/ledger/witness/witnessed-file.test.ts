// Issue 43, point 8: the file of cosigned checkpoints grew without a bound.
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { anchorsIn } from '../../../../src/core/ledger/proof/anchor-file.ts';
import { checkpointInNote, signedCheckpoint } from '../../../../src/core/ledger/proof/checkpoint.ts';
import { witnessedFrom } from '../../../../src/core/ledger/proof/witnessed.ts';
import { neededNotes } from '../../../../src/serve/ledger/witness/needed-notes.ts';
import { WitnessedFile } from '../../../../src/serve/ledger/witness/witnessed-file.ts';
import { must } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { privateKeyOf } from '../../../core/ledger/keys.ts';
import { cosignedNote, witnessNumber } from '../../../core/ledger/proof/witnesses.ts';

const folder = testFolders();

const origin = 'remit.acme.test/main/00000000000000000000000000000001';
const other = 'remit.acme.test/main/00000000000000000000000000000002';
const [one, two] = [witnessNumber(1), witnessNumber(2)];
const witnesses = [one.key, two.key];

/** A cosigned checkpoint of so many records. */
const noteOf = (size: number, witness = one, log = origin): string => {
  const root = Buffer.alloc(32, size % 256);
  return cosignedNote(signedCheckpoint({ origin: log, size, root }, privateKeyOf(Buffer.alloc(32, 9))), witness, size);
};
const sizesIn = (file: string): readonly number[] =>
  anchorsIn(readFileSync(file, 'utf8')).anchors.map(({ note }) => must(checkpointInNote(note)).size);
const witnessedIn = (file: string, quorum = 1) =>
  must(witnessedFrom(anchorsIn(readFileSync(file, 'utf8')).anchors, { witnesses, quorum }));

describe('WitnessedFile', () => {
  it('stays within its bound however many checkpoints are kept, and keeps how far each witness is', () => {
    const file = join(folder(), 'witnessed.txt');
    const kept = new WitnessedFile(file, () => 0, { firstBytes: 2_000, maxBytes: 8_000 });
    let [size, largest] = [0, 0];
    for (const upTo of [1, 7, 60, 200, 500]) {
      while (size < upTo) {
        size += 1;
        expect(kept.keep(noteOf(size, size % 2 === 0 ? two : one))).toBeNull();
        largest = Math.max(largest, statSync(file).size);
      }
      expect([witnessedIn(file, 1).size, witnessedIn(file, 2).size]).toEqual([upTo, upTo - 1]);
    }
    expect(largest).toBeLessThan(2 * 8_000 + 1_000);
    const sizes = sizesIn(file);
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
    expect(sizes.slice(-2)).toEqual([499, 500]);
    expect(sizes.length).toBeGreaterThan(10);
  });

  it('drops checkpoints of pruned records once it has grown', () => {
    const file = join(folder(), 'witnessed.txt');
    let pruned = 0;
    const kept = new WitnessedFile(file, () => pruned, { firstBytes: 10_000 });
    for (let size = 1; size <= 10; size += 1) kept.keep(noteOf(size));
    pruned = 90;
    for (let size = 90; size <= 140; size += 1) kept.keep(noteOf(size));
    expect(sizesIn(file)[0]).toBe(90);
    expect(sizesIn(file).at(-1)).toBe(140);
  });

  it('is whole after a write that was interrupted at any byte', () => {
    const place = folder();
    const last = noteOf(2, two);
    for (let bytes = 0; bytes <= Buffer.byteLength(last); bytes += 1) {
      const file = join(place, `witnessed-${bytes}.txt`);
      writeFileSync(file, Buffer.concat([Buffer.from(`${noteOf(1)}\n`), Buffer.from(last).subarray(0, bytes)]));
      expect(new WitnessedFile(file, () => 0).keep(noteOf(3))).toBeNull();
      expect([bytes, witnessedIn(file).size, sizesIn(file)[0]]).toEqual([bytes, 3, 1]);
    }
  });

  it('is whole after a write of its own that was cut short', () => {
    const file = join(folder(), 'witnessed.txt');
    const kept = new WitnessedFile(file, () => 0);
    kept.keep(noteOf(1));
    appendFileSync(file, noteOf(2).slice(0, -5));
    expect(kept.keep(noteOf(3))).toBeNull();
    expect([witnessedIn(file).size, sizesIn(file)]).toEqual([3, [1, 3]]);
  });

  it('keeps its mode and its place, also if a process was killed while it wrote the file anew', () => {
    const [place, elsewhere] = [folder(), folder()];
    const file = join(place, 'witnessed.txt');
    const real = join(elsewhere, 'real.txt');
    writeFileSync(real, `${noteOf(1)}\n`);
    chmodSync(real, 0o640);
    const left = `${real}.0a1b2c3d.new`;
    writeFileSync(left, 'half');
    utimesSync(left, 0, 0);
    symlinkSync(real, file);
    expect(new WitnessedFile(file, () => 2, { firstBytes: 1 }).keep(noteOf(3))).toBeNull();
    expect([lstatSync(file).isSymbolicLink(), existsSync(left)]).toEqual([true, false]);
    expect([sizesIn(real), statSync(real).mode & 0o777]).toEqual([[3], 0o640]);
  });

  it.each([
    ['its folder takes no other file', () => 0, 'it cannot be written anew: '],
    ['the ledger cannot be read', () => ({ problem: 'the disk is broken' }), 'what it needs is not known: the disk'],
  ])('keeps a cosignature although %s, and says why it grows', (_name, pruned, why) => {
    // The name of a file beside it would be too long.
    const file = join(folder(), 'w'.repeat(250));
    const kept = new WitnessedFile(file, pruned, { firstBytes: 1 });
    expect(kept.keep(noteOf(1))).toContain(why);
    expect(sizesIn(file)).toEqual([1]);
  });

  it('loses nothing of another process that writes the same file meanwhile, and says that each needs its own', () => {
    const file = join(folder(), 'witnessed.txt');
    const fresh = [`${file}.new`, `${file}.0a1b2c3d.new`];
    const other = new WitnessedFile(file, () => 0);
    const pruned = (): number => {
      for (const path of fresh) writeFileSync(path, 'half');
      other.keep(noteOf(2, two));
      return 3;
    };
    const kept = new WitnessedFile(file, pruned, { firstBytes: 1 });
    expect(kept.keep(noteOf(1))).toBe('another process writes it: each needs a file of its own');
    expect([sizesIn(file), fresh.map((path) => readFileSync(path, 'utf8'))]).toEqual([
      [1, 2],
      ['half', 'half'],
    ]);
  });
});

const needed = (notes: readonly string[], pruned: number, maxBytes = Infinity) =>
  neededNotes(notes, { origin, pruned, maxBytes });

const bytesOf = (notes: readonly string[]): number => notes.reduce((sum, note) => sum + Buffer.byteLength(note) + 1, 0);

describe('neededNotes', () => {
  it('are those of records that are there, the last of each witness, and those of other logs', () => {
    const [first, second, foreign, ...rest] = [
      noteOf(3, two),
      noteOf(4, two),
      noteOf(1, one, other),
      noteOf(5),
      noteOf(9),
      noteOf(12),
    ];
    expect(needed([first, second, foreign, ...rest], 9)).toEqual([second, foreign, ...rest.slice(1)]);
    // A checkpoint of just the pruned records is compared with their tree.
    expect(needed([noteOf(8), noteOf(9), noteOf(10)], 9)).toEqual([noteOf(9), noteOf(10)]);
  });

  it('are every second note of each witness, counted from the last, if they are too many', () => {
    const notes = [1, 2, 3, 4, 5].flatMap((size) => [noteOf(size), noteOf(size, two)]);
    const kept = [1, 3, 5].flatMap((size) => [noteOf(size), noteOf(size, two)]);
    expect(needed(notes, 0, bytesOf(kept))).toEqual(kept);
    expect(needed(notes, 0, bytesOf(kept) - 1)).toEqual([kept[0], kept[1], kept[4], kept[5]]);
    expect(needed(notes, 0, 1)).toEqual(kept.slice(-2));
  });

  it('are not fewer if notes of other logs take the room', () => {
    const notes = [noteOf(1, one, other), noteOf(2, one, other), noteOf(1), noteOf(2)];
    expect(needed(notes, 0, bytesOf(notes.slice(2)))).toEqual(notes);
  });

  it('are no remains of an interrupted write', () => {
    expect(needed(['', 'half', noteOf(1).slice(0, 80) + noteOf(2), noteOf(3)], 0)).toEqual([noteOf(3)]);
  });
});
