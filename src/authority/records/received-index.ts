import { existsSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isProblem } from '../../core/runtime/problem.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import { MAX_PART_RECORDS } from '../../core/ledger/search/index-entries.ts';
import { writeIndexFile } from '../../core/ledger/search/index-write.ts';
import { sectionsIn } from './placed-sections.ts';
import type { DamagedFile, PlacedSection } from './placed-sections.ts';
import { extentProblem, openPack, PackBuilder, packFilesIn, packPath } from './received-pack.ts';
import type { ReceivedPack } from './received-pack.ts';
import { recordFilesIn } from './record-files.ts';

/** The file of a pack that cannot be used, and why. */
export interface UnusedPack {
  readonly path: string;
  readonly problem: string;
  /** Whether the pack itself is intact, and the files of its records are gone or have changed. */
  readonly isOutdated: boolean;
}

/**
 * Opens the packs in order; the caller closes each. A pack is not used if its files are gone, or if it does not continue where
 * the packs before it ended. A pack that is deleted meanwhile is left out. Throws the system's error.
 *
 * @param covered filled with the number of bytes of each file that the packs so far have, by file name
 */
export function* packsIn(records: string, covered: Map<string, number>): Generator<ReceivedPack | UnusedPack> {
  for (const { path } of packFilesIn(records)) {
    const pack = openPack(path, records);
    if (isProblem(pack)) {
      if (existsSync(path)) yield { path, problem: pack.problem, isOutdated: false };
      continue;
    }
    const problem = pack.extents.map((extent) => extentProblem(extent, records, covered)).find((each) => each !== null);
    if (problem === undefined || problem === null) {
      for (const { file, to } of pack.extents) covered.set(file, to);
      yield pack;
    } else {
      pack.index.close();
      yield { path, problem: `\`${path}\` ${problem}`, isOutdated: true };
    }
  }
}

/** A section, and the offset of its head. */
interface Uncovered {
  readonly section: PlacedSection;
  readonly from: number;
}

/**
 * The sections after those that packs have, file by file. A damaged file ends where its damage begins; a file that the retention deletes meanwhile has
 * none. Throws the system's error.
 *
 * @param onDamage called with each damaged file, before its sections
 */
export function* uncoveredSections(
  records: string,
  covered: ReadonlyMap<string, number>,
  onDamage: (damaged: DamagedFile) => void = () => undefined,
): Generator<Uncovered> {
  for (const file of existsSync(records) ? recordFilesIn(records) : []) {
    let from = covered.get(basename(file)) ?? 0;
    const { found, problem } = sectionsOf(file, from);
    if (problem !== null) onDamage(problem);
    for (const section of found) {
      yield { section, from };
      from = section.at + section.bytes;
    }
  }
}

const sectionsOf = (file: string, from: number): ReturnType<typeof sectionsIn> =>
  unlessGone(() => sectionsIn(file, { from })) ?? { found: [], problem: null };

/** What is read; `null` if a file of it is gone. Throws the system's other errors. */
function unlessGone<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** What indexing received records did. */
export interface IndexedReceived {
  readonly packs: number;
  readonly made: number;
  readonly discarded: number;
  /** Records in packs, and records that are left. */
  readonly indexed: number;
  readonly left: number;
}

/** Options of `indexReceived`. */
export interface ReceivedIndexing {
  /** Suffix of temporary files; unique within the folder. */
  readonly suffix: string;
  /** Number of records at which a pack is written. Default and maximum 65,536. */
  readonly packRecords?: number;
  readonly onRecords?: (count: number) => void;
  /** Called after each pack that is made, with what is indexed and left by then. No more are made once it returns `false`. */
  readonly onPack?: (done: Pick<IndexedReceived, 'indexed' | 'left'>) => boolean;
}

/**
 * Writes the packs that are missing, and deletes packs that cannot be used. Another process may write records meanwhile. Only
 * full packs are written: a search reads the remaining records. Reads the head of each pack once, and one at a time. Throws the
 * system's error.
 */
export function indexReceived(
  records: string,
  { suffix, packRecords = MAX_PART_RECORDS, onRecords, onPack }: ReceivedIndexing,
): IndexedReceived {
  const covered = new Map<string, number>();
  const done = tidied(records, covered);
  for (const { section } of uncoveredSections(records, covered)) done.left += section.leaves;
  let number = packFilesIn(records).at(-1)?.number ?? 0;
  let builder = new PackBuilder();
  /** Writes the pack. Returns whether to go on. */
  const finish = (): boolean => {
    number += 1;
    writeIndexFile(packPath(records, number), builder.finished(), suffix);
    done.packs += 1;
    done.made += 1;
    done.indexed += builder.records;
    // Records may have arrived since they were counted.
    done.left = Math.max(0, done.left - builder.records);
    builder = new PackBuilder();
    return onPack?.(done) ?? true;
  };
  const odd = new Set<string>();
  for (const { section, from } of uncoveredSections(records, covered)) {
    // After a section that no pack can have, the rest of its file is read.
    if (odd.has(section.file)) continue;
    let fate = fateIn(builder, section, from);
    if (fate === 'full') {
      if (!finish()) break;
      fate = fateIn(builder, section, from);
    }
    if (fate === 'odd') odd.add(section.file);
    onRecords?.(section.leaves);
    if (builder.records >= packRecords && !finish()) break;
  }
  return done;
}

/** Adds a section to a pack; `odd` if its file is gone. */
const fateIn = (builder: PackBuilder, section: PlacedSection, from: number): ReturnType<PackBuilder['add']> =>
  unlessGone(() => builder.add(section, from)) ?? 'odd';

/** Deletes the packs that cannot be used, and counts the others. @param covered as with `packsIn` */
function tidied(
  records: string,
  covered: Map<string, number>,
): { packs: number; made: number; discarded: number; indexed: number; left: number } {
  const done = { packs: 0, made: 0, discarded: 0, indexed: 0, left: 0 };
  for (const pack of packsIn(records, covered)) {
    if (isProblem(pack)) {
      rmSync(pack.path, { force: true });
      done.discarded += 1;
      continue;
    }
    pack.index.close();
    done.packs += 1;
    done.indexed += pack.sections.reduce((sum, { leaves }) => sum + leaves, 0);
  }
  return done;
}

/**
 * How the packs of received records differ from these records; `null` if they do not. Makes each pack again, and compares bytes. A pack that is deleted
 * meanwhile, or is of files that the retention deleted, is not used and not compared. Throws the system's error.
 */
export function receivedIndexProblem(records: string): string | null {
  for (const pack of packsIn(records, new Map())) {
    if (isProblem(pack)) {
      if (!pack.isOutdated) return `its index ${pack.problem}`;
      continue;
    }
    try {
      if (unlessGone(() => isOfRecords(pack, records)) === false && pack.index.isInPlace())
        return `its index \`${pack.index.path}\` does not match its records`;
    } finally {
      pack.index.close();
    }
  }
  return null;
}

function isOfRecords({ index, extents }: ReceivedPack, records: string): boolean {
  const builder = new PackBuilder();
  const isWhole = extents.every(({ file, from, to }) => addExtent(builder, { file: join(records, file), from, to }));
  return isWhole && builder.finished().equals(index.bytes());
}

function addExtent(
  builder: PackBuilder,
  { file, from, to }: { readonly file: string; readonly from: number; readonly to: number },
): boolean {
  let at = from;
  for (const section of sectionsIn(file, { from, to }).found) {
    if (builder.add(section, at) !== 'added') return false;
    at = section.at + section.bytes;
  }
  return at === to;
}
