import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { isProblem } from '../../core/runtime/problem.ts';
import { emptyRange } from '../../core/ledger/proof/compact-range.ts';
import type { StoredEntry, StoredLog } from '../../core/ledger/proof/verification.ts';
import { linesIn, MAX_HEAD_BYTES, sectionHeadFrom } from './pack.ts';
import type { SectionHead } from './pack.ts';
import { recordFilesIn } from './record-files.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/** The place of a section in a file. */
interface PlacedSection extends SectionHead {
  readonly file: string;
  /** Offset of its first record. */
  readonly at: number;
  /** Its records after this number do not count. */
  readonly end: number;
}

/** A file that is not what its writer wrote, from an offset on. */
export interface DamagedFile {
  readonly file: string;
  readonly at: number;
  readonly problem: string;
}

/** The claims of a section's head about the log. The retention signs them once the section is deleted, so they must be right before. */
export interface SectionClaim {
  readonly file: string;
  readonly id: string;
  /** `null` in a section of an earlier version. */
  readonly verifierKey: string | null;
  /** Number of records up to its end. */
  readonly size: number;
  /** The tree over them, serialised in base64, and the leaf hash of the last record. */
  readonly tree: string;
  readonly last: string;
}

/** The log of an emitter, as far as its records are in a folder. */
export interface ReceivedLog {
  readonly origin: string;
  /** SPIFFE ID of the emitter, according to the files. */
  readonly id: string;
  /** The claims of its sections' heads, for a verifier: their sender, and the log up to their ends. */
  readonly claims: readonly SectionClaim[];
  /** The stored log, for a verifier: each record once, in order, and its gaps as they are. */
  readonly stored: StoredLog;
}

/**
 * The received records in a folder, read beside the process that writes it. Nothing in them is trusted. An incomplete section at the end of
 * a file is what a crash or a full disk leaves: it was never acknowledged, so it is skipped. A folder that does not exist is empty.
 * Throws the system's error.
 */
export function receivedLogsIn(folder: string): {
  readonly logs: ReadonlyMap<string, ReceivedLog>;
  readonly damaged: readonly DamagedFile[];
} {
  const damaged: DamagedFile[] = [];
  const sections = filesIn(folder).flatMap((file) => {
    const { found, problem } = sectionsIn(file);
    if (problem !== null) damaged.push(problem);
    return found;
  });
  const byOrigin = Map.groupBy(sections, ({ origin }) => origin);
  const logs = [...byOrigin].map(([origin, placed]) => [origin, receivedLog(origin, placed)] as const);
  return { logs: new Map(logs), damaged };
}

function filesIn(folder: string): readonly string[] {
  try {
    return recordFilesIn(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function sectionsIn(file: string): { readonly found: readonly PlacedSection[]; readonly problem: DamagedFile | null } {
  const found: PlacedSection[] = [];
  const fd = openSync(file, 'r');
  try {
    const { size } = fstatSync(fd);
    for (let at = 0; at < size;) {
      const line = lineAt(fd, at);
      if (line === null)
        return { found, problem: size - at > MAX_HEAD_BYTES ? damage(file, at, 'has no line end') : null };
      const head = sectionHeadFrom(line.toString('utf8'));
      if (isProblem(head)) return { found, problem: damage(file, at, head.problem) };
      const start = at + line.length + 1;
      at = start + head.bytes;
      if (at <= size) found.push({ ...head, file, at: start, end: head.from + head.leaves });
    }
    return { found, problem: null };
  } finally {
    closeSync(fd);
  }
}

const damage = (file: string, at: number, problem: string): DamagedFile => ({ file, at, problem });

const CHUNK_BYTES = 4_096;

/** The line at an offset, without its end; `null` if it does not end within `MAX_HEAD_BYTES`. */
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

function receivedLog(origin: string, placed: readonly PlacedSection[]): ReceivedLog {
  // Stable: sections from the same number on stay in the order of their files.
  const sections = counted(placed).toSorted((a, b) => a.from - b.from);
  return {
    origin,
    id: sections[0]?.id ?? '',
    // A section that a higher term cut short proves nothing about the log that counts.
    claims: sections
      .filter(({ from, leaves, end }) => end === from + leaves)
      .map(({ file, id, verifierKey, end: size, tree, last }) => ({ file, id, verifierKey, size, tree, last })),
    stored: {
      origin,
      carried: { ...emptyRange, prev: null },
      entries: () => entriesOf(sections),
      checkpoints: () => checkpointsOf(sections),
    },
  };
}

/**
 * The sections, each as far as it counts. Records that a process had received but not acknowledged when another process took the log over may
 * be kept by both, and may differ: a section ends where a section of a higher term begins.
 */
function counted(placed: readonly PlacedSection[]): readonly PlacedSection[] {
  let end = Number.POSITIVE_INFINITY;
  const byTerm = [...Map.groupBy(placed, ({ term }) => term)].toSorted(([a], [b]) => b - a);
  return byTerm.flatMap(([, sections]) => {
    const own = sections.map((section) => ({ ...section, end: Math.min(section.end, end) }));
    end = sections.reduce((least, { from }) => Math.min(least, from), end);
    return own;
  });
}

/** Each record once: what was kept and not acknowledged is sent, and kept, a second time. */
function* entriesOf(sections: readonly PlacedSection[]): Generator<StoredEntry> {
  let size = 0;
  for (const section of sections) {
    if (section.end <= size) continue;
    for (const [index, bytes] of sectionLines(section).entries()) {
      const seq = section.from + index + 1;
      if (seq <= size || seq > section.end) continue;
      yield { seq, bytes };
      size = seq;
    }
  }
}

function sectionLines({ file, at, bytes }: PlacedSection): readonly Uint8Array[] {
  const text = Buffer.alloc(bytes);
  const fd = openSync(file, 'r');
  try {
    return linesIn(text.subarray(0, readSync(fd, text, { position: at })));
  } finally {
    closeSync(fd);
  }
}

function* checkpointsOf(sections: readonly PlacedSection[]): Generator<{ readonly note: string }> {
  let last = -1;
  for (const { checkpoints, end } of sections) {
    for (const note of checkpoints) {
      // The second line of a note; a malformed note goes to the verifier.
      const size = Number(note.split('\n', 2)[1] ?? Number.NaN);
      if (size <= last || size > end) continue;
      if (!Number.isNaN(size)) last = size;
      yield { note };
    }
  }
}
