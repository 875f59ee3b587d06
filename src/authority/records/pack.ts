/** Sections of received records as text: written as JSON Lines, and parsed again. */
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { integer, listOf, members, optional, text } from '../../core/runtime/fields.ts';

/** Records of an emitter that were received together, and its checkpoints over them. */
export interface Section {
  readonly origin: string;
  /** SPIFFE ID of the emitter. */
  readonly id: string;
  /**
   * The key that verifies its checkpoints, as given by the emitter and recorded in the ledger of its authority; `null` in a section of an
   * earlier version.
   */
  readonly verifierKey: string | null;
  /**
   * The term of the process that received it. Records of a section do not count from the point at which a section of a higher term begins.
   */
  readonly term: number;
  /** Number of records of the log before it. */
  readonly from: number;
  /** The tree over the log up to its end, serialised in base64: what is left of the section once it was pruned. */
  readonly tree: string;
  /** Leaf hash of the last record of the log up to its end, in base64; empty if it has none. */
  readonly last: string;
  readonly leaves: readonly Uint8Array[];
  /** Signed notes, in order of size. */
  readonly checkpoints: readonly string[];
}

/** The first line of a stored section. */
export interface SectionHead extends Omit<Section, 'leaves'> {
  /** Number of lines that follow, one per record. */
  readonly leaves: number;
  /** Their length with line ends. */
  readonly bytes: number;
}

/**
 * Sections as JSON Lines: for each a head, then its records as they are hashed. Canonical JSON has no line end in it, so that `grep` and
 * `jq` read it.
 */
export const packText = (sections: readonly Section[]): Buffer => Buffer.concat([...partsOf(sections)]);

/**
 * The same text in pieces. A piece that fits is in `room`, and valid only until the next piece is requested: with new buffers V8
 * would collect its whole heap every few megabytes.
 */
export function* packedPieces(sections: readonly Section[], room: Uint8Array): Generator<Uint8Array> {
  let length = 0;
  for (const part of partsOf(sections)) {
    if (length + part.length > room.length) {
      yield room.subarray(0, length);
      length = 0;
    }
    if (part.length > room.length) yield part;
    else {
      room.set(part, length);
      length += part.length;
    }
  }
  yield room.subarray(0, length);
}

function* partsOf(sections: readonly Section[]): Generator<Uint8Array> {
  for (const { leaves, ...section } of sections) {
    const bytes = leaves.reduce((sum, leaf) => sum + leaf.length + 1, 0);
    const head: SectionHead = { ...section, leaves: leaves.length, bytes };
    yield Buffer.from(`${JSON.stringify(head)}\n`, 'utf8');
    for (const leaf of leaves) {
      yield leaf;
      yield LINE_END;
    }
  }
}

const LINE_END = Buffer.from('\n');

/** Longest head in bytes: that of a section with a few hundred checkpoints. */
export const MAX_HEAD_BYTES = 1024 ** 2;
const MAX_LEAVES = 1024 ** 2;
const MAX_CHECKPOINTS = 4_096;
const MAX_NOTE = 4_096;

const head = members({
  origin: text({ max: 1_024 }),
  id: text({ max: 2_048 }),
  verifierKey: optional(text({ max: 1_024 })),
  term: integer(0, Number.MAX_SAFE_INTEGER),
  tree: text({ max: 4_096 }),
  last: text({ min: 0, max: 64 }),
  from: integer(0, Number.MAX_SAFE_INTEGER),
  leaves: integer(0, MAX_LEAVES),
  bytes: integer(0, 1024 ** 3),
  checkpoints: listOf(text({ max: MAX_NOTE }), { min: 0, max: MAX_CHECKPOINTS }),
});

/** Parses the head of a section. */
export function sectionHeadFrom(line: string): SectionHead | Problem {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { problem: 'is not JSON' };
  }
  const read = head(value);
  return isProblem(read) ? { problem: `is not the head of a section: ${read.problem}` } : read;
}

/**
 * The sections of a text, and the problem if it is not what its writer wrote. An incomplete section at its end is what a crash leaves:
 * it is skipped.
 */
export function sectionsFrom(text: Buffer): { readonly sections: readonly Section[]; readonly problem: string | null } {
  const sections: Section[] = [];
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\n', at);
    if (end === -1) return { sections, problem: text.length - at > MAX_HEAD_BYTES ? 'has no line end' : null };
    const read = sectionHeadFrom(text.toString('utf8', at, end));
    if (isProblem(read)) return { sections, problem: read.problem };
    const { leaves: _leaves, bytes, ...section } = read;
    at = end + 1 + bytes;
    if (at <= text.length) sections.push({ ...section, leaves: linesIn(text.subarray(end + 1, at)) });
  }
  return { sections, problem: null };
}

/** The lines of a text, without their ends. */
export function linesIn(text: Buffer): readonly Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\n', start);
    lines.push(text.subarray(start, end === -1 ? text.length : end));
    start = end === -1 ? text.length : end + 1;
  }
  return lines;
}
