import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import { base64Of, bytesFromBase64 } from '../base64.ts';
import { rangeFrom } from '../compact-range.ts';
import type { CompactRange } from '../compact-range.ts';
import { leafFrom } from '../leaf.ts';
import { rootOf } from '../merkle.ts';
import type { EmitterRecord } from '../record.ts';
import { sectionsFrom } from './pack.ts';
import type { Section } from './pack.ts';
import { fileNameOf } from './record-archive.ts';
import type { RecordArchive } from './record-archive.ts';
import { beginOf, isRecordFileName } from './record-files.ts';
import type { StoredObject } from './record-objects.ts';

/** How long received records are kept. */
export interface ReceivedRetention {
  readonly maxAgeMs: number;
  /** Bytes of all as they are stored; `null` for no limit. */
  readonly maxBytes: number | null;
}

/** The dependencies of a retention. */
export interface RetentionServices {
  readonly archive: RecordArchive;
  /** Bytes of the whole archive. Asked where they are limited. */
  readonly bytes: () => Promise<number | Problem>;
  readonly retain: ReceivedRetention;
  readonly nowMs: () => number;
  /** Writes a record into the ledger of this process. @returns `false` where it is not on disk */
  readonly record: (record: EmitterRecord) => Promise<boolean>;
}

/** What was deleted. */
export interface PrunedRecords {
  readonly objects: number;
  readonly bytes: number;
}

/** Objects that one step looks through and deletes. */
const STEP = 256;
/** An object this young is not deleted, whatever the size of all: it may still be written. */
const MIN_AGE_MS = 2 * 3_600_000;
/** Records are deleted for their age once a day, so that each log has few `pruned` records. */
const DAY_MS = 86_400_000;

/**
 * Deletes the oldest received records, those beyond an age or a size. Before it deletes any it records for each log, in the ledger of this
 * process, up to where its records go and the tree over them: the rest of the log still verifies, and shows that what is gone was there.
 * Objects that are damaged, or whose records are younger than their name says, are kept, and told once all others are done.
 */
export async function pruneReceived(services: RetentionServices): Promise<PrunedRecords | Problem> {
  const { archive, retain, nowMs } = services;
  const total = retain.maxBytes === null ? 0 : await services.bytes();
  if (isProblem(total)) return total;
  const now = nowMs();
  const before = Math.floor(now / DAY_MS) * DAY_MS - retain.maxAgeMs;
  const done = { objects: 0, bytes: 0 };
  let left = total;
  let kept: string | null = null;
  let next: string | null = null;
  do {
    const page = await archive.list(next);
    if (isProblem(page)) return page;
    const due: StoredObject[] = [];
    const objects = page.objects.filter(({ name }) => isRecordFileName(fileNameOf(name)));
    for (const object of objects) {
      const begin = beginOf(object.name);
      const isTooMuch = retain.maxBytes !== null && left > retain.maxBytes && begin < now - MIN_AGE_MS;
      if (begin >= before && !isTooMuch) break;
      left -= object.bytes;
      due.push(object);
    }
    for (let at = 0; at < due.length; at += STEP) {
      const pruned = await prunedNow(due.slice(at, at + STEP), { ...services, before });
      if (isProblem(pruned)) return pruned;
      done.objects += pruned.objects;
      done.bytes += pruned.bytes;
      kept ??= pruned.kept;
    }
    next = due.length < objects.length ? null : page.next;
  } while (next !== null);
  return kept === null ? done : { problem: kept };
}

/** The end of what is deleted of a log. */
interface LogEnd {
  readonly section: Section;
  readonly tree: CompactRange;
  note: string | null;
}

async function prunedNow(
  objects: readonly StoredObject[],
  { archive, nowMs, record, before }: RetentionServices & { readonly before: number },
): Promise<(PrunedRecords & { readonly kept: string | null }) | Problem> {
  const ends = new Map<string, LogEnd>();
  const gone: StoredObject[] = [];
  let kept: string | null = null;
  for (const object of objects) {
    const text = await archive.text(object.name);
    if (isProblem(text)) return text;
    if (text === null) continue;
    const { sections, problem } = sectionsFrom(text);
    const isAged = beginOf(object.name) < before;
    const wrong = problem ?? firstProblem(sections, isAged ? before + DAY_MS : Number.POSITIVE_INFINITY);
    if (wrong !== null) {
      kept ??= `\`${object.name}\` is kept: it ${wrong}`;
      continue;
    }
    for (const section of sections) note(ends, section);
    gone.push(object);
  }
  const at = nowMs();
  const why = (name: string): string => (beginOf(name) < before ? 'age' : 'size');
  for (const [origin, end] of ends) {
    const isRecorded = await record(prunedRecord(origin, end, { at, why: why(gone.at(-1)?.name ?? '') }));
    if (!isRecorded) return { problem: 'the ledger of the authority is unavailable' };
  }
  const problem = gone.length === 0 ? null : await archive.remove(gone.map(({ name }) => name));
  if (problem !== null) return { problem };
  return { objects: gone.length, bytes: gone.reduce((sum, { bytes }) => sum + bytes, 0), kept };
}

/** Why sections are not to be deleted; `null` where they are. @param maxMs when their last records may have been made at the latest */
function firstProblem(sections: readonly Section[], maxMs: number): string | null {
  for (const { origin, tree, from, leaves } of sections) {
    if (treeOf(tree)?.size !== from + leaves.length)
      return `has a section of \`${origin}\` whose tree is not that of its end`;
    // INVARIANT: whoever can rename objects does not get young records deleted for their age.
    for (const bytes of [leaves[0], leaves.at(-1)]) {
      const leaf = bytes === undefined ? null : leafFrom(bytes);
      if (leaf !== null && isProblem(leaf)) return `has a record of \`${origin}\` which ${leaf.problem}`;
      const at = leaf?.record['at'];
      if (typeof at === 'number' && at > maxMs) {
        return `has a record of \`${origin}\` that is younger than its name says`;
      }
    }
  }
  return null;
}

function note(ends: Map<string, LogEnd>, section: Section): void {
  const tree = treeOf(section.tree);
  const known = ends.get(section.origin);
  const last = section.checkpoints.at(-1) ?? known?.note ?? null;
  if (tree === null) return;
  if (known === undefined || tree.size >= known.tree.size) ends.set(section.origin, { section, tree, note: last });
  else known.note = last;
}

const treeOf = (tree: string): CompactRange | null => {
  const bytes = bytesFromBase64(tree);
  return bytes === null ? null : rangeFrom(bytes);
};

const prunedRecord = (
  origin: string,
  { section, tree, note: last }: LogEnd,
  { at, why }: { readonly at: number; readonly why: string },
): EmitterRecord => ({
  kind: 'emitter',
  at,
  task: null,
  event: 'pruned',
  origin,
  by: section.id,
  size: tree.size,
  root: base64Of(rootOf(tree.nodes)),
  signed: last === null ? 0 : Number(last.split('\n', 2)[1]),
  verifierKey: null,
  note: last,
  why,
  tree: section.tree,
  last: section.last,
});
