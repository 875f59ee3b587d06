/** The parts of the search index of a segment: files beside it, each over consecutive records. */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { integer, members, text } from '../../../runtime/fields.ts';
import { isProblem } from '../../../runtime/problem.ts';
import type { Problem } from '../../../runtime/problem.ts';
import { errorCode } from '../../../runtime/system/error-code.ts';
import { base64Of } from '../../proof/base64.ts';
import { leafHash } from '../../proof/merkle.ts';
import { IndexBuilder } from '../../search/index-builder.ts';
import { MAX_PART_RECORDS } from '../../search/index-entries.ts';
import { IndexFile, indexFileBytes } from '../../search/index-file.ts';
import { writeIndexFile } from '../../search/index-write.ts';
import { PAGE_LEAVES } from './segment.ts';
import type { PlacedLeaf, Segment } from './segment.ts';

/** What a part says of its records. */
interface PartHead {
  readonly origin: string;
  /** Its first and its last record. */
  readonly from: number;
  readonly upto: number;
  /** Leaf hash of the last record, in base64: it binds the part to these records, since each leaf has the hash of the leaf before. */
  readonly last: string;
}

const headFrom = members({
  origin: text({ max: 1_024 }),
  from: integer(1, Number.MAX_SAFE_INTEGER),
  upto: integer(1, Number.MAX_SAFE_INTEGER),
  last: text({ max: 64 }),
});

/** A part of the index of a segment, open for reading. */
export interface SegmentPart extends PartHead {
  readonly file: IndexFile;
}

const FOLDER = 'index';

/** The folder of the parts beside segments. */
export const indexFolderOf = (ledger: string): string => join(ledger, FOLDER);

const DIGITS = 16;
const digitsOf = (number: number): string => String(number).padStart(DIGITS, '0');
const stemOf = (segment: Segment): string => basename(segment.path, '.db');

const pathOf = (segment: Segment, from: number): string =>
  join(indexFolderOf(dirname(segment.path)), `${stemOf(segment)}-${digitsOf(from)}.index`);

/** The files of parts of a segment in order, as their names say. Throws the system's error. */
export function partFilesOf(segment: Segment): readonly string[] {
  const folder = indexFolderOf(dirname(segment.path));
  const stem = `${stemOf(segment)}-`;
  return namesIn(folder)
    .filter((name) => name.startsWith(stem) && name.endsWith('.index'))
    .map((name) => join(folder, name));
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** The usable parts of a segment: contiguous from its first record on, and made of its records. */
export interface OpenParts {
  readonly parts: readonly SegmentPart[];
  /** Why the next file cannot be used; `null` if all files are used. */
  readonly problem: string | null;
}

/**
 * Opens the parts of a segment, up to the first file that is not the next part of its records. Later records are read instead.
 */
export function openIndexParts(segment: Segment): OpenParts {
  const parts: SegmentPart[] = [];
  for (const path of partFilesOf(segment)) {
    const part = openPart(path, segment, (parts.at(-1)?.upto ?? segment.carried.range.size) + 1);
    if (isProblem(part)) return { parts, problem: part.problem };
    parts.push(part);
  }
  return { parts, problem: null };
}

function openPart(path: string, segment: Segment, from: number): SegmentPart | Problem {
  const file = IndexFile.open(path);
  if (isProblem(file)) return file;
  const head = headFrom(file.head);
  const problem = isProblem(head) ? `has a head that ${head.problem}` : headProblem(head, segment, from);
  if (!isProblem(head) && problem === null) return { ...head, file };
  file.close();
  return { problem: `\`${path}\` ${problem ?? ''}` };
}

function headProblem({ origin, from, upto, last }: PartHead, segment: Segment, expected: number): string | null {
  if (origin !== segment.origin) return `is of the ledger \`${origin}\``;
  if (from !== expected || upto < from || upto - from >= MAX_PART_RECORDS)
    return `is of records ${from} to ${upto}, expected from ${expected} on`;
  const leaf = segment.leaf(upto);
  return leaf !== undefined && base64Of(leafHash(leaf.bytes)) === last ? null : 'is of other records';
}

/** The bytes of the part of the records `from` to `upto`, or to the last record if that is earlier; `null` if there are none. */
export function partBytes(
  segment: Segment,
  {
    from,
    upto,
    onRecord,
  }: { readonly from: number; readonly upto: number; readonly onRecord?: (() => void) | undefined },
): Buffer | null {
  const builder = new IndexBuilder();
  let last: Uint8Array | null = null;
  for (const { bytes } of pagedLeaves(segment, from, upto)) {
    builder.add(bytes);
    last = bytes;
    onRecord?.();
  }
  if (last === null) return null;
  const head: PartHead = {
    origin: segment.origin,
    from,
    upto: from + builder.records - 1,
    last: base64Of(leafHash(last)),
  };
  return indexFileBytes({ ...head }, builder.finished());
}

/**
 * The leaves of a range, a page at a time: no statement stays open, so that a slow caller does not keep the WAL from being
 * merged.
 */
function* pagedLeaves(segment: Segment, from: number, upto: number): Generator<PlacedLeaf> {
  for (let next = from; next <= upto;) {
    const page = segment.page({ condition: ALL, from: next, upto, isNewestFirst: false });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_LEAVES) return;
    next = last.seq + 1;
  }
}

const ALL = { where: 'TRUE', values: [] };

/** Writes a part. A reader sees all of it or nothing; a file of this name is replaced. Throws the system's error. */
export const writePart = (segment: Segment, from: number, { bytes, suffix }: WrittenPart): void =>
  writeIndexFile(pathOf(segment, from), bytes, suffix);

interface WrittenPart {
  readonly bytes: Uint8Array;
  /** Unique within the folder. */
  readonly suffix: string;
}

/**
 * How a part of the index of a segment differs from its records; `null` if none does. Rebuilds each part and compares bytes. A
 * part that is deleted meanwhile is not compared: searches read its records instead.
 */
export function partsProblem(segment: Segment): string | null {
  for (const path of partFilesOf(segment)) {
    const file = IndexFile.open(path);
    if (isProblem(file)) {
      if (existsSync(path)) return `its index ${file.problem}`;
      continue;
    }
    try {
      const problem = partProblem(segment, file);
      if (problem !== null && file.isInPlace()) return `its index ${problem}`;
    } finally {
      file.close();
    }
  }
  return null;
}

function partProblem(segment: Segment, file: IndexFile): string | null {
  const head = headFrom(file.head);
  if (isProblem(head)) return `\`${file.path}\` has a head that ${head.problem}`;
  const { from, upto } = head;
  const isSmall = upto - from < MAX_PART_RECORDS;
  const own = isSmall && file.path === pathOf(segment, from) ? partBytes(segment, { from, upto }) : null;
  return own?.equals(file.bytes()) === true ? null : `\`${file.path}\` does not match records ${from} to ${upto}`;
}

/**
 * Deletes the parts of deleted segments, and temporary files older than an hour. Returns the number of deleted files. Throws the
 * system's error.
 *
 * @param nowMs milliseconds since the Unix epoch
 */
export function discardParts(ledger: string, segments: readonly Segment[], nowMs: number): number {
  const folder = indexFolderOf(ledger);
  const stems = segments.map((segment) => `${stemOf(segment)}-`);
  const isGone = (name: string): boolean =>
    name.endsWith('.tmp')
      ? (statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? nowMs) < nowMs - ABANDONED_MS
      : !stems.some((stem) => name.startsWith(stem));
  const gone = namesIn(folder).filter((name) => NAME.test(name) && isGone(name));
  for (const name of gone) rmSync(join(folder, name), { force: true });
  return gone.length;
}

const ABANDONED_MS = 3_600_000;
const NAME = /^segment-\d{16}-\d{16}\.index(?:\.[0-9a-f]{1,16}\.tmp)?$/;
