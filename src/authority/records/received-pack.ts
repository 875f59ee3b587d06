/** A pack: a file of the index of received records, over consecutive sections of their files. */
import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { integer, listOf, members, text } from '../../core/runtime/fields.ts';
import type { Reader } from '../../core/runtime/fields.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import { IndexBuilder } from '../../core/ledger/search/index-builder.ts';
import { MAX_PART_RECORDS } from '../../core/ledger/search/index-entries.ts';
import { IndexFile, indexFileBytes } from '../../core/ledger/search/index-file.ts';
import { sectionLines } from './placed-sections.ts';
import type { SectionPlace } from './placed-sections.ts';
import { isRecordFileName } from './record-files.ts';

/** A part of a file: whole sections from an offset to another. */
export interface FileExtent {
  readonly file: string;
  readonly from: number;
  readonly to: number;
}

/** A section in a pack, and the number of records of the pack before it. */
export interface PackedSection extends SectionPlace {
  readonly before: number;
}

/** A pack that is open for reading. */
export interface ReceivedPack {
  readonly index: IndexFile;
  readonly extents: readonly FileExtent[];
  readonly sections: readonly PackedSection[];
  /** The earliest and the latest instant of its records, in milliseconds since the Unix epoch. */
  readonly times: readonly [firstMs: number, lastMs: number];
}

/** The folder of the packs beside files of received records. */
export const packFolderOf = (records: string): string => join(records, 'index');

const NAME = /^received-(\d{8})\.index$/;

/** The file of the pack with a number, from 1. */
export const packPath = (records: string, number: number): string =>
  join(packFolderOf(records), `received-${String(number).padStart(8, '0')}.index`);

/** The files of packs in their order, with their numbers. Throws the system's error. */
export function packFilesIn(records: string): readonly { readonly path: string; readonly number: number }[] {
  try {
    return readdirSync(packFolderOf(records))
      .toSorted()
      .flatMap((name) => {
        const number = NAME.exec(name)?.[1];
        return number === undefined ? [] : [{ path: join(packFolderOf(records), name), number: Number(number) }];
      });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Fills a pack from sections. */
export class PackBuilder {
  readonly #builder = new IndexBuilder();
  readonly #extents: { file: string; from: number; to: number }[] = [];
  readonly #origins = new Map<string, number>();
  readonly #sections: (readonly number[])[] = [];

  /** Number of records. */
  get records(): number {
    return this.#builder.records;
  }

  /**
   * Adds a section, unless it does not fit any more. Throws the system's error.
   *
   * @param from offset of its head
   * @returns `full` if it does not fit; `odd` if it does not have the records that its head says, so that no pack can have it
   */
  add(section: SectionPlace, from: number): 'added' | 'full' | 'odd' {
    const { origin, leaves, term, at, bytes } = section;
    if (leaves > MAX_PART_RECORDS) return 'odd';
    if (this.records + leaves > MAX_PART_RECORDS) return 'full';
    const lines = sectionLines(section);
    if (lines.length !== leaves) return 'odd';
    const name = basename(section.file);
    const last = this.#extents.at(-1);
    if (last?.file === name && last.to === from) last.to = at + bytes;
    else this.#extents.push({ file: name, from, to: at + bytes });
    const known = this.#origins.get(origin) ?? this.#origins.size;
    this.#origins.set(origin, known);
    this.#sections.push([this.#extents.length - 1, known, section.from, leaves, term, at, bytes]);
    for (const line of lines) this.#builder.add(line);
    return 'added';
  }

  /** The file of the pack. Nothing is added afterwards. */
  finished(): Buffer {
    const head = {
      extents: this.#extents.map(({ file, from, to }) => [file, from, to]),
      origins: [...this.#origins.keys()],
      sections: this.#sections,
      times: this.#builder.times ?? [0, 0],
    };
    return indexFileBytes(head, this.#builder.finished());
  }
}

const MAX_NUMBER = Number.MAX_SAFE_INTEGER;
const whole = integer(0, MAX_NUMBER);

const fileName = text({ max: 128, grammar: { matches: isRecordFileName, words: 'the name of a file of records' } });

const extentFrom: Reader<FileExtent> = (value) => {
  if (!Array.isArray(value)) return { problem: 'must be a list' };
  const [file, from, to] = [fileName(value[0]), whole(value[1]), whole(value[2])];
  for (const each of [file, from, to]) if (isProblem(each)) return each;
  return from < to
    ? { file: file as string, from: from as number, to: to as number }
    : { problem: 'must not be empty' };
};

const numbers: Reader<readonly number[]> = (value) =>
  Array.isArray(value) && value.length === 7 && value.every((each) => Number.isSafeInteger(each) && each >= 0)
    ? value
    : { problem: 'must be 7 whole numbers' };

const times: Reader<readonly [number, number]> = (value) =>
  Array.isArray(value) && value.length === 2 && typeof value[0] === 'number' && typeof value[1] === 'number'
    ? [value[0], value[1]]
    : { problem: 'must be two numbers' };

const headFrom = members({
  extents: listOf(extentFrom, { min: 1, max: MAX_PART_RECORDS }),
  origins: listOf(text({ max: 1_024 }), { min: 1, max: MAX_PART_RECORDS }),
  sections: listOf(numbers, { min: 1, max: MAX_PART_RECORDS }),
  times,
});

/**
 * Opens a pack; a problem if it is malformed. `extentProblem` checks whether its files still have its records. Throws the
 * system's error.
 */
export function openPack(path: string, records: string): ReceivedPack | Problem {
  const index = IndexFile.open(path);
  if (isProblem(index)) return index;
  const head = headFrom(index.head);
  const sections = isProblem(head) ? head : sectionsOf(head, records);
  if (isProblem(head) || isProblem(sections)) {
    index.close();
    return { problem: `\`${path}\` has a head that ${isProblem(head) ? head.problem : 'is damaged'}` };
  }
  return { index, extents: head.extents, sections, times: head.times };
}

type PackHead = Exclude<ReturnType<typeof headFrom>, Problem>;

function sectionsOf({ extents, origins, sections }: PackHead, records: string): readonly PackedSection[] | Problem {
  const paths = extents.map(({ file }) => join(records, file));
  const placed: PackedSection[] = [];
  let before = 0;
  for (const [extent = 0, known = 0, from = 0, leaves = 0, term = 0, at = 0, bytes = 0] of sections) {
    const [file, origin, within] = [paths[extent], origins[known], extents[extent]];
    if (
      file === undefined ||
      origin === undefined ||
      within === undefined ||
      at < within.from ||
      at + bytes > within.to
    )
      return { problem: 'names a section that is not in its files' };
    placed.push({ file, origin, from, leaves, term, at, bytes, before });
    before += leaves;
  }
  return before <= MAX_PART_RECORDS ? placed : { problem: 'has too many records' };
}

/** Why an extent cannot be read from a folder; `null` if it can. @param covered how much of each file earlier packs have */
export function extentProblem(
  { file, from, to }: FileExtent,
  records: string,
  covered: ReadonlyMap<string, number>,
): string | null {
  const before = covered.get(file) ?? 0;
  if (from !== before) return `goes on with \`${file}\` at byte ${from}, expected ${before}`;
  const size = statSync(join(records, file), { throwIfNoEntry: false })?.size;
  if (size === undefined) return `is of \`${file}\`, which is gone`;
  return size < to ? `is of ${to} bytes of \`${file}\`, which has ${size}` : null;
}
