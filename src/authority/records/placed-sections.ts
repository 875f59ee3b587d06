/** The sections in files of received records, and which of their records count. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { isProblem } from '../../core/runtime/problem.ts';
import { linesIn, MAX_HEAD_BYTES, sectionHeadFrom } from './pack.ts';
import type { SectionHead } from './pack.ts';

/** Where the records of a section are, and which records these are. */
export interface SectionPlace extends Pick<SectionHead, 'origin' | 'term' | 'from' | 'leaves' | 'bytes'> {
  readonly file: string;
  /** Offset of its first record. */
  readonly at: number;
}

/** A section with its head. */
export interface PlacedSection extends SectionHead, SectionPlace {
  readonly origin: string;
  readonly term: number;
  readonly from: number;
  readonly leaves: number;
  readonly bytes: number;
}

/** A file that is not what its writer wrote, from an offset on. */
export interface DamagedFile {
  readonly file: string;
  readonly at: number;
  readonly problem: string;
}

/** A damaged file in words. */
export const damageText = ({ file, at, problem }: DamagedFile): string =>
  `\`${file}\` is damaged at byte ${at}: it ${problem}`;

/**
 * The complete sections of a file. An incomplete section at its end is skipped. Throws the system's error.
 *
 * @param options.from offset at which a section begins. Default 0
 * @param options.to only sections that begin before this offset are read. Default the end of the file
 */
export function sectionsIn(
  file: string,
  { from = 0, to = Number.POSITIVE_INFINITY } = {},
): { readonly found: readonly PlacedSection[]; readonly problem: DamagedFile | null } {
  const found: PlacedSection[] = [];
  const fd = openSync(file, 'r');
  try {
    const { size } = fstatSync(fd);
    for (let at = from; at < Math.min(size, to);) {
      const line = lineAt(fd, at);
      if (line === null)
        return { found, problem: size - at > MAX_HEAD_BYTES ? damage(file, at, 'has no line end') : null };
      const head = sectionHeadFrom(line.toString('utf8'));
      if (isProblem(head)) return { found, problem: damage(file, at, head.problem) };
      const start = at + line.length + 1;
      at = start + head.bytes;
      if (at <= size) found.push({ ...head, file, at: start });
    }
    return { found, problem: null };
  } finally {
    closeSync(fd);
  }
}

const damage = (file: string, at: number, problem: string): DamagedFile => ({ file, at, problem });

const CHUNK_BYTES = 4_096;

/** The line at an offset, without its end; `null` if it does not end within `MAX_HEAD_BYTES` or before the end of the file. */
function lineAt(fd: number, at: number): Buffer | null {
  let line = Buffer.alloc(0);
  while (line.length <= MAX_HEAD_BYTES) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const length = readSync(fd, chunk, { position: at + line.length });
    const end = chunk.subarray(0, length).indexOf('\n');
    if (end !== -1) return Buffer.concat([line, chunk.subarray(0, end)]);
    if (length === 0) return null;
    line = Buffer.concat([line, chunk.subarray(0, length)]);
  }
  return null;
}

/** The records of a section as they are hashed. Throws the system's error. */
export const sectionLines = (section: SectionPlace): readonly Uint8Array[] => linesIn(sectionText(section));

/** The records of a section, each with the end of its line. Throws the system's error. */
export function sectionText({ file, at, bytes }: SectionPlace): Buffer {
  const text = Buffer.alloc(bytes);
  const fd = openSync(file, 'r');
  try {
    return text.subarray(0, readSync(fd, text, { position: at }));
  } finally {
    closeSync(fd);
  }
}

/** A section of one log, and which of its records count: none if `end` is below `first`. */
export type CountedSection<Section extends SectionPlace> = Section & {
  /** The first and the last record that count. */
  readonly first: number;
  readonly end: number;
};

/**
 * The sections of one log in the order of their records, so that each record counts in one section. Records that a process had
 * received but not acknowledged when another process took the log over may be kept by both, and may differ: a section ends where
 * a section of a higher term begins. Records that were kept but not acknowledged are sent and kept again: the first copy counts.
 */
export function countedSections<Section extends SectionPlace>(
  placed: readonly Section[],
): readonly CountedSection<Section>[] {
  // Stable: sections from the same number on stay in the order of their files.
  const sections = withEnds(placed).toSorted((a, b) => a.from - b.from);
  let size = 0;
  return sections.map((section) => {
    const first = Math.max(size, section.from) + 1;
    size = Math.max(size, section.end);
    return Object.assign(section, { first });
  });
}

function withEnds<Section extends SectionPlace>(
  placed: readonly Section[],
): readonly (Section & { readonly end: number })[] {
  let end = Number.POSITIVE_INFINITY;
  const byTerm = [...Map.groupBy(placed, ({ term }) => term)].toSorted(([a], [b]) => b - a);
  return byTerm.flatMap(([, sections]) => {
    const own = sections.map((section) =>
      Object.assign({}, section, { end: Math.min(section.from + section.leaves, end) }),
    );
    end = sections.reduce((least, { from }) => Math.min(least, from), end);
    return own;
  });
}
