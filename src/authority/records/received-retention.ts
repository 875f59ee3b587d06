import { setImmediate as nextTurn } from 'node:timers/promises';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { base64Of } from '../../core/ledger/proof/base64.ts';
import { rangeBytes } from '../../core/ledger/proof/compact-range.ts';
import { rootOf } from '../../core/ledger/proof/merkle.ts';
import type { EmitterRecord } from '../../core/ledger/log-record.ts';
import { sectionsFrom } from './pack.ts';
import type { Section } from './pack.ts';
import { fileNameOf } from './record-archive.ts';
import type { RecordArchive } from './record-archive.ts';
import { recomputed } from './recomputed-log.ts';
import type { RecomputedLog } from './recomputed-log.ts';
import { beginOf, isRecordFileName } from './record-files.ts';
import { endsOf, instantOf } from './record-instant.ts';
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
  /** Bytes of the whole archive. Called only if they are limited. */
  readonly bytes: () => Promise<number | Problem>;
  readonly retain: ReceivedRetention;
  readonly nowMs: () => number;
  /** Writes a record into the ledger of this process. @returns `false` if it is not on disk */
  readonly record: (record: EmitterRecord) => Promise<boolean>;
}

/** What was deleted. */
export interface PrunedRecords {
  readonly objects: number;
  readonly bytes: number;
}

/** Number of examined objects after which deletable objects are deleted. */
const STEP = 256;
/** An object this young is not deleted, whatever the size of all: it may still be written. */
const MIN_AGE_MS = 2 * 3_600_000;
/**
 * An object this much older than the newest examined object is deleted without a checkpoint: after a killed sidecar none follows.
 */
const ENDED_MS = 2 * 3_600_000;
/** Records are deleted for their age once a day, so that each log has few `pruned` records. */
const DAY_MS = 86_400_000;

/**
 * Deletes the oldest received records, those beyond an age or a size. Each log is recomputed first, from its records to a checkpoint that its
 * sidecar signed over them. Then the ledger of this process gets a record for each log, of which records are deleted and the tree over them:
 * the rest of the log still verifies, and shows that what is gone was there. An object that is damaged or was changed, or whose records are
 * younger than its name, is kept, not signed for, and reported once all others are done.
 */
export async function pruneReceived(services: RetentionServices): Promise<PrunedRecords | Problem> {
  const { archive, retain, nowMs } = services;
  const total = retain.maxBytes === null ? 0 : await services.bytes();
  if (isProblem(total)) return total;
  const now = nowMs();
  const before = Math.floor(now / DAY_MS) * DAY_MS - retain.maxAgeMs;
  const deletion = new Deletion(services, before);
  let left = total;
  let next: string | null = null;
  do {
    const page = await archive.list(next);
    if (isProblem(page)) return page;
    const objects = page.objects.filter(({ name }) => isRecordFileName(fileNameOf(name)));
    let isEnd = false;
    for (const object of objects) {
      const begin = beginOf(object.name);
      const isTooMuch = retain.maxBytes !== null && left > retain.maxBytes && begin < now - MIN_AGE_MS;
      isEnd = begin >= before && !isTooMuch;
      if (isEnd) break;
      left -= object.bytes;
      const problem = await deletion.add(object);
      if (problem !== null) return { problem };
    }
    next = isEnd ? null : page.next;
  } while (next !== null);
  return deletion.end();
}

/** An object that was examined. */
interface Examined {
  readonly object: StoredObject;
  /** Each log up to its end. */
  readonly logs: Map<string, RecomputedLog>;
  /** Why it is kept; `null` if it is not. */
  problem: string | null;
}

/** Looks through objects in order, and deletes those that are whole and covered. */
class Deletion {
  readonly #services: RetentionServices;
  readonly #before: number;
  /** The logs as far as they were read. */
  readonly #logs = new Map<string, RecomputedLog>();
  #examined: readonly Examined[] = [];
  #problem: string | null = null;
  #done: PrunedRecords = { objects: 0, bytes: 0 };

  /** @param before instant before which an object is deleted for its age */
  constructor(services: RetentionServices, before: number) {
    this.#services = services;
    this.#before = before;
  }

  /** Looks through the next object. Returns a problem if the store or the ledger failed. */
  async add(object: StoredObject): Promise<string | null> {
    const text = await this.#services.archive.text(object.name);
    if (text === null) return null;
    if (isProblem(text)) {
      if (!('isDamaged' in text)) return text.problem;
      this.#report(text.problem);
      return null;
    }
    const { sections, problem } = sectionsFrom(text);
    const isAged = beginOf(object.name) < this.#before;
    const young = isAged
      ? youngProblem(sections, { maxMs: this.#before + DAY_MS, nowMs: this.#services.nowMs() })
      : null;
    const examined: Examined = { object, logs: new Map(), problem: problem ?? young };
    this.#examined = [...this.#examined, examined];
    // An untrusted object is not read further: its logs restart after it.
    for (const section of sections) {
      this.#see(section, examined);
      // Lets checks run between two sections: each has up to 512 KiB of records, and a file has many.
      await nextTurn();
    }
    return this.#examined.length % STEP === 0 ? this.#flush() : null;
  }

  async end(): Promise<PrunedRecords | Problem> {
    const problem = (await this.#flush()) ?? this.#problem;
    return problem === null ? this.#done : { problem };
  }

  #see(section: Section, examined: Examined): void {
    const { origin } = section;
    const log = examined.problem === null ? recomputed(this.#logs.get(origin) ?? null, section) : null;
    if (log === null || isProblem(log)) {
      examined.problem ??= log?.problem ?? null;
      if (log?.isEarlierDoubtful === true) this.#doubt(origin, log.problem);
      this.#logs.delete(origin);
      return;
    }
    if (log.gap > 0)
      this.#report(`${log.gap} records of \`${origin}\` before those in \`${examined.object.name}\` are missing`);
    this.#logs.set(origin, log);
    examined.logs.set(origin, log);
  }

  /** Keeps the objects whose records of a log no checkpoint covers yet: these records may be what was changed. */
  #doubt(origin: string, problem: string): void {
    const signed = this.#logs.get(origin)?.signed ?? 0;
    for (const examined of this.#examined)
      if ((examined.logs.get(origin)?.size ?? 0) > signed)
        examined.problem ??= `is followed by an object that ${problem}`;
  }

  #report(problem: string): void {
    this.#problem ??= problem;
  }

  /** Deletes what is whole and covered. The rest waits for the checkpoints of later objects, in this run or the next. */
  async #flush(): Promise<string | null> {
    const newest = beginOf(this.#examined.at(-1)?.object.name ?? '');
    const [gone, later]: [Examined[], Examined[]] = [[], []];
    for (const examined of this.#examined) {
      const { object, problem, logs } = examined;
      if (problem !== null) {
        this.#report(`\`${object.name}\` is kept: it ${problem}`);
        continue;
      }
      const isOver = beginOf(object.name) <= newest - ENDED_MS;
      const isCovered = [...logs].every(([origin, log]) => this.#isCovered(origin, log));
      (isCovered || isOver ? gone : later).push(examined);
    }
    this.#examined = later;
    return this.#delete(gone);
  }

  /** Whether a checkpoint covers a log up to where it was read: an earlier checkpoint, or a later checkpoint of its continuation. */
  #isCovered(origin: string, { signed, size, from }: RecomputedLog): boolean {
    const now = this.#logs.get(origin);
    return signed >= size || (now?.from === from && now.signed >= size);
  }

  async #delete(gone: readonly Examined[]): Promise<string | null> {
    const { archive, nowMs, record } = this.#services;
    const last = gone.at(-1);
    if (last === undefined) return null;
    const ends = new Map(gone.flatMap(({ logs }) => [...logs]));
    const why = beginOf(last.object.name) < this.#before ? 'age' : 'size';
    for (const [origin, log] of ends) {
      if (!(await record(prunedRecord(origin, log, { at: nowMs(), why }))))
        return 'the ledger of the authority is unavailable';
    }
    const problem = await archive.remove(gone.map(({ object: { name } }) => name));
    if (problem !== null) return problem;
    const { objects, bytes } = this.#done;
    this.#done = {
      objects: objects + gone.length,
      bytes: gone.reduce((sum, { object }) => sum + object.bytes, bytes),
    };
    return null;
  }
}

/**
 * Why sections are younger than their object; `null` if they are not. The age of an object is that of its receipt, by its name. INVARIANT: renaming
 * objects must not get young records deleted for their age. A record that is dated after now says nothing of its age: it was made before.
 *
 * @param times.maxMs when their last records may have been made at the latest
 */
function youngProblem(
  sections: readonly Section[],
  { maxMs, nowMs }: { readonly maxMs: number; readonly nowMs: number },
): string | null {
  for (const section of sections) {
    const isYoung = endsOf(section).some((bytes) => {
      const at = instantOf(bytes) ?? 0;
      return at > maxMs && at <= nowMs;
    });
    if (isYoung) return `has a record of \`${section.origin}\` that is younger than its name says`;
  }
  return null;
}

const prunedRecord = (
  origin: string,
  { id, verifierKey, from, size, range, last, signed, note }: RecomputedLog,
  { at, why }: { readonly at: number; readonly why: string },
): EmitterRecord => ({
  kind: 'emitter',
  at,
  task: null,
  event: 'pruned',
  origin,
  by: id,
  from,
  size,
  root: base64Of(rootOf(range.nodes)),
  signed,
  verifierKey,
  note,
  why,
  tree: base64Of(rangeBytes(range)),
  last,
});
