import { existsSync } from 'node:fs';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import { isExecution, recordMembersIn } from '../../core/ledger/search/index-builder.ts';
import { executedIn } from '../../core/ledger/search/executed-calls.ts';
import { candidatesIn } from '../../core/ledger/search/candidates.ts';
import { allNeedlesOf, hasNeedles, indexKeysFor } from '../../core/ledger/search/record-query.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { linesIn } from './pack.ts';
import { countedSections, damageText, sectionText } from './placed-sections.ts';
import type { CountedSection, DamagedFile, SectionPlace } from './placed-sections.ts';
import type { ReceivedPack } from './received-pack.ts';
import { packsIn, uncoveredSections } from './received-index.ts';
import { byTime, isMatch, recordInstantOf } from './received-search.ts';
import type { ReceivedOrder, ReceivedRecord } from './received-search.ts';

/** The records of a section that count. */
type Counted = Pick<CountedSection<SectionPlace>, 'first' | 'end'>;

/**
 * The received records in a folder, found through their index and, after its last pack, by reading them. The index gives candidates, and the record
 * decides. Nothing is verified; what cannot be read is in `faults`.
 *
 * Lifecycle: `close` once. Reads throw the system's error.
 */
export class SearchedReceived {
  /** Why packs are not used: their records are read instead. */
  readonly problems: readonly string[];
  readonly #packs: readonly ReceivedPack[];
  readonly #rest: readonly SectionPlace[];
  readonly #counted: ReadonlyMap<SectionPlace, Counted>;
  readonly #faults = new Set<string>();
  #executed: ReadonlySet<string> | null = null;

  private constructor(packs: readonly ReceivedPack[], rest: readonly SectionPlace[], problems: readonly string[]) {
    this.#packs = packs;
    this.#rest = rest;
    this.problems = problems;
    const all = [...packs.flatMap(({ sections }) => sections), ...rest].toSorted(byFile);
    const counted = new Map<SectionPlace, Counted>();
    for (const sections of Map.groupBy(all, ({ origin }) => origin).values()) {
      for (const { of, first, end } of countedSections(sections.map(withSelf))) counted.set(of, { first, end });
    }
    this.#counted = counted;
  }

  /** Damaged files, and damaged records that searches met so far: the first 100. Behind each, records may be hidden. */
  get faults(): readonly string[] {
    return [...this.#faults];
  }

  /** Opens the records of a folder; a folder that does not exist has none. Throws the system's error. */
  static open(folder: string): SearchedReceived {
    if (!existsSync(folder)) return SearchedReceived.none;
    const covered = new Map<string, number>();
    const packs: ReceivedPack[] = [];
    const problems: string[] = [];
    for (const pack of packsIn(folder, covered)) {
      if (isProblem(pack)) problems.push(pack.problem);
      else packs.push(pack);
    }
    const damaged: DamagedFile[] = [];
    const uncovered = [...uncoveredSections(folder, covered, (file) => void damaged.push(file))];
    const opened = new SearchedReceived(
      packs,
      uncovered.map(({ section }) => section),
      problems,
    );
    for (const file of damaged) opened.#fault(damageText(file));
    return opened;
  }

  /** No records. */
  static readonly none = new SearchedReceived([], [], []);

  /** The matching records by time: the last, newest first, or the first. Packs that cannot have any of these are not read. */
  found(filter: RecordFilter, order: ReceivedOrder): readonly ReceivedRecord[] {
    const { limit, isNewestFirst } = order;
    let found: ReceivedRecord[] = [];
    const sort = (): void => void (found = byTime(found, order));
    const take = (record: ReceivedRecord): void => {
      found.push(record);
      if (found.length >= 2 * limit + SLACK) sort();
    };
    for (const record of this.#inRest(filter)) take(record);
    const packs = this.#packs.toSorted((a, b) => (isNewestFirst ? b.times[1] - a.times[1] : a.times[0] - b.times[0]));
    for (const pack of packs) {
      sort();
      const worst = found.length < limit ? undefined : found.at(-1);
      const [firstMs, lastMs] = pack.times;
      if (worst !== undefined && (isNewestFirst ? lastMs < worst.at : firstMs > worst.at)) break;
      for (const record of this.#inPack(pack, filter)) take(record);
    }
    sort();
    return found;
  }

  /** All matching records, in no order; nothing of them is kept. */
  *matching(filter: RecordFilter): Generator<ReceivedRecord> {
    for (const pack of this.#packs) yield* this.#inPack(pack, filter);
    yield* this.#inRest(filter);
  }

  /** Whether an outcome here says that an upstream answered the call with a decision id. Throws `TooManyUnindexed`. */
  isExecuted(decisionId: string): boolean {
    this.#executed ??= this.#unindexedExecutions();
    if (this.#executed.has(decisionId)) return true;
    const outcome = { decisionId, kind: 'outcome' };
    return this.#packs
      .values()
      .flatMap((pack) => this.#inPack(pack, outcome))
      .some(({ bytes }) => isExecution(recordMembersIn(bytes) ?? {}));
  }

  /** Whether a search for a filter goes by the packs. */
  isIndexed(filter: RecordFilter): boolean {
    return this.#packs.length > 0 && indexKeysFor(filter).length > 0;
  }

  close(): void {
    for (const { index } of this.#packs) index.close();
  }

  #fault(what: string): void {
    if (this.#faults.size < MAX_FAULTS) this.#faults.add(what);
  }

  /** The decisions of calls that were executed, by the records that no pack has: read once. */
  #unindexedExecutions(): ReadonlySet<string> {
    return executedIn(this.#inRest({ kind: 'outcome' }));
  }

  *#inRest(filter: RecordFilter): Generator<ReceivedRecord> {
    const search = this.#search(filter);
    for (const section of this.#rest) {
      const { first, end } = this.#counted.get(section) ?? { first: 1, end: 0 };
      if (end >= first) yield* search(section, allPlaces(section));
    }
  }

  *#inPack(pack: ReceivedPack, filter: RecordFilter): Generator<ReceivedRecord> {
    const { sinceMs, untilMs } = filter;
    const [firstMs, lastMs] = pack.times;
    if ((sinceMs !== undefined && lastMs < sinceMs) || (untilMs !== undefined && firstMs >= untilMs)) return;
    const search = this.#search(filter);
    const keys = indexKeysFor(filter);
    if (keys.length === 0) {
      for (const section of pack.sections) yield* search(section, allPlaces(section));
      return;
    }
    let next = 0;
    const places = candidatesIn(pack.index, keys);
    for (const section of pack.sections) {
      const from = next;
      while (next < places.length && (places[next] ?? 0) < section.before + section.leaves) next += 1;
      if (next > from)
        yield* search(
          section,
          places.slice(from, next).map((place) => place - section.before),
        );
    }
  }

  /** Reads lines of a section and gives those that match. */
  #search(filter: RecordFilter): (section: SectionPlace, lines: Iterable<number>) => Generator<ReceivedRecord> {
    const needles = allNeedlesOf(filter);
    const counted = this.#counted;
    const isOpen = (bytes: Uint8Array): boolean => {
      const decisionId = recordMembersIn(bytes)?.['decisionId'];
      return typeof decisionId !== 'string' || !this.isExecuted(decisionId);
    };
    const fault = (section: SectionPlace, seq: number, problem: string): void =>
      this.#fault(`record ${seq} of \`${section.origin}\` in \`${section.file}\` ${problem}`);
    return function* found(section, places) {
      const { first, end } = counted.get(section) ?? { first: 1, end: 0 };
      const text = sectionText(section);
      // Most sections without an index have no match, and then are not split into lines.
      if (!hasNeedles(text, needles)) return;
      const lines = linesIn(text);
      for (const place of places) {
        const seq = section.from + place + 1;
        const bytes = lines[place];
        if (seq < first || seq > end) continue;
        if (bytes === undefined) fault(section, seq, 'is missing');
        if (bytes === undefined || !hasNeedles(bytes, needles)) continue;
        const leaf = leafFrom(bytes);
        if (isProblem(leaf)) fault(section, seq, leaf.problem);
        else if (leaf.seq !== seq) fault(section, seq, `has the bytes of record ${leaf.seq}`);
        if (isProblem(leaf) || leaf.seq !== seq || !isMatch(leaf, filter)) continue;
        if (filter.isUnexecuted === undefined || isOpen(bytes))
          yield { log: section.origin, seq, bytes, at: recordInstantOf(leaf) };
      }
    };
  }
}

/** Most faults that are kept. */
const MAX_FAULTS = 100;

/** Records beyond twice the limit after which they are sorted and cut, which bounds the memory. */
const SLACK = 1_000;

const allPlaces = ({ leaves }: SectionPlace): readonly number[] => Array.from({ length: leaves }, (_, place) => place);

const withSelf = (section: SectionPlace): SectionPlace & { readonly of: SectionPlace } =>
  Object.assign({}, section, { of: section });

/** In the order of files, which are in one folder, and within a file. */
function byFile(one: SectionPlace, other: SectionPlace): number {
  if (one.file === other.file) return one.at - other.at;
  return one.file < other.file ? -1 : 1;
}
