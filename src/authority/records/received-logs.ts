import { emptyRange } from '../../core/ledger/proof/compact-range.ts';
import type { StoredEntry, StoredLog } from '../../core/ledger/proof/verification.ts';
import { countedSections, sectionLines, sectionsIn } from './placed-sections.ts';
import type { CountedSection, DamagedFile, PlacedSection } from './placed-sections.ts';
import { recordFilesIn } from './record-files.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

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
  /** Number of records before the first that is here: the retention deleted them. */
  readonly before: number;
  /** The claims of its sections' heads, for a verifier: their sender, and the log up to their ends. */
  readonly claims: readonly SectionClaim[];
  /** The stored log, for a verifier: each record once, in order, and its gaps as they are. */
  readonly stored: StoredLog;
  /** Its records after a number, without reading the sections before. */
  readonly entriesAfter: (size: number) => Iterable<StoredEntry>;
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

function receivedLog(origin: string, placed: readonly PlacedSection[]): ReceivedLog {
  const sections = countedSections(placed);
  return {
    origin,
    id: sections[0]?.id ?? '',
    before: sections[0]?.from ?? 0,
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
    entriesAfter: (size) => entriesOf(sections, size),
  };
}

/** Each record after a number once: what was kept and not acknowledged is sent, and kept, a second time. */
function* entriesOf(sections: readonly CountedSection<PlacedSection>[], after = 0): Generator<StoredEntry> {
  let size = after;
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

function* checkpointsOf(sections: readonly CountedSection<PlacedSection>[]): Generator<{ readonly note: string }> {
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
