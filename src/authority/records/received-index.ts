import { existsSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isProblem } from '../../core/runtime/problem.ts';
import { MAX_PART_RECORDS } from '../../core/ledger/search/index-entries.ts';
import { writeIndexFile } from '../../core/ledger/search/index-write.ts';
import { sectionsIn } from './placed-sections.ts';
import type { DamagedFile, PlacedSection } from './placed-sections.ts';
import { extentProblem, openPack, PackBuilder, packFilesIn, packPath } from './received-pack.ts';
import type { ReceivedPack } from './received-pack.ts';
import { recordFilesIn } from './record-files.ts';

/** The packs of a folder of received records that can be used. */
export interface OpenPacks {
  readonly packs: readonly ReceivedPack[];
  /** The files of packs that cannot be used, and why. */
  readonly unused: readonly { readonly path: string; readonly problem: string; readonly isOutdated: boolean }[];
  /** How many bytes of each file packs have, by its name. */
  readonly covered: ReadonlyMap<string, number>;
}

/** Opens the packs in order. A pack of files that are gone, or that does not go on where another ended, is not used. Throws the system's error. */
export function openPacks(records: string): OpenPacks {
  const covered = new Map<string, number>();
  const packs: ReceivedPack[] = [];
  const unused: { readonly path: string; readonly problem: string; readonly isOutdated: boolean }[] = [];
  for (const { path } of packFilesIn(records)) {
    const pack = openPack(path, records);
    if (isProblem(pack)) {
      unused.push({ path, problem: pack.problem, isOutdated: false });
      continue;
    }
    const problem = pack.extents.map((extent) => extentProblem(extent, records, covered)).find((each) => each !== null);
    if (problem !== undefined && problem !== null) {
      pack.index.close();
      unused.push({ path, problem: `\`${path}\` ${problem}`, isOutdated: true });
      continue;
    }
    for (const { file, to } of pack.extents) covered.set(file, to);
    packs.push(pack);
  }
  return { packs, unused, covered };
}

/** A section, and the offset of its head. */
interface Uncovered {
  readonly section: PlacedSection;
  readonly from: number;
}

/**
 * The sections after those that packs have, file by file. A damaged file ends where its damage begins. Throws the system's error.
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
    const { found, problem } = sectionsIn(file, { from });
    if (problem !== null) onDamage(problem);
    for (const section of found) {
      yield { section, from };
      from = section.at + section.bytes;
    }
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
  /** Of temporary files; unique within the folder. */
  readonly suffix: string;
  /** Records from which on a pack is made. Default and most 65,536. */
  readonly packRecords?: number;
  readonly onRecords?: (count: number) => void;
  /** Packs to make at most. Default all. */
  readonly maxPacks?: number;
}

/**
 * Makes the packs of received records that are missing, beside the process that writes them, and deletes those that cannot be used. Only full packs are
 * made: the rest is found by reading it. Throws the system's error.
 */
export function indexReceived(
  records: string,
  { suffix, packRecords = MAX_PART_RECORDS, onRecords, maxPacks = Number.POSITIVE_INFINITY }: ReceivedIndexing,
): IndexedReceived {
  const { packs, unused, covered } = openPacks(records);
  for (const { index } of packs) index.close();
  for (const { path } of unused) rmSync(path, { force: true });
  let number = packFilesIn(records).at(-1)?.number ?? 0;
  let indexed = packs.reduce((sum, { sections }) => sum + countOf(sections), 0);
  const [known, before] = [packs.length, indexed];
  let left = 0;
  let made = 0;
  let builder = new PackBuilder();
  const odd = new Set<string>();
  const finish = (): void => {
    number += 1;
    made += 1;
    indexed += builder.records;
    writeIndexFile(packPath(records, number), builder.finished(), suffix);
    builder = new PackBuilder();
  };
  for (const { section, from } of uncoveredSections(records, covered)) {
    left += section.leaves;
    // After a section that no pack can have, the rest of its file is read.
    if (made >= maxPacks || odd.has(section.file)) continue;
    let fate = builder.add(section, from);
    if (fate === 'full') {
      finish();
      fate = made >= maxPacks ? 'full' : builder.add(section, from);
    }
    if (fate === 'odd') odd.add(section.file);
    onRecords?.(section.leaves);
    if (builder.records >= packRecords) finish();
  }
  return { packs: known + made, made, discarded: unused.length, indexed, left: left - (indexed - before) };
}

const countOf = (sections: ReceivedPack['sections']): number => sections.reduce((sum, { leaves }) => sum + leaves, 0);

/**
 * How the packs of received records differ from these records; `null` if they do not. Makes each pack again, and compares bytes. A pack of files that
 * the retention deleted is not used and not compared. Throws the system's error.
 */
export function receivedIndexProblem(records: string): string | null {
  const { packs, unused } = openPacks(records);
  for (const { index } of packs) index.close();
  const wrong = unused.find(({ isOutdated }) => !isOutdated);
  if (wrong !== undefined) return `its index ${wrong.problem}`;
  for (const { index, extents } of packs) {
    const builder = new PackBuilder();
    const isWhole = extents.every(({ file, from, to }) => addExtent(builder, { file: join(records, file), from, to }));
    if (!isWhole || !builder.finished().equals(readFileSync(index.path)))
      return `its index \`${index.path}\` does not match its records`;
  }
  return null;
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
